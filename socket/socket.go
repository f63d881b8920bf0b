package socket

import (
	"context"
	"io"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A Socket is a handle on a socket: see the package's documentation for what
// all methods have in common. When the program forgets it, its descriptor is
// closed; closing it in time is better. The zero Socket is of no use. It is
// concurrency-safe.
type Socket struct {
	core *core
	// ctx ends the blocked calls of this handle; nil for none.
	ctx context.Context
	// parent is the handle that this one is a view of. It keeps it from being
	// collected, and so the socket from being closed.
	parent *Socket
}

// A core is the socket itself. The loop and the handles point to it. It points to no
// handle; otherwise a forgotten handle would never be collected.
type core struct {
	reg loop.Blocking

	recvTimeout timeout
	sendTimeout timeout
	lowWater    atomic.Int32 // SO_RCVLOWAT if it was set, else 0

	// owed is an errno that the kernel has given up and that no call has
	// returned: a call that had transferred something by then returned its
	// count. The next call returns it, as it would in the kernel.
	owed atomic.Uint32

	// shutdowns changes with every Shutdown, so that a connect in progress
	// notices it.
	shutdowns atomic.Uint32

	// atEnd says that a read found the end, or that the connection broke. It shares its
	// word with the spree, because an idle socket is small.
	atEnd flagAndSpree

	remote peer                  // the remote address; none while there is none
	goal   atomic.Pointer[goal]  // of a ConnectStart that has not ended; else nil
	input  atomic.Pointer[input] // nil until a method needs it

	pace   *rate.Pair // limits how fast the calls transfer; nil for no limit
	group  *loop.Group
	family Family
	typ    Type
}

// New makes a socket that is not bound, on the default group: socket(2). The
// kernel refuses numbers that it does not know, with errors such as EAFNOSUPPORT,
// EPROTONOSUPPORT or EINVAL. A type with flags is EINVAL. If the process has no
// descriptor left (EMFILE, ENFILE), New first collects the sockets that the
// program has forgotten, and tries again.
func New(family Family, typ Type, protocol Protocol) (*Socket, error) {
	return Config{}.New(family, typ, protocol)
}

// New makes a socket as the function New does, and binds it if the Config has a
// local address: bind(2), which may be refused with errors such as EADDRINUSE. A
// field that is wrong, or is for another family, is EINVAL.
func (cfg Config) New(family Family, typ Type, protocol Protocol) (*Socket, error) {
	const op = "socket"
	what := family.String() + " " + typ.String()
	if err := cfg.check(family); err != nil {
		return nil, err
	}
	group, err := cfg.group()
	if err != nil {
		return nil, fail(op, what, err)
	}
	if err := typ.plain(op, what); err != nil {
		return nil, err
	}
	var fd int
	errno := withDescriptor(func() syscall.Errno {
		var err error
		fd, err = sys.Socket(group.Kernel(), int(family), int(typ)|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(protocol))
		return errnoOf(err)
	})
	if errno != 0 {
		return nil, fail(op, what, errno)
	}
	if err := cfg.prepare(fd, family); err != nil {
		sys.Close(fd)
		return nil, err
	}
	c := &core{group: group, family: family, typ: typ}
	c.sizeInput(int32(cfg.MaxString), int32(cfg.MaxLine))
	s, err := attach(fd, c)
	if err != nil {
		cfg.unbind()
		sys.Close(fd)
		return nil, fail(op, "", err)
	}
	return s, nil
}

// Pair makes two connected sockets, on the default group: socketpair(2). The
// family is Unix; for most others the kernel says EOPNOTSUPP.
func Pair(family Family, typ Type, protocol Protocol) (a, b *Socket, err error) {
	return Config{}.Pair(family, typ, protocol)
}

// Pair makes two connected sockets as the function Pair does. A local address is
// EINVAL, because the sockets are connected already.
func (cfg Config) Pair(family Family, typ Type, protocol Protocol) (a, b *Socket, err error) {
	const op = "socketpair"
	what := family.String() + " " + typ.String()
	if err := cfg.check(family); err != nil {
		return nil, nil, err
	}
	if cfg.binds() {
		return nil, nil, invalid(op, what, unix.EINVAL, "a pair has no local address")
	}
	if err := typ.plain(op, what); err != nil {
		return nil, nil, err
	}
	group, err := cfg.group()
	if err != nil {
		return nil, nil, fail(op, what, err)
	}
	var fds [2]int
	errno := withDescriptor(func() syscall.Errno {
		var err error
		fds, err = sys.Socketpair(group.Kernel(), int(family), int(typ)|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(protocol))
		return errnoOf(err)
	})
	if errno != 0 {
		return nil, nil, fail(op, what, errno)
	}
	var ends [2]*Socket
	for i, fd := range fds {
		c := &core{group: group, family: family, typ: typ}
		c.sizeInput(int32(cfg.MaxString), int32(cfg.MaxLine))
		err := cfg.prepare(fd, family)
		if err == nil {
			if ends[i], err = attach(fd, c); err != nil {
				err = fail(op, "", err)
			}
		}
		if err != nil {
			for _, fd := range fds[i:] {
				sys.Close(fd)
			}
			if i == 1 {
				ends[0].Close()
			}
			return nil, nil, err
		}
	}
	return ends[0], ends[1], nil
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
		sys.Close(fd)
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
	if c.group.Kernel() == nil { // a simulation must not depend on the garbage collector
		runtime.AddCleanup(s, forgotten.abandon, &c.reg)
	}
	return s, nil
}

// register puts the descriptor on a loop.
func (c *core) register(l *loop.Loop, fd int) error {
	edges := loop.DropWritable
	if c.tcp() {
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

// WithContext returns a view of s: the same socket, but calls made through the
// view return EINTR, and the context's cause, when ctx is done. A call that need
// not wait fails only if ctx is done before it begins. A call that cannot wait
// (MSG_DONTWAIT, options, Shutdown, Close) ignores ctx. A nil ctx means none.
func (s *Socket) WithContext(ctx context.Context) *Socket {
	return &Socket{core: s.core, ctx: ctx, parent: s}
}

// Interrupt ends the calls that are blocked on the socket at this moment, with
// EINTR, as a signal would. A call that has already transferred something
// returns its count instead. Later calls are not affected.
func (s *Socket) Interrupt() {
	s.core.reg.Interrupt()
	runtime.KeepAlive(s)
}

// Close closes the socket and all views of it: close(2). Calls that are blocked
// on it return EBADF; the descriptor's number is free for reuse when all of them
// have returned. Buffered input is dropped. With SO_LINGER it waits, as close(2)
// does, for what is not sent yet. A second Close returns EBADF.
func (s *Socket) Close() error { return s.closeBy(s.core.reg.Close) }

// CloseWait is Close that returns only when all calls in progress have returned
// and the descriptor is closed: an address that the socket was bound to is free
// then. A function that runs inside one of these calls, such as that of RawConn's
// Control, must not make it, because it would wait for itself.
func (s *Socket) CloseWait() error { return s.closeBy(s.core.reg.CloseWait) }

func (s *Socket) closeBy(closing func() error) error {
	err := closing()
	s.core.dropInput(0)
	runtime.KeepAlive(s)
	if err != nil {
		return fail("close", "", err)
	}
	return nil
}

// Fd returns the descriptor, or -1 if the socket is closed. The socket still
// owns it: it is non-blocking, and must not be closed. It is valid until s is
// closed or forgotten.
func (s *Socket) Fd() int {
	fd := -1
	if s.core.reg.Use() == nil {
		fd = s.core.reg.FD()
		s.core.reg.Done()
	}
	runtime.KeepAlive(s)
	return fd
}

// Registration returns the socket's registration with its loop, for Select of
// package weir. It belongs to the socket: the caller must not close it.
func (s *Socket) Registration() *loop.Registration { return &s.core.reg.Registration }

// Family returns the socket's address family.
func (s *Socket) Family() Family { return s.core.family }

// Type returns the socket's type.
func (s *Socket) Type() Type { return s.core.typ }

// LocalAddr returns the address that the socket is bound to: getsockname(2). A
// closed socket has the zero Addr.
func (s *Socket) LocalAddr() Addr {
	a, _ := s.address(localAddr)
	return a
}

// RemoteAddr returns the peer's address: the one that Connect resolved, that
// Accept was told, or that RecvFrom found last; else what getpeername(2) says.
// Without a peer it is the zero Addr. What the socket was told stays when it is
// closed. On an inet6 socket, the address of a peer that uses IPv4 is mapped:
// see Addr.Unmap.
func (s *Socket) RemoteAddr() Addr {
	if a := s.core.remote.get(); a.IsValid() {
		return a
	}
	a, _ := s.address(peerAddr)
	return a
}

func (s *Socket) address(of func(fd int) (Addr, syscall.Errno)) (Addr, error) {
	defer runtime.KeepAlive(s)
	if err := s.core.reg.Use(); err != nil {
		return Addr{}, err
	}
	defer s.core.reg.Done()
	a, errno := of(s.core.reg.FD())
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
		err := sys.Shutdown(fd, how)
		if err != nil {
			s.core.shutdowns.Add(^uint32(0))
			return err
		}
		s.core.shutdowns.Add(1) // for one that began meanwhile
		// The kernel reports no event to a call that waits to send on a unix
		// socket.
		s.core.reg.Doubt()
		return nil
	})
}

// Listen makes the socket accept connections, and lets backlog of them wait for
// Accept: listen(2). A greater or negative backlog than
// /proc/sys/net/core/somaxconn counts as that number. A socket of a type
// without connections gives EOPNOTSUPP, and an unbound unix one EINVAL.
//
// Linux lets one connection more than backlog wait. When the queue is full, it
// refuses nobody with the ECONNREFUSED that the class names. On TCP, the kernel
// drops the client's request, and the client repeats it, after about one second
// at first, until there is room or its time is up (EINPROGRESS by the send
// timeout, ETIMEDOUT by the kernel). On unix, a blocking connect waits for
// room; Connect here asks again every 1 to 16 ms. With
// /proc/sys/net/ipv4/tcp_abort_on_overflow, TCP resets the client's connection
// instead.
func (s *Socket) Listen(backlog int) error {
	return s.control("listen", "", func(fd int) error { return sys.Listen(fd, backlog) })
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
		return sys.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, v)
	})
}

// SetLinger sets SO_LINGER, which says what Close does with data that is not yet
// sent or acknowledged. If seconds is below 0, the default, the kernel sends it in
// the background. If it is 0, the kernel drops it, and a TCP connection is reset. If
// it is above 0, Close waits for as long at most. See socket(7).
func (s *Socket) SetLinger(seconds int) error {
	return s.control("setsockopt", "SO_LINGER", func(fd int) error { return sys.SetLinger(fd, seconds) })
}

var _ io.Closer = (*Socket)(nil)
