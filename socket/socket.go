package socket

import (
	"context"
	"io"
	"net/netip"
	"runtime"
	"sync/atomic"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A Socket is a handle on a socket: see the package's documentation for what
// all methods have in common. When the program forgets it, its descriptor is
// closed; closing it in time is better. The zero Socket is of no use.
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
	reg loop.Blocking

	recvTimeout timeout
	sendTimeout timeout
	lowWater    atomic.Int32 // SO_RCVLOWAT if it was set, else 0

	// owed is an errno that the kernel has given up and nobody has been told
	// of: a call that had transferred something when it struck returned its
	// count. The next call reports it, as the kernel would.
	owed atomic.Uint32

	// shutdowns changes with every Shutdown: a connect in progress must know.
	shutdowns atomic.Uint32

	// atEnd says that a read found the end, or that the connection broke.
	atEnd atomic.Bool

	remote peer                  // the remote address; none while there is none
	input  atomic.Pointer[input] // nil until a method needs it

	group  *loop.Group
	family Family
	typ    Type
	proto  Protocol
}

// New makes a socket: socket(2), and bind(2) if an option gives a local
// address. Numbers that the kernel does not know give its errors, such as
// EAFNOSUPPORT, EPROTONOSUPPORT or EINVAL; so does a bind, such as EADDRINUSE. An
// option that is wrong, or for another family, is EINVAL, and so is a type with
// flags.
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
	if err := typ.plain(op, what); err != nil {
		return nil, err
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
	s, err := attach(fd, c)
	if err != nil {
		o.unbind()
		unix.Close(fd)
		return nil, fail(op, "", err)
	}
	return s, nil
}

// Pair makes two connected sockets, on the default group: socketpair(2). The
// family is Unix; others mostly are EOPNOTSUPP.
func Pair(family Family, typ Type, protocol Protocol) (a, b *Socket, err error) {
	const op = "socketpair"
	what := family.String() + " " + typ.String()
	if err := typ.plain(op, what); err != nil {
		return nil, nil, err
	}
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

// plain refuses the flags that socket(2) takes together with a type: they are
// set anyway.
func (t Type) plain(op, what string) error {
	if int(t)&(unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC) != 0 {
		return invalid(op, what, unix.EINVAL, "the type has flags")
	}
	return nil
}

// adopt puts a descriptor on a loop and makes its handle. It closes the
// descriptor when it fails.
func adopt(op string, fd int, c *core) (*Socket, error) {
	s, err := attach(fd, c)
	if err != nil {
		unix.Close(fd)
		return nil, fail(op, "", err)
	}
	return s, nil
}

// attach is adopt that leaves the descriptor alone when it fails.
func attach(fd int, c *core) (*Socket, error) {
	if err := c.register(c.group.Pick(netip.Addr{}), fd); err != nil {
		return nil, err
	}
	s := &Socket{core: c}
	runtime.AddCleanup(s, func(r *loop.Blocking) { r.Abandon() }, &c.reg)
	return s, nil
}

// register puts the descriptor on a loop.
func (c *core) register(l *loop.Loop, fd int) error {
	edges := loop.DropWritable
	if c.stream() && (c.family == Inet || c.family == Inet6) {
		edges = loop.KeepWritable
	}
	if c.family != Inet && c.family != Inet6 && c.family != Unix {
		c.reg.Share() // how exact its events are is not known
	}
	return l.Register(&c.reg.Registration, fd, edges)
}

// stream reports whether the socket carries a stream of bytes: then a read of
// nothing is the end, and a short read leaves nothing behind.
func (c *core) stream() bool { return c.typ == Stream }

// With returns a view of s: the same socket, but the calls made through the
// view return EINTR, and the context's cause, when ctx is done. A call that
// need not wait is not affected unless ctx is done before; one that cannot wait
// (MSG_DONTWAIT, options, Shutdown, Close) is never. A nil ctx is none.
func (s *Socket) With(ctx context.Context) *Socket {
	return &Socket{core: s.core, ctx: ctx, parent: s}
}

// Interrupt ends the calls that are blocked on the socket at this moment, with
// EINTR, as a signal would. What they have transferred is not lost: a call
// that has a count returns it. The next call is not affected.
func (s *Socket) Interrupt() {
	s.core.reg.Interrupt()
	runtime.KeepAlive(s)
}

// Close closes the socket and all views of it: close(2). Calls that are blocked
// on it return EBADF; the descriptor's number is free for reuse when all of them
// have returned. Buffered input is dropped. With SO_LINGER it waits, as close(2)
// does, for what is not sent yet. A second Close returns EBADF.
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
func (s *Socket) Registration() *loop.Registration { return &s.core.reg.Registration }

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

// RemoteAddr is the peer's address: what Connect resolved, Accept was told, or
// RecvFrom found last, or else what getpeername(2) says. It is the zero Addr
// while there is no peer. What a socket was told stays when it is closed.
func (s *Socket) RemoteAddr() Addr {
	if a := s.core.remote.get(); a.IsValid() {
		return a
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
// EINVAL, Connect ECONNRESET. An inet socket without a peer gives ENOTCONN.
func (s *Socket) Shutdown(how int) error {
	return s.control("shutdown", "", func(fd int) error {
		s.core.shutdowns.Add(1) // before a connect in progress notices
		err := unix.Shutdown(fd, how)
		if err != nil {
			s.core.shutdowns.Add(^uint32(0))
			return err
		}
		s.core.shutdowns.Add(1) // for one that began meanwhile
		// The kernel does not report it to those who wait to send on a unix
		// socket.
		s.core.reg.Doubt()
		return nil
	})
}

// Listen makes the socket accept connections, and lets backlog of them wait
// for Accept: listen(2). The kernel takes /proc/sys/net/core/somaxconn for a
// greater or negative backlog. While it is full, a client's Connect waits, as
// Linux has it; the ECONNREFUSED that the class names is for other systems. A
// socket of a type without connections gives EOPNOTSUPP, and an unbound unix one
// EINVAL.
func (s *Socket) Listen(backlog int) error {
	return s.control("listen", "", func(fd int) error { return unix.Listen(fd, backlog) })
}

// SetNoDelay sets TCP_NODELAY: small segments leave at once, instead of waiting
// for the acknowledgement of those before. See tcp(7). A socket of another
// protocol gives EOPNOTSUPP or ENOPROTOOPT.
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
