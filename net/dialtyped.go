package net

import (
	"context"
	"net"
	"net/netip"

	"github.com/seed-2334f180/weir/socket"
)

// DialTCP is net.DialTCP over a Weir socket.
func DialTCP(network string, laddr, raddr *net.TCPAddr) (*TCPConn, error) {
	return new(Dialer).dialTCP(context.Background(), network, laddr, raddr)
}

// DialUDP is net.DialUDP over a Weir socket.
func DialUDP(network string, laddr, raddr *net.UDPAddr) (*UDPConn, error) {
	return new(Dialer).dialUDP(context.Background(), network, laddr, raddr)
}

// DialUnix is net.DialUnix over a Weir socket.
func DialUnix(network string, laddr, raddr *net.UnixAddr) (*UnixConn, error) {
	return new(Dialer).DialUnix(context.Background(), network, laddr, raddr)
}

// DialTCP connects from laddr, which may be zero, to raddr. LocalAddr, Resolver
// and FallbackDelay have no effect.
func (d *Dialer) DialTCP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*TCPConn, error) {
	return d.dialTCP(ctx, network, net.TCPAddrFromAddrPort(laddr), net.TCPAddrFromAddrPort(raddr))
}

// DialUDP connects from laddr, which may be zero, to raddr. LocalAddr, Resolver
// and FallbackDelay have no effect.
func (d *Dialer) DialUDP(ctx context.Context, network string, laddr, raddr netip.AddrPort) (*UDPConn, error) {
	return d.dialUDP(ctx, network, net.UDPAddrFromAddrPort(laddr), net.UDPAddrFromAddrPort(raddr))
}

// DialIP connects from laddr, which may be zero, to raddr. LocalAddr, Resolver
// and FallbackDelay have no effect.
func (d *Dialer) DialIP(ctx context.Context, network string, laddr, raddr netip.Addr) (*IPConn, error) {
	ip := func(a netip.Addr) *net.IPAddr { return &net.IPAddr{IP: a.AsSlice(), Zone: a.Zone()} }
	return d.dialIP(ctx, network, ip(laddr), ip(raddr))
}

// DialUnix connects from laddr, which may be nil, to raddr. A datagram socket
// that has a laddr needs no raddr. LocalAddr has no effect.
func (d *Dialer) DialUnix(ctx context.Context, network string, laddr, raddr *net.UnixAddr) (*UnixConn, error) {
	to := optional(raddr)
	if raddr != nil && raddr.Name == "" {
		to = nil
	}
	s, err := d.connectPair(ctx, network, "unix", optional(laddr), to)
	if err != nil {
		return nil, opError("dial", network, optional(laddr), optional(raddr), err)
	}
	return &UnixConn{dialed(s, network, to)}, nil
}

func (d *Dialer) dialTCP(ctx context.Context, network string, laddr, raddr *net.TCPAddr) (*TCPConn, error) {
	c, err := d.dialPair(ctx, network, "tcp", optional(laddr), optional(raddr))
	if err != nil {
		return nil, err
	}
	return &TCPConn{c}, nil
}

func (d *Dialer) dialUDP(ctx context.Context, network string, laddr, raddr *net.UDPAddr) (*UDPConn, error) {
	c, err := d.dialPair(ctx, network, "udp", optional(laddr), optional(raddr))
	if err != nil {
		return nil, err
	}
	return &UDPConn{c}, nil
}

func (d *Dialer) dialIP(ctx context.Context, network string, laddr, raddr *net.IPAddr) (*IPConn, error) {
	if raddr == nil { // before a look at the network, as in net
		return nil, opError("dial", network, optional(laddr), nil, errMissingAddress)
	}
	c, err := d.dialPair(ctx, network, "ip", optional(laddr), optional(raddr))
	if err != nil {
		return nil, err
	}
	return &IPConn{c}, nil
}

// dialPair connects from local to remote. Each may be nil. The network must belong to
// base.
func (d *Dialer) dialPair(ctx context.Context, network, base string, local, remote net.Addr) (conn, error) {
	s, err := d.connectPair(ctx, network, base, local, remote)
	if err != nil {
		return conn{}, opError("dial", network, local, remote, err)
	}
	t, _ := parseNetwork(network)
	return dialed(s, t.network, remote), nil
}

// connectPair opens a socket at the local address and connects it to the remote address.
// Each may be nil. The network must belong to base.
func (d *Dialer) connectPair(ctx context.Context, network, base string, local, remote net.Addr) (*socket.Socket, error) {
	a, err := d.begin(ctx, network)
	if err != nil {
		return nil, err
	}
	defer a.end()
	if a.base != base {
		return nil, net.UnknownNetworkError(network)
	}
	a.local = bindable(local)
	if remote == nil && (network != "unixgram" || a.local == nil) {
		return nil, errMissingAddress
	}
	return a.connectBest(a.ctx, remote)
}
