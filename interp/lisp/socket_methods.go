package lisp

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

var socketMethods = methodSet{
	class: "socket",
	intro: "An object is a socket of the system. Its methods wait for as long as SO_RCVTIMEO or SO_SNDTIMEO says. A method that fails returns nil and sets *lastsocketerror*. The end of a stream is not an error.",
	methods: []definition{
		{"(constructor SELF FAMILY TYPE PROTOCOL [KEYWORD VALUE] ...)", "opens a socket. FAMILY is a symbol: unix, local, inet, inet6 or another. TYPE is stream, dgram, seqpacket, raw or rdm. PROTOCOL is a number or a name. The keywords are 'maxstring, the size of the input buffer in bytes; 'filename, the path of a unix socket; 'address and 'port, the address to bind to; 'reuseaddress, the value of SO_REUSEADDR. make-instance calls it, and the constructor of a child of socket should call it. If 'address is a name, the look-up takes up to 30 seconds, and an interruption does not end it.", entry{1, -1, constructSocket}},
		{"(destructor SELF)", "closes the socket. destroy-instance calls it.", f1(closeObject)},
		{"(accept SOCKET)", "accepts a connection on a listening socket, and returns it as an object of the same class. It does not call the constructor.", f1(accept)},
		{"(listen SOCKET BACKLOG)", "makes the socket listen. BACKLOG is the number of connections that may wait for accept. When the backlog is full, Linux does not refuse a client. The connect of a TCP client tries again until its time is up. The connect of a unix client waits for as long as its SO_SNDTIMEO says. It returns t.", f2(listen)},
		{"(connect SOCKET HOST [SERVICE])", "connects to a host and a service. HOST is a name or an address, and SERVICE a port or the name of a service. Without SERVICE the port is 0. For a unix socket HOST is the path. It returns t.", f3(connect).with(1)},
		{"(recv SOCKET BINARY ['length N] ['flags N])", "receives into a binary and returns the number of bytes, or EOF at the end. It empties the input buffer.", entry{2, -1, recv}},
		{"(recv-from SOCKET BINARY ['length N] ['flags N])", "does what recv does, and sets the properties remoteaddress and remoteport to the sender's.", entry{2, -1, recvFrom}},
		{"(recv-msg SOCKET LIST ['flags N] ['descriptors N])", "receives one message into the binaries of a list. It returns the list (COUNT FLAGS OBJECTS FROM), or EOF at the end. COUNT is the number of bytes. FLAGS has flags such as MSG_TRUNC. OBJECTS are the sockets and files whose descriptors came with the message, at most N. FROM is the sender's address, in the form of getsockname.", entry{2, -1, recvMsg}},
		{"(send SOCKET BINARY ['length N] ['flags N])", "sends a binary and returns the number of bytes that were sent, which may be smaller. It returns EOF if the connection is broken or closed.", entry{2, -1, send}},
		{"(send-to SOCKET BINARY HOST PORT ['length N] ['flags N])", "sends a message to an address.", entry{4, -1, sendTo}},
		{"(send-msg SOCKET LIST ['flags N] ['descriptors LIST] ['address HOST] ['port N])", "sends the binaries of a list as one message, and returns the number of bytes. 'descriptors has sockets and files whose descriptors go with the message. They stay open here.", entry{2, -1, sendMsg}},
		{"(sendfile SOCKET FILE [LENGTH])", "sends the rest of a regular file, or LENGTH bytes of it, and returns the number of bytes. It begins at the place in the file up to which it was read into the input buffer. The kernel copies the bytes: see sendfile(2).", f3(sendfile).with(1)},
		{"(fread SOCKET BINARY [LENGTH])", "reads into a binary and returns the number of bytes, or nil at the end. It takes the bytes of the input buffer. If the buffer is empty, it makes one recv(2).", f3(fread).with(1)},
		{"(fwrite SOCKET BINARY [LENGTH])", "writes all of a binary, or its first LENGTH bytes, and returns the number of bytes.", f3(fwrite).with(1)},
		{"(read-char SOCKET)", "reads a character and returns its number, or EOF at the end. A timeout in the middle of a character loses the bytes that have arrived.", f1(readChar)},
		{"(unread-char SOCKET)", "pushes back the character that read-char has returned last. The next read begins with it.", f1(unreadChar)},
		{"(char-in-buffer SOCKET [FLAG])", "returns t if a character is pushed back. If FLAG is given, it then sets the state: true pushes back the character that read-char has returned last, nil undoes that. If read-char has returned no character yet, or recv has received since, there is nothing to push back, and the state stays nil.", entry{1, 2, charInBuffer}},
		{"(read-string SOCKET)", "returns the text in the input buffer. If the buffer is empty, it returns the text that one recv(2) gives, or nil at the end.", f1(readString)},
		{"(read-line SOCKET)", "reads a line and returns it without the newline and a carriage return before that. At the end it returns nil.", f1(readLine)},
		{"(clear-input SOCKET)", "empties the input buffer.", f1(clearInput)},
		{"(write-char SOCKET N)", "writes the character with the number N, and returns N.", f2(writeChar)},
		{"(write-string SOCKET STRING)", "writes a string, and returns it.", writing((*socket.Socket).WriteString)},
		{"(write-line SOCKET STRING)", "writes a string and a newline, and returns the string.", writing((*socket.Socket).WriteLine)},
		{"(eof SOCKET)", "returns t if the stream has ended and the input buffer is empty, if an error has ended the connection, or if the socket is closed.", f1(func(_ *Thread, o *Object) (Value, error) { return truth(o.socket.EOF()), nil })},
		{"(shutdown SOCKET DIRECTION)", "closes one direction of a connection, 'read or 'write, or 'both: see shutdown(2). After 'write the peer receives the end of the stream, and may still send. It returns t.", f2(shutdown)},
		{"(getsockname SOCKET)", "returns the socket's own address as the list (ADDRESS PORT). For a unix socket it returns the path, or nil if there is none.", f1(getsockname)},
		{"(getpeername SOCKET)", "returns the peer's address, in the form of getsockname.", f1(getpeername)},
		{"(sockatmark SOCKET)", "returns t if the next byte to receive is the one after urgent data: see sockatmark(3).", f1(sockatmark)},
		{"(getsockopt SOCKET LEVEL OPTION)", "returns the value of an option. The value of a flag is t or nil, that of a timeout its milliseconds, or nil if it is off, and that of a structure a list. LEVEL is a number or a name; nil means SOL_SOCKET.", f3(getsockopt)},
		{"(setsockopt SOCKET LEVEL OPTION [VALUE])", "sets an option. A timeout is a number of milliseconds; 0 or nil means no timeout. It returns t.", entry{4, 4, setsockopt}.with(1)},
		{"(showbin SOCKET [BINARY [LENGTH]])", "prints the state of the input buffer and of the flags. It returns t.", f3(showbin).with(2)},
	},
}

