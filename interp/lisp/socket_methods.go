package lisp

import (
	"strconv"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// socketBase are the functions that are not methods.
var socketBase = table{
	"make-instance":    {4, -1, makeInstance},
	"destroy-instance": f1(destroyInstance),
	"select":           entry{4, 4, selectSockets}.with(3),
	"socketp":          is[*Socket](),
	"get":              f2(get),
	"put":              f3(put),
	"plist":            f1(plist),
	"show":             f1(show),
}

// socketMethods are those of the class, which also have the name of the class
// before their own.
var socketMethods = table{
	"accept":         f1(accept),
	"char-in-buffer": {1, 2, charInBuffer},
	"clear-input":    f1(clearInput),
	"connect":        f3(connect).with(1),
	"eof":            f1(func(_ *Thread, s *Socket) (Value, error) { return truth(s.socket.EOF()), nil }),
	"fileno":         f1(func(_ *Thread, s *Socket) (Value, error) { return int64(s.socket.Fd()), nil }),
	"fread":          f3(fread).with(1),
	"fwrite":         f3(fwrite).with(1),
	"getsockopt":     f3(getsockopt),
	"listen":         f2(listen),
	"read-char":      f1(readChar),
	"read-line":      f1(readLine),
	"read-string":    f1(readString),
	"recv":           {2, -1, recv},
	"recv-from":      {2, -1, recvFrom},
	"send":           {2, -1, send},
	"send-to":        {4, -1, sendTo},
	"setsockopt":     entry{4, 4, setsockopt}.with(1),
	"showbin":        f3(showbin).with(2),
	"unread-char":    f1(unreadChar),
	"write-char":     f2(writeChar),
	"write-line":     writing((*socket.Socket).WriteLine),
	"write-string":   writing((*socket.Socket).WriteString),
}

// destroyInstance closes the socket. That is its end also if it was closed.
func destroyInstance(_ *Thread, s *Socket) (Value, error) {
	s.socket.Close()
	return T, nil
}

func accept(t *Thread, s *Socket) (Value, error) {
	c, err := t.bound(s).Accept()
	if err != nil {
		return t.failed(err)
	}
	return wrap(c, s.maxString), nil
}

func connect(t *Thread, s *Socket, host string, port Value) (Value, error) {
	service, err := serviceArg(port)
	if err != nil {
		return nil, err
	}
	return t.success(t.bound(s).Connect(host, service))
}

// serviceArg is a port or the name of a service. Nothing is port 0.
func serviceArg(v Value) (string, error) {
	switch v := v.(type) {
	case nil:
		return "0", nil
	case int64:
		n, err := within(v, 0, 65535)
		return strconv.Itoa(n), err
	case string:
		return v, nil
	case *Symbol:
		return v.name, nil
	}
	return "", wanted("a port, or a service's name as a string or symbol", v)
}

func listen(t *Thread, s *Socket, v Value) (Value, error) {
	backlog, err := within(v, -1<<31, 1<<31-1)
	if err != nil {
		return nil, err
	}
	return t.success(s.socket.Listen(backlog))
}

// A transfer is what recv, send and their like have in common: a socket, the
// bytes of a binary, and flags.
type transfer struct {
	socket *socket.Socket
	binary *Binary
	length int
	flags  int
}

// transfer takes the arguments (SOCKET BINARY 'length N 'flags N), between which
// there may be others.
func (t *Thread) transfer(args []Value, others int) (*transfer, error) {
	s, err := arg[*Socket](args[0])
	if err != nil {
		return nil, err
	}
	b, err := arg[*Binary](args[1])
	if err != nil {
		return nil, err
	}
	tr := &transfer{socket: t.bound(s), binary: b, length: b.Len()}
	if args = args[2+others:]; len(args) == 0 {
		return tr, nil
	}
	return tr, keywords(args, map[string]func(Value) error{
		"length": func(v Value) (err error) {
			tr.length, err = b.upTo(v)
			return err
		},
		"flags": func(v Value) (err error) {
			tr.flags, err = within(v, 0, 1<<31-1)
			return err
		},
	})
}

// transferred is a count, or what failedOrEOF says.
func (t *Thread) transferred(n int, err error) (Value, error) {
	if err != nil {
		return t.failedOrEOF(err)
	}
	return int64(n), nil
}

func recv(t *Thread, args []Value) (Value, error) {
	tr, err := t.transfer(args, 0)
	if err != nil {
		return nil, err
	}
	return t.transferred(tr.binary.fill(func(data []byte) (int, error) {
		return tr.socket.Recv(data[:tr.length], tr.flags)
	}))
}

func recvFrom(t *Thread, args []Value) (Value, error) {
	tr, err := t.transfer(args, 0)
	if err != nil {
		return nil, err
	}
	return t.transferred(tr.binary.fill(func(data []byte) (int, error) {
		n, _, err := tr.socket.RecvFrom(data[:tr.length], tr.flags)
		return n, err
	}))
}

func send(t *Thread, args []Value) (Value, error) {
	tr, err := t.transfer(args, 0)
	if err != nil {
		return nil, err
	}
	return t.transferred(tr.binary.send(func(data []byte) (int, error) {
		return tr.socket.Send(data[:tr.length], tr.flags)
	}))
}

func sendTo(t *Thread, args []Value) (Value, error) {
	tr, err := t.transfer(args, 2)
	if err != nil {
		return nil, err
	}
	host, err := arg[string](args[2])
	if err != nil {
		return nil, err
	}
	service, err := serviceArg(args[3])
	if err != nil {
		return nil, err
	}
	return t.transferred(tr.binary.send(func(data []byte) (int, error) {
		return tr.socket.SendTo(data[:tr.length], host, service, tr.flags)
	}))
}

// fread returns nil at the end, as read-string does, and eof tells it from an
// error: a loop ends with either.
func fread(t *Thread, s *Socket, b *Binary, v Value) (Value, error) {
	length, err := b.upTo(v)
	if err != nil {
		return nil, err
	}
	n, err := b.fill(func(data []byte) (int, error) { return t.bound(s).Fread(data[:length]) })
	if err != nil {
		return t.failed(err)
	}
	return int64(n), nil
}

// fwrite returns what was written also if that is not all, and *lastsocketerror*
// tells why; nil if it is nothing.
func fwrite(t *Thread, s *Socket, b *Binary, v Value) (Value, error) {
	length, err := b.upTo(v)
	if err != nil {
		return nil, err
	}
	n, err := b.send(func(data []byte) (int, error) { return t.bound(s).Fwrite(data[:length]) })
	if err != nil {
		if v, err := t.failed(err); err != nil || n == 0 {
			return v, err
		}
	}
	return int64(n), nil
}

func readChar(t *Thread, s *Socket) (Value, error) {
	c, _, err := t.bound(s).ReadRune()
	if err != nil {
		return t.failedOrEOF(err)
	}
	return int64(c), nil
}

func readString(t *Thread, s *Socket) (Value, error) {
	text, err := t.bound(s).ReadString()
	if err != nil {
		return t.failed(err)
	}
	return text, nil
}

func readLine(t *Thread, s *Socket) (Value, error) {
	text, err := t.bound(s).ReadLine()
	if err != nil {
		return t.failed(err)
	}
	return text, nil
}

func writeChar(t *Thread, s *Socket, v Value) (Value, error) {
	c, err := within(v, 0, 0x10FFFF)
	if err != nil {
		return nil, err
	}
	if _, err := t.bound(s).WriteRune(rune(c)); err != nil {
		return t.failed(err)
	}
	return v, nil
}

// writing is write-string or write-line: they return their string.
func writing(write func(*socket.Socket, string) (int, error)) entry {
	return f2(func(t *Thread, s *Socket, text string) (Value, error) {
		if _, err := write(t.bound(s), text); err != nil {
			return t.failed(err)
		}
		return text, nil
	})
}

// charInBuffer returns the flag as it is, and sets it for the next call.
func charInBuffer(_ *Thread, args []Value) (Value, error) {
	s, err := arg[*Socket](args[0])
	if err != nil {
		return nil, err
	}
	was := s.socket.CharInBuffer()
	if len(args) == 2 {
		s.socket.SetCharInBuffer(args[1] != nil)
	}
	return truth(was), nil
}

func unreadChar(t *Thread, s *Socket) (Value, error) {
	return t.failed(s.socket.UnreadRune())
}

func clearInput(_ *Thread, s *Socket) (Value, error) {
	s.socket.ClearInput()
	return nil, nil
}

// levelArg is the level of an option. A nil one is SOL_SOCKET.
func levelArg(v Value) (any, error) {
	switch v := v.(type) {
	case nil, string:
		return v, nil
	case int64:
		return within(v, -1<<31, 1<<31-1)
	}
	return nil, wanted("a level as a number or name, or nil", v)
}

// getsockopt gives t or nil for a flag, and for a timeout an integer of
// milliseconds if it is one; nil if it is off.
func getsockopt(t *Thread, s *Socket, v Value, name *Symbol) (Value, error) {
	level, err := levelArg(v)
	if err != nil {
		return nil, err
	}
	value, err := s.socket.Getsockopt(level, name.name)
	if err != nil {
		return t.failed(err)
	}
	if ms, ok := value.(float64); ok {
		switch {
		case ms == 0:
			return nil, nil
		case ms == float64(int64(ms)):
			return int64(ms), nil
		}
	}
	return FromGo(value)
}

func setsockopt(t *Thread, args []Value) (Value, error) {
	s, err := arg[*Socket](args[0])
	if err != nil {
		return nil, err
	}
	level, err := levelArg(args[1])
	if err != nil {
		return nil, err
	}
	name, err := arg[*Symbol](args[2])
	if err != nil {
		return nil, err
	}
	return t.success(s.socket.Setsockopt(level, name.name, ToGo(args[3])))
}

// flags are the constants of recv(2) and send(2).
var flags = map[string]int{
	"MSG_DONTWAIT": unix.MSG_DONTWAIT, "MSG_DONTROUTE": unix.MSG_DONTROUTE, "MSG_MORE": unix.MSG_MORE,
	"MSG_OOB": unix.MSG_OOB, "MSG_PEEK": unix.MSG_PEEK, "MSG_TRUNC": unix.MSG_TRUNC, "MSG_WAITALL": unix.MSG_WAITALL,
}
