// Package socket is a socket class over an event loop: its methods look
// blocking, its descriptors never block.
//
// A Socket behaves as a blocking socket of the kernel does: the same results,
// errors, and effects on the next call. A call that must wait parks its
// goroutine; the timeouts SO_RCVTIMEO and SO_SNDTIMEO, which the kernel ignores
// on non-blocking descriptors, are kept by the loop's timing wheel.
//
//	s, err := socket.New(socket.Inet, socket.Stream, 0)
//	err = s.SetRecvTimeout(5 * time.Second)
//	err = s.Connect("www.example.com", "http")
//	_, err = s.Write([]byte("HEAD / HTTP/1.0\r\n\r\n"))
//	n, err := s.Recv(buf, 0)
//	err = s.Close()
//
// All methods may be called by any goroutine at any time. In each direction
// one call at a time works on a socket; others wait in the order of their
// coming, their own timeouts running. Two things are better than in the
// kernel: a Close wakes every call that is blocked on the socket (EBADF), and a
// blocked call can be interrupted (EINTR), by Interrupt or by a context (With).
package socket

import (
	"context"
	"io"
	"runtime"
	"sync/atomic"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A Socket is a handle on a socket. When the program forgets it, its
// descriptor is closed; closing it in time is better.
type Socket struct {
	core *core
	// ctx ends the blocked calls of this handle; nil for none.
	ctx context.Context
	// parent is the handle that this one is a view of. It keeps it from being
	// collected, and so the socket from being closed.
	parent *Socket
}

// core is what a socket is. The loop holds it, and handles point to it; it
// points to no handle, or a forgotten one would never be collected.
type core struct {
	reg loop.Registration

	recvTimeout timeout
	sendTimeout timeout
	lowWater    atomic.Int32 // SO_RCVLOWAT if it was set, else 0

	// owed is an errno that the kernel has given up and nobody has been told
	// of: a call that had transferred something when it struck returned its
	// count. The next call reports it, as the kernel would.
	owed atomic.Uint32

	// shutdowns counts calls of Shutdown: a connect in progress must know.
	shutdowns atomic.Uint32

	// atEnd says that a read found the end, or that the connection broke.
	atEnd atomic.Bool

	remote atomic.Pointer[Addr]  // of the peer; nil while there is none
	input  atomic.Pointer[input] // nil until a method needs it

	group  *loop.Group
	family Family
	typ    Type
	proto  Protocol
}

// A Protocol is a protocol number, as in protocols(5). Zero is the usual one
// of a family and type.
type Protocol int

// New makes a socket: socket(2), and bind(2) if an option gives a local
// address. Names and numbers that the kernel does not know give its errors,
// such as EAFNOSUPPORT, EPROTONOSUPPORT or EINVAL.
func New(family Family, typ Type, protocol Protocol, opts ...Option) (*Socket, error) {
	const op = "socket"
	what := family.String() + " " + typ.String()
	o, err := collect(family, opts)
	if err != nil {
		return nil, err
	}
	group, err := o.home()
	if err != nil {
		return nil, fail(op, what, err)
	}
	if int(typ)&(unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC) != 0 {
		return nil, invalid(op, what, unix.EINVAL, "the type has flags")
	}
	fd, err := unix.Socket(int(family), int(typ)|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(protocol))
	if err != nil {
		return nil, fail(op, what, err)
	}
	if err := o.prepare(fd, family); err != nil {
		unix.Close(fd)
		return nil, err
	}
	c := &core{group: group, family: family, typ: typ, proto: protocol}
	c.sizeInput(o.maxString, o.maxLine)
	return adopt(op, fd, c)
}

// Pair makes two connected sockets: socketpair(2). The family is Unix.
func Pair(family Family, typ Type, protocol Protocol) (a, b *Socket, err error) {
	const op = "socketpair"
	what := family.String() + " " + typ.String()
	group, err := loop.Default()
	if err != nil {
		return nil, nil, fail(op, what, err)
	}
	fds, err := unix.Socketpair(int(family), int(typ)|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(protocol))
	if err != nil {
		return nil, nil, fail(op, what, err)
	}
	if a, err = adopt(op, fds[0], &core{group: group, family: family, typ: typ, proto: protocol}); err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	if b, err = adopt(op, fds[1], &core{group: group, family: family, typ: typ, proto: protocol}); err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// adopt puts a descriptor on a loop and makes its handle. It closes the
// descriptor when it fails.
func adopt(op string, fd int, c *core) (*Socket, error) {
	edges := loop.DropWritable
	if c.stream() && (c.family == Inet || c.family == Inet6) {
		edges = loop.KeepWritable
	}
	if c.family != Inet && c.family != Inet6 && c.family != Unix {
		c.reg.Share() // how exact its events are is not known
	}
	if err := c.group.Pick().Register(&c.reg, fd, edges); err != nil {
		unix.Close(fd)
		return nil, fail(op, "", err)
	}
	s := &Socket{core: c}
	runtime.AddCleanup(s, func(r *loop.Registration) { r.Close() }, &c.reg)
	return s, nil
}

// stream reports whether the socket carries a stream of bytes: then a read of
// nothing is the end, and a short read leaves nothing behind.
func (c *core) stream() bool { return c.typ == Stream }

// With returns a view of s: the same socket, but the calls made through the
// view return EINTR, and the context's cause, when ctx is done. A call that
// need not wait is not affected unless ctx is done before.
func (s *Socket) With(ctx context.Context) *Socket {
	return &Socket{core: s.core, ctx: ctx, parent: s}
}

// Interrupt ends the calls that are blocked on the socket at this moment, with
// EINTR, as a signal would. What they have transferred is not lost: a call
// that has a count returns it.
func (s *Socket) Interrupt() {
	s.core.reg.Interrupt()
	runtime.KeepAlive(s)
}

// Close closes the socket: close(2). Calls that are blocked on it return
// EBADF; the descriptor's number is free for reuse when all of them have
// returned. A second Close returns EBADF.
func (s *Socket) Close() error {
	err := s.core.reg.Close()
	s.core.dropInput(0)
	runtime.KeepAlive(s)
	if err != nil {
		return fail("close", "", err)
	}
	return nil
}

// Fd is the descriptor, or -1 of a closed socket. It stays the socket's: it
// is non-blocking, and must not be closed. It is valid until s is closed or
// forgotten.
func (s *Socket) Fd() int {
	fd := -1
	if s.core.reg.Use() == nil {
		fd = s.core.reg.FD()
		s.core.reg.Done()
	}
	runtime.KeepAlive(s)
	return fd
}

// Registration is what the loop knows of the socket. It is for weir.Select, and
// belongs to the socket: it must not be closed.
func (s *Socket) Registration() *loop.Registration { return &s.core.reg }

// Family is the socket's address family.
func (s *Socket) Family() Family { return s.core.family }

// Type is the socket's type.
func (s *Socket) Type() Type { return s.core.typ }

// LocalAddr is the address that the socket is bound to: getsockname(2). It is
// the zero Addr of a closed socket.
func (s *Socket) LocalAddr() Addr {
	a, _ := s.address(unix.SYS_GETSOCKNAME)
	return a
}

// RemoteAddr is the peer's address: what Connect resolved or Accept was told,
// or else what getpeername(2) says. It is the zero Addr while there is no peer.
func (s *Socket) RemoteAddr() Addr {
	if a := s.core.remote.Load(); a != nil {
		return *a
	}
	a, _ := s.address(unix.SYS_GETPEERNAME)
	return a
}

func (s *Socket) address(trap uintptr) (Addr, error) {
	defer runtime.KeepAlive(s)
	if err := s.core.reg.Use(); err != nil {
		return Addr{}, err
	}
	defer s.core.reg.Done()
	a, errno := sockname(trap, s.core.reg.FD())
	if errno != 0 {
		return Addr{}, errno
	}
	return a, nil
}

// control makes a system call that cannot wait.
func (s *Socket) control(op, addr string, call func(fd int) error) error {
	defer runtime.KeepAlive(s)
	err := s.core.reg.Use()
	if err == nil {
		err = call(s.core.reg.FD())
		s.core.reg.Done()
	}
	if err != nil {
		return fail(op, addr, err)
	}
	return nil
}

// Shutdown closes one direction or both, by unix.SHUT_RD, SHUT_WR or
// SHUT_RDWR: shutdown(2). Blocked calls notice: Recv finds the end, Accept says
// EINVAL, Connect ECONNRESET.
func (s *Socket) Shutdown(how int) error {
	return s.control("shutdown", "", func(fd int) error {
		s.core.shutdowns.Add(1) // before a connect in progress notices
		err := unix.Shutdown(fd, how)
		if err != nil {
			s.core.shutdowns.Add(^uint32(0))
		}
		return err
	})
}

// Listen makes the socket accept connections, and lets backlog of them wait
// for Accept: listen(2). The kernel takes /proc/sys/net/core/somaxconn for a
// greater or negative backlog.
func (s *Socket) Listen(backlog int) error {
	return s.control("listen", "", func(fd int) error { return unix.Listen(fd, backlog) })
}

// SetNoDelay sets TCP_NODELAY: small segments leave at once, instead of waiting
// for the acknowledgement of those before.
func (s *Socket) SetNoDelay(on bool) error {
	v := 0
	if on {
		v = 1
	}
	return s.control("setsockopt", "TCP_NODELAY", func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, v)
	})
}

var _ io.Closer = (*Socket)(nil)