func accept(t *Thread, s *Object) (Value, error) {
	c, err := t.bound(s).Accept()
	if err != nil {
		return t.failed(err)
	}
	return t.accepted(s, c)
}

func connect(t *Thread, s *Object, host string, port Value) (Value, error) {
	service, err := serviceArg(port)
	if err != nil {
		return nil, err
	}
	return t.success(t.bound(s).Connect(host, service))
}

// serviceArg returns a port or the name of a service. For nil it returns port 0.
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

func listen(t *Thread, s *Object, v Value) (Value, error) {
	backlog, err := within(v, -1<<31, 1<<31-1)
	if err != nil {
		return nil, err
	}
	return t.success(s.socket.Listen(backlog))
}

// A transfer has the arguments that recv, send and similar methods share: a socket,
// the bytes of a binary, and flags.
type transfer struct {
	socket *socket.Socket
	binary *Binary
	length int
	flags  int
}

// transfer parses the arguments (SOCKET BINARY OTHER ... 'length N 'flags N).
func (t *Thread) transfer(args []Value, others int) (*transfer, error) {
	s, err := arg[*Object](args[0])
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

// transferred returns a count. For an error it returns the results of failedOrEOF.
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
	n, err := tr.binary.send(func(data []byte) (int, error) {
		return tr.socket.Send(data[:tr.length], tr.flags)
	})
	return t.transferred(n, err)
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
	n, err := tr.binary.send(func(data []byte) (int, error) {
		return tr.socket.SendTo(data[:tr.length], host, service, tr.flags)
	})
	return t.transferred(n, err)
}

