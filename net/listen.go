package net

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Listen is net.Listen over Weir sockets. The Listener is a *TCPListener or a
// *UnixListener.
func Listen(network, address string) (net.Listener, error) {
	return new(ListenConfig).Listen(context.Background(), network, address)
}

// ListenPacket is net.ListenPacket over Weir sockets. The result is a *UDPConn,
// *UnixConn or *IPConn.
func ListenPacket(network, address string) (net.PacketConn, error) {
	return new(ListenConfig).ListenPacket(context.Background(), network, address)
}

// A ListenConfig is net.ListenConfig over Weir sockets, with two additional fields. The
// zero ListenConfig works as the functions Listen and ListenPacket do. It is
// concurrency-safe, as long as no field changes.
type ListenConfig struct {
	// Control, if not nil, is called with the new socket before it is bound.
	Control func(network, address string, c syscall.RawConn) error

	// KeepAlive is the idle time after which accepted connections are probed: 0
	// is 15 seconds, negative is never. KeepAliveConfig, if enabled, replaces it.
	// The listening socket has these options and TCP_NODELAY, and accepted ones
	// inherit them: no connection costs a system call for them.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig

	// Backlog is the number of connections that may wait for Accept. 0 is the
	// most that the system allows, /proc/sys/net/core/somaxconn.
	Backlog int

	// Group is the group of loops that serve the sockets; nil is the default group.
	Group *loop.Group

	multipath multipath
}

// MultipathTCP reports whether Listen for "tcp" opens an MPTCP socket where the kernel
// supports them. Unless SetMultipathTCP was called, it returns net's default.
func (lc *ListenConfig) MultipathTCP() bool {
	return lc.multipath.or(new(net.ListenConfig).MultipathTCP)
}

// SetMultipathTCP sets whether Listen opens MPTCP sockets. It is for one goroutine at a
// time.
func (lc *ListenConfig) SetMultipathTCP(use bool) { lc.multipath.set(use) }

// Listen listens on an address, as the function Listen does. The context bounds only the
// look-up of the address.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	open := lc.ListenSocket
	if network == "unixgram" {
		open = lc.ListenPacketSocket // a listener as Go's net has it: Accept fails
	}
	s, err := open(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if s.Family() == socket.Unix {
		return newUnixListener(s, network, true), nil
	}
	return newTCPListener(s, network), nil
}

// ListenSocket is Listen for programs that use the socket itself. Closing it
// does not unlink the path of a unix socket.
func (lc *ListenConfig) ListenSocket(ctx context.Context, network, address string) (*socket.Socket, error) {
	t, at, err := lc.address(ctx, network, address)
	if err != nil {
		return nil, opError("listen", network, nil, nil, err)
	}
	if !t.tcp() && (!t.unix() || t.typ == socket.Dgram) {
		return nil, opError("listen", network, nil, at, unexpected(address))
	}
	s, err := lc.listen(t, at)
	if err != nil {
		return nil, opError("listen", network, nil, at, err)
	}
	return s, nil
}

// ListenPacket opens a datagram socket, as the function ListenPacket does. The context
// bounds only the look-up of the address.
func (lc *ListenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	s, network, err := lc.packetSocket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return packetConnOf(s, network), nil
}

// ListenPacketSocket is ListenPacket for programs that use the socket itself.
func (lc *ListenConfig) ListenPacketSocket(ctx context.Context, network, address string) (*socket.Socket, error) {
	s, _, err := lc.packetSocket(ctx, network, address)
	return s, err
}

// packetSocket opens a datagram or a raw socket, and returns the name of its network.
func (lc *ListenConfig) packetSocket(ctx context.Context, network, address string) (*socket.Socket, string, error) {
	t, at, err := lc.address(ctx, network, address)
	if err != nil {
		return nil, "", opError("listen", network, nil, nil, err)
	}
	if t.tcp() {
		return nil, "", opError("listen", network, nil, at, unexpected(address))
	}
	open := lc.listenPacket
	if t.unix() && t.typ != socket.Dgram {
		open = lc.listen // net, too, returns a connection that listens
	}
	s, err := open(t, at)
	if err != nil {
		return nil, "", opError("listen", network, nil, at, err)
	}
	return s, t.network, nil
}

