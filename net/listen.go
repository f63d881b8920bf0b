package net

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Listen listens at a local address: net.Listen over Weir sockets. The networks
// are "tcp", "tcp4", "tcp6", "unix" and "unixpacket". The Listener is a
// *Listener, and what it accepts a *NetConn.
func Listen(network, address string) (net.Listener, error) {
	return new(ListenConfig).Listen(context.Background(), network, address)
}

// ListenPacket opens a datagram socket at a local address: net.ListenPacket over
// Weir sockets. The networks are "udp", "udp4", "udp6" and "unixgram". The result
// is a *PacketConn.
func ListenPacket(network, address string) (net.PacketConn, error) {
	return new(ListenConfig).ListenPacket(context.Background(), network, address)
}

// A ListenConfig says more about how to listen. Its fields are those of
// net.ListenConfig with their meanings, and some more; the zero one is that of
// Listen and ListenPacket.
type ListenConfig struct {
	// Control, if not nil, is called with the new socket before it is bound.
	Control func(network, address string, c syscall.RawConn) error

	// KeepAlive is after which idle time accepted connections are probed: 0 is
	// 15 seconds, negative is never. KeepAliveConfig, if enabled, says it instead.
	// The listening socket has these options and TCP_NODELAY, and accepted ones
	// inherit them, which costs nothing for each.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig

	// Backlog is how many connections may wait for Accept. 0 is as many as the
	// system allows, /proc/sys/net/core/somaxconn.
	Backlog int

	// Group is the loops that the sockets are on; nil is the default group.
	Group *loop.Group
}

// Listen listens, as the function of that name does. The context bounds the
// look-up of the address alone.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	s, err := lc.ListenSocket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l := newListener(s, network)
	l.SetUnlinkOnClose(true)
	return l, nil
}

// ListenSocket is Listen for programs that use the socket itself. Nobody unlinks
// the path of a unix socket then.
func (lc *ListenConfig) ListenSocket(ctx context.Context, network, address string) (*socket.Socket, error) {
	t, err := parseNetwork(network)
	if err == nil && t.typ == socket.Dgram {
		err = net.UnknownNetworkError(network) // that is ListenPacket's
	}
	if err != nil {
		return nil, listenFailed(network, nil, err)
	}
	s, at, err := lc.bound(ctx, t, address)
	if err != nil {
		return nil, err
	}
	backlog := lc.Backlog
	if backlog <= 0 {
		backlog = -1 // the kernel takes what it has
	}
	if err := s.Listen(backlog); err != nil {
		if path := at.Path(); path != "" {
			_ = unix.Unlink(path) // before the close, as Listener.Close does
		}
		s.Close()
		return nil, listenFailed(network, netAddr(s, at), err)
	}
	return s, nil
}

// ListenPacket opens a datagram socket, as the function of that name does.
func (lc *ListenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	s, err := lc.ListenPacketSocket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return packetConn(s, network), nil
}

// ListenPacketSocket is ListenPacket for programs that use the socket itself.
func (lc *ListenConfig) ListenPacketSocket(ctx context.Context, network, address string) (*socket.Socket, error) {
	t, err := parseNetwork(network)
	if err == nil && t.typ != socket.Dgram {
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		return nil, listenFailed(network, nil, err)
	}
	s, _, err := lc.bound(ctx, t, address)
	return s, err
}

// Tune sets on a TCP socket that listens already, such as an inherited one, the
// options that Listen sets for accepted connections to inherit: TCP_NODELAY and
// keep-alive. It leaves a socket of another protocol alone. A closed socket is
// net.ErrClosed.
func (lc *ListenConfig) Tune(s *socket.Socket) error {
	return control(s, func(fd int) error {
		protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err != nil {
			return os.NewSyscallError("getsockopt", err)
		}
		if protocol != unix.IPPROTO_TCP {
			return nil
		}
		return prepareTCP(fd, lc.KeepAlive, lc.KeepAliveConfig)
	})
}

func listenFailed(network string, addr net.Addr, err error) error {
	return &net.OpError{Op: "listen", Net: network, Addr: addr, Err: netCause(err)}
}

// bound is a socket at a local address.
func (lc *ListenConfig) bound(ctx context.Context, t transport, address string) (*socket.Socket, socket.Addr, error) {
	if ctx == nil {
		return nil, socket.Addr{}, listenFailed(t.network, nil, errNilContext)
	}
	at, dual, err := t.local(ctx, address)
	if err != nil {
		return nil, at, listenFailed(t.network, nil, err)
	}
	s, err := socket.Config{
		Group: lc.Group, Bind: at, ReuseAddress: !t.unix && t.typ == socket.Stream,
		Prepare: func(fd int) error { return lc.prepare(fd, t, at, dual) },
	}.New(at.Family(), t.typ, 0)
	if err != nil {
		return nil, at, listenFailed(t.network, t.netAddr(at), err)
	}
	return s, at, nil
}

var errNilContext = errors.New("the context is nil")

func (lc *ListenConfig) prepare(fd int, t transport, at socket.Addr, dual bool) error {
	if err := prepare(fd, t, at.Family(), dual); err != nil {
		return err
	}
	if t.tcp() {
		if err := prepareTCP(fd, lc.KeepAlive, lc.KeepAliveConfig); err != nil {
			return err
		}
	}
	if lc.Control == nil {
		return nil
	}
	return lc.Control(controlNetwork(t, at.Family()), at.String(), bareConn(fd))
}