// fread returns nil at the end of the stream and after an error, as read-string does,
// so that a loop ends in both cases. The method eof distinguishes them.
func fread(t *Thread, s *Object, b *Binary, v Value) (Value, error) {
	length, err := b.upTo(v)
	if err != nil {
		return nil, err
	}
	if length == 0 && s.fd() < 0 {
		return t.failed(errDestroyed)
	}
	n, err := b.fill(func(data []byte) (int, error) { return t.bound(s).Fread(data[:length]) })
	if err != nil {
		return t.failed(err)
	}
	return int64(n), nil
}

// fwrite returns the number of bytes that it wrote, even after an error, which sets
// *lastsocketerror*. If it wrote nothing before the error, it returns nil.
func fwrite(t *Thread, s *Object, b *Binary, v Value) (Value, error) {
	length, err := b.upTo(v)
	if err != nil {
		return nil, err
	}
	if length == 0 && s.fd() < 0 {
		return t.failed(errDestroyed)
	}
	n, err := b.send(func(data []byte) (int, error) { return t.bound(s).Fwrite(data[:length]) })
	if err != nil {
		if v, err := t.failed(err); err != nil || n == 0 {
			return v, err
		}
	}
	return int64(n), nil
}

func readChar(t *Thread, s *Object) (Value, error) {
	c, _, err := t.bound(s).ReadRune()
	if err != nil {
		return t.failedOrEOF(err)
	}
	return int64(c), nil
}

func readString(t *Thread, s *Object) (Value, error) {
	text, err := t.bound(s).ReadString()
	if err != nil {
		return t.failed(err)
	}
	return text, nil
}

func readLine(t *Thread, s *Object) (Value, error) {
	text, err := t.bound(s).ReadLine()
	if err != nil {
		return t.failed(err)
	}
	return text, nil
}

func writeChar(t *Thread, s *Object, v Value) (Value, error) {
	c, err := within(v, 0, 0x10FFFF)
	if err != nil {
		return nil, err
	}
	if _, err := t.bound(s).WriteRune(rune(c)); err != nil {
		return t.failed(err)
	}
	return v, nil
}

// writing makes write-string or write-line, which return their string.
func writing(write func(*socket.Socket, string) (int, error)) entry {
	return f2(func(t *Thread, s *Object, text string) (Value, error) {
		if text == "" && s.fd() < 0 {
			return t.failed(errDestroyed)
		}
		if _, err := write(t.bound(s), text); err != nil {
			return t.failed(err)
		}
		return text, nil
	})
}

// charInBuffer returns the flag. With a second argument it then sets the flag.
func charInBuffer(_ *Thread, args []Value) (Value, error) {
	s, err := arg[*Object](args[0])
	if err != nil {
		return nil, err
	}
	was := s.socket.CharInBuffer()
	if len(args) == 2 {
		s.socket.SetCharInBuffer(args[1] != nil)
	}
	return truth(was), nil
}

func unreadChar(t *Thread, s *Object) (Value, error) {
	return t.failed(s.socket.UnreadRune())
}

func clearInput(_ *Thread, s *Object) (Value, error) {
	s.socket.ClearInput()
	return nil, nil
}

// levelArg returns the level of an option. nil stands for SOL_SOCKET.
func levelArg(v Value) (any, error) {
	switch v := v.(type) {
	case nil, string:
		return v, nil
	case int64:
		return within(v, -1<<31, 1<<31-1)
	}
	return nil, wanted("a level as a number or name, or nil", v)
}

// getsockopt returns t or nil for a flag. For a timeout it returns milliseconds, as an
// integer if that is exact, or nil if the timeout is off.
func getsockopt(t *Thread, s *Object, v Value, name *Symbol) (Value, error) {
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
	s, err := arg[*Object](args[0])
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
	err = s.socket.Setsockopt(level, name.name, ToGo(args[3]))
	var e *socket.Error
	if errors.As(err, &e) && e.Errno == unix.EINVAL && e.Err != nil {
		return nil, fmt.Errorf("%s does not take %s", name.name, brief(args[3])) // no system call was made
	}
	return t.success(err)
}