// Tune sets on a TCP socket that listens already, such as an inherited one, the options
// that Listen sets for accepted connections to inherit: TCP_NODELAY and keep-alive. It
// does not change a socket of another protocol. For a closed socket it returns
// net.ErrClosed.
func (lc *ListenConfig) Tune(s *socket.Socket) error {
	return control(s, func(fd int) error {
		protocol, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err != nil {
			return os.NewSyscallError("getsockopt", err)
		}
		if protocol == unix.IPPROTO_TCP {
			prepareTCP(fd, lc.KeepAlive, lc.KeepAliveConfig)
		}
		return nil
	})
}

func packetConnOf(s *socket.Socket, network string) net.PacketConn {
	c := newConn(s, network)
	switch {
	case s.Family() == socket.Unix:
		return &UnixConn{c}
	case s.Type() == socket.Raw:
		return &IPConn{c}
	}
	return &UDPConn{c}
}

func unexpected(address string) error {
	return &net.AddrError{Err: "unexpected address type", Addr: address}
}

// address finds the address to listen at. If a host name has IPv4 addresses, it returns
// the first of these.
func (lc *ListenConfig) address(ctx context.Context, network, address string) (transport, net.Addr, error) {
	if ctx == nil {
		ctx = context.Background() // as in net, which needs it for look-ups alone
	}
	t, err := parseNetwork(network)
	if err != nil {
		return t, nil, err
	}
	if t.unix() {
		return t, &net.UnixAddr{Name: address, Net: network}, nil
	}
	all, err := t.resolve(ctx, defaultResolver(), address)
	if err != nil {
		return t, nil, err
	}
	return t, t.addr(firstIPv4(all)), nil
}

// firstIPv4 returns the first IPv4 address. If there is none, it returns the first
// address.
func firstIPv4(all []netip.AddrPort) netip.AddrPort {
	for _, a := range all {
		if a.Addr().Is4() {
			return a
		}
	}
	return all[0]
}

// listen opens a listening socket.
func (lc *ListenConfig) listen(t transport, at net.Addr) (*socket.Socket, error) {
	if t.tcp() && lc.MultipathTCP() {
		t.proto = unix.IPPROTO_MPTCP
		if s, err := lc.listenOnce(t, at); err == nil {
			return s, nil
		}
		t.proto = 0 // as net does for every error
	}
	return lc.listenOnce(t, at)
}

func (lc *ListenConfig) listenOnce(t transport, at net.Addr) (*socket.Socket, error) {
	o := lc.opening(t, at)
	s, err := o.open()
	if err != nil {
		return nil, err
	}
	backlog := lc.Backlog
	if backlog <= 0 {
		backlog = -1 // the kernel takes the most that the system allows
	}
	if err := s.Listen(backlog); err != nil {
		if path := s.LocalAddr().Path(); path != "" {
			_ = unix.Unlink(path) // before the close, as UnixListener.Close does
		}
		s.Close()
		return nil, err
	}
	return s, nil
}

// listenPacket opens a datagram or a raw socket.
func (lc *ListenConfig) listenPacket(t transport, at net.Addr) (*socket.Socket, error) {
	return lc.opening(t, at).open()
}

func (lc *ListenConfig) opening(t transport, at net.Addr) *opening {
	o := &opening{transport: t, local: at, listen: true, control: lc.Control, group: lc.Group}
	if t.tcp() {
		o.prepared = func(fd int) { prepareTCP(fd, lc.KeepAlive, lc.KeepAliveConfig) }
	}
	return o
}
