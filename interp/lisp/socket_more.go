package lisp

import (
	"fmt"
	"io"
	"os"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// errDestroyed is the error of a method on a closed socket, for the calls that do not
// reach package socket.
var errDestroyed = &socket.Error{Op: "socket", Errno: unix.EBADF, Err: errClosedFile}

// accepted makes the object of an accepted connection. Its class is the listener's.
func (t *Thread) accepted(listener *Object, c *socket.Socket) (Value, error) {
	o := wrap(c, listener.class, listener.maxString)
	return o, t.initialize(o, listener.class)
}

// directions has the names of the directions of shutdown(2).
var directions = map[string]int{"read": unix.SHUT_RD, "write": unix.SHUT_WR, "both": unix.SHUT_RDWR}

func shutdown(t *Thread, o *Object, direction *Symbol) (Value, error) {
	how, ok := directions[direction.name]
	if !ok {
		return nil, wanted("a direction: read, write or both", direction)
	}
	return t.success(o.socket.Shutdown(how))
}

// addressOf returns an address as getsockname returns it.
func addressOf(a socket.Addr) Value {
	switch {
	case !a.IsValid():
		return nil
	case a.Family() == socket.Unix:
		return hostOf(a, true)
	}
	return ListOf(a.Host(), int64(a.Port()))
}

func getsockname(t *Thread, o *Object) (Value, error) {
	if o.fd() < 0 {
		return t.failed(errDestroyed)
	}
	return addressOf(o.socket.LocalAddr()), nil
}

func getpeername(t *Thread, o *Object) (Value, error) {
	if o.fd() < 0 {
		return t.failed(errDestroyed)
	}
	peer := o.socket.RemoteAddr()
	if !peer.IsValid() {
		return t.failed(&socket.Error{Op: "getpeername", Errno: unix.ENOTCONN})
	}
	return addressOf(peer), nil
}

func sockatmark(t *Thread, o *Object) (Value, error) {
	c, err := o.socket.SyscallConn()
	if err != nil {
		return t.failed(err)
	}
	at := 0
	if failed := c.Control(func(fd uintptr) { at, err = unix.IoctlGetInt(int(fd), unix.SIOCATMARK) }); failed != nil {
		err = failed
	}
	if err != nil {
		return t.failed(err)
	}
	return truth(at != 0), nil
}

func socketpair(t *Thread, family, typ *Symbol, protocol Value) (Value, error) {
	f, ty, p, err := kindOf(family, typ, protocol)
	if err != nil {
		return t.failed(err)
	}
	a, b, err := socket.Pair(f, ty, p)
	if err != nil {
		return t.failed(err)
	}
	return ListOf(wrap(a, t.in.socketClass, 0), wrap(b, t.in.socketClass, 0)), nil
}

func pipe(t *Thread, _ []Value) (Value, error) {
	var r, w *os.File
	err := socket.WithDescriptor(func() (err error) {
		r, w, err = os.Pipe()
		return err
	})
	if err != nil {
		return t.failed(err)
	}
	return ListOf(&Object{class: t.in.fileClass, file: newFile("pipe", r)}, &Object{class: t.in.fileClass, file: newFile("pipe", w)}), nil
}

func sendfile(t *Thread, o *Object, from *Object, length Value) (Value, error) {
	if from.file == nil || !from.file.regular || from.file.file == nil {
		return nil, wanted("a regular file", from)
	}
	var source io.Reader = from.file.file
	if length != nil {
		n, ok := length.(int64)
		if !ok || n < 0 {
			return nil, wanted("a length of 0 or more bytes", length)
		}
		source = io.LimitReader(source, n)
	}
	n, err := t.bound(o).ReadFrom(source)
	if err != nil {
		if v, err := t.failed(err); err != nil || n == 0 {
			return v, err
		}
	}
	return n, nil
}

// lend lends the bytes of binaries to a call. fill says whether the call writes to
// them.
func lend(list *List, fill bool, buffers [][]byte, call func([][]byte) (int, error)) (int, error) {
	if list == nil {
		return call(buffers)
	}
	b, err := arg[*Binary](list.head)
	if err != nil {
		return 0, err
	}
	within := func(data []byte) (int, error) { return lend(list.tail, fill, append(buffers, data), call) }
	if fill {
		return b.fill(within)
	}
	return b.send(within)
}

// maxDescriptors is the most descriptors that the kernel allows in one message
// (SCM_MAX_FD).
const maxDescriptors = 253

// messageArgs returns the socket and the list of binaries of send-msg and recv-msg.
func messageArgs(args []Value) (o *Object, list *List, err error) {
	if o, err = arg[*Object](args[0]); err == nil {
		list, err = arg[*List](args[1])
	}
	return o, list, err
}

func sendMsg(t *Thread, args []Value) (Value, error) {
	o, list, err := messageArgs(args)
	if err != nil {
		return nil, err
	}
	m := &socket.Message{}
	flags, host, port := 0, "", Value(nil)
	var passed []*Object
	err = keywords(args[2:], map[string]func(Value) error{
		"flags":   func(v Value) (err error) { flags, err = within(v, 0, 1<<31-1); return err },
		"address": func(v Value) (err error) { host, err = arg[string](v); return err },
		"port":    func(v Value) error { port = v; _, err := serviceArg(v); return err },
		"descriptors": func(v Value) (err error) {
			passed, m.Control, err = rights(v)
			return err
		},
	})
	if err == nil && host != "" {
		m.Addr, err = messageAddress(o, host, port)
	}
	if err != nil {
		return t.failed(err)
	}
	n, err := lend(list, false, nil, func(buffers [][]byte) (int, error) {
		m.Buffers = buffers
		n, err := t.bound(o).SendMsg(m, flags)
		keepAlive(passed)
		return n, err
	})
	return t.transferred(n, err)
}

// messageAddress parses the address of a message: a numeric address, or a path.
func messageAddress(o *Object, host string, port Value) (socket.Addr, error) {
	if o.socket.Family() == socket.Unix {
		return socket.UnixAddr(host), nil
	}
	service, err := serviceArg(port)
	if err != nil {
		return socket.Addr{}, err
	}
	text := host + ":" + service
	if o.socket.Family() == socket.Inet6 {
		text = "[" + host + "]:" + service
	}
	a, err := socket.ParseAddr(o.socket.Family(), text)
	if err != nil {
		return a, fmt.Errorf("an address in figures and a port are needed: %w", plain(err))
	}
	return a, nil
}

// rights makes the control message that passes the descriptors of objects.
func rights(v Value) ([]*Object, []byte, error) {
	list, err := arg[*List](v)
	if err != nil {
		return nil, nil, err
	}
	var objects []*Object
	var fds []int
	for ; list != nil; list = list.tail {
		o, err := arg[*Object](list.head)
		if err != nil {
			return nil, nil, err
		}
		fd := o.fd()
		if fd < 0 {
			return nil, nil, wanted("a socket or file that is open", o)
		}
		objects, fds = append(objects, o), append(fds, fd)
	}
	if len(fds) > maxDescriptors {
		return nil, nil, fmt.Errorf("at most %d descriptors go with one message", maxDescriptors)
	}
	if len(fds) == 0 {
		return nil, nil, nil
	}
	return objects, unix.UnixRights(fds...), nil
}

func recvMsg(t *Thread, args []Value) (Value, error) {
	o, list, err := messageArgs(args)
	if err != nil {
		return nil, err
	}
	m := &socket.Message{}
	flags := 0
	err = keywords(args[2:], map[string]func(Value) error{
		"flags": func(v Value) (err error) { flags, err = within(v, 0, 1<<31-1); return err },
		"descriptors": func(v Value) error {
			n, err := within(v, 0, maxDescriptors)
			if err == nil && n > 0 {
				m.Control = make([]byte, unix.CmsgSpace(4*n))
			}
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	n, err := lend(list, true, nil, func(buffers [][]byte) (int, error) {
		m.Buffers = buffers
		return t.bound(o).RecvMsg(m, flags)
	})
	if err != nil {
		return t.failedOrEOF(err)
	}
	var came []Value
	for _, fd := range m.Descriptors() {
		came = append(came, t.adopt(fd))
	}
	return ListOf(int64(n), int64(m.Flags), ListOf(came...), addressOf(m.Addr)), nil
}

// adopt makes an object of a descriptor. If the descriptor is no socket, the object is
// a file.
func (t *Thread) adopt(fd int) *Object {
	if s, err := socket.Adopt(fd); err == nil {
		return wrap(s, t.in.socketClass, 0)
	}
	return &Object{class: t.in.fileClass, file: newFile("descriptor", os.NewFile(uintptr(fd), "descriptor"))}
}