// local finds the address to listen at. A name's first IPv4 address is taken,
// if it has one; without a host it is all addresses, of both families on one
// socket (dual) where the network allows both.
func (t transport) local(ctx context.Context, address string) (at socket.Addr, dual bool, err error) {
	if t.unix {
		if address == "" {
			return at, false, &net.AddrError{Err: "missing address", Addr: address}
		}
		return socket.UnixAddr(address), false, nil
	}
	host, port, err := t.split(ctx, net.DefaultResolver, address)
	if err != nil {
		return at, false, err
	}
	ip, literal, err := t.literal(host)
	if err != nil {
		return at, false, err
	}
	if !literal && host != "" {
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip"+t.suffix(), host)
		if err != nil {
			return at, false, err
		}
		ip = firstIPv4(unmapped(ips))
	}
	if t.only == 0 && (!ip.IsValid() || ip.IsUnspecified()) && hasIPv6() {
		ip, dual = netip.IPv6Unspecified(), true
	}
	if !ip.IsValid() {
		ip = unspecified(cmp.Or(t.only, socket.Inet))
	}
	return socket.AddrFrom(netip.AddrPortFrom(ip, port)), dual, nil
}

// firstIPv4 is the first IPv4 address, or else the first one.
func firstIPv4(ips []netip.Addr) netip.Addr {
	for _, ip := range ips {
		if ip.Is4() {
			return ip
		}
	}
	return ips[0]
}

// prepare sets what package net sets on every new socket.
func prepare(fd int, t transport, family socket.Family, dual bool) error {
	if family == socket.Inet6 {
		only := 1
		if dual {
			only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if t.typ == socket.Dgram && !t.unix {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
	}
	return nil
}

// prepareTCP sets what package net sets on every new TCP connection.
func prepareTCP(fd int, idle time.Duration, config net.KeepAliveConfig) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if !config.Enable && idle >= 0 {
		config = net.KeepAliveConfig{Enable: true, Idle: idle}
	}
	if !config.Enable {
		return nil
	}
	return setKeepAlive(fd, config)
}

// controlNetwork is the network that a Control function is told: it has the
// family behind.
func controlNetwork(t transport, family socket.Family) string {
	switch {
	case t.unix || t.only != 0:
		return t.network
	case family == socket.Inet:
		return t.network + "4"
	}
	return t.network + "6"
}

// netAddr is an address in net's type for the transport.
func (t transport) netAddr(a socket.Addr) net.Addr {
	switch {
	case t.unix:
		return &net.UnixAddr{Name: a.Host(), Net: t.network}
	case t.typ == socket.Dgram:
		return net.UDPAddrFromAddrPort(a.AddrPort())
	}
	return net.TCPAddrFromAddrPort(a.AddrPort())
}

// A bareConn is a descriptor that nothing else knows yet.
type bareConn int

var errNotReady = errors.New("the socket is not connected yet")

func (c bareConn) Control(f func(uintptr)) error  { f(uintptr(c)); return nil }
func (c bareConn) Read(func(uintptr) bool) error  { return errNotReady }
func (c bareConn) Write(func(uintptr) bool) error { return errNotReady }

// A Listener is a net.Listener over a listening socket. Its methods are those of
// *net.TCPListener and *net.UnixListener, and their errors are *net.OpError as
// there.
type Listener struct {
	end    endpoint
	unlink bool
	once   sync.Once
}

var (
	_ net.Listener = (*Listener)(nil)
	_ syscall.Conn = (*Listener)(nil)
)

// NewListener makes a Listener of a socket that listens already. What it
// accepts has the options that the kernel lets it inherit: TCP_NODELAY and
// keep-alive among them. Closing it closes the socket, and leaves a unix
// socket's path.
func NewListener(s *socket.Socket) *Listener { return newListener(s, networkOf(s)) }

func newListener(s *socket.Socket, network string) *Listener {
	return &Listener{end: endpoint{sock: s, network: network, local: netAddr(s, s.LocalAddr())}}
}

// Accept waits for the next connection: a *NetConn. When descriptors are used up
// the error says Temporary, and the connection stays in the queue.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		s, err := l.end.sock.Accept()
		if err == nil {
			return netConn(s, l.end.network), nil
		}
		if !errors.Is(err, unix.ECONNABORTED) { // that one is gone, and no reason to stop
			return nil, l.end.done("accept", err)
		}
	}
}

// Close stops listening; an Accept that waits returns net.ErrClosed. A unix
// socket's path that Listen made is unlinked.
func (l *Listener) Close() error {
	l.once.Do(func() {
		// Before the close: after it, the path might be another socket's.
		if l.unlink {
			_ = unix.Unlink(l.end.local.String()) // maybe somebody else has
		}
	})
	return l.end.done("close", l.end.sock.Close())
}

// Addr is the address that it listens at, of the types that LocalAddr of a
// NetConn has.
func (l *Listener) Addr() net.Addr { return l.end.local }

// SetDeadline sets the time at which Accept returns os.ErrDeadlineExceeded. The
// zero time is none.
func (l *Listener) SetDeadline(t time.Time) error { return l.end.SetReadDeadline(t) }

// SetUnlinkOnClose says whether Close unlinks the path of a unix socket. It must
// not be called concurrently with Close.
func (l *Listener) SetUnlinkOnClose(unlink bool) {
	a, ok := l.end.local.(*net.UnixAddr)
	l.unlink = unlink && ok && a.Name[0] != '@' // an abstract name needs none
}

// Socket is the socket underneath. Close closes it.
func (l *Listener) Socket() *socket.Socket { return l.end.sock }

// SyscallConn gives access to the descriptor, for system calls of the caller's
// own: see syscall.RawConn.
func (l *Listener) SyscallConn() (syscall.RawConn, error) { return l.end.SyscallConn() }

// File is a duplicate of the descriptor, which must be closed as well. While it
// is open, connections are still taken into the queue.
func (l *Listener) File() (*os.File, error) { return l.end.File() }
