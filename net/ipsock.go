package net

import (
	"context"
	"net"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
)

// An IPConn is net.IPConn over a Weir socket: a raw socket. See raw(7). It is
// concurrency-safe.
type IPConn struct{ conn }

// ReadFrom implements net.PacketConn.
func (c *IPConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromIP(b)
	if from == nil {
		return n, nil, err
	}
	return n, from, err
}

// ReadFromIP is ReadFrom with the address's own type.
func (c *IPConn) ReadFromIP(b []byte) (int, *net.IPAddr, error) {
	if !c.ok() {
		return 0, nil, syscall.EINVAL
	}
	n, from, err := c.sock.RecvFrom(some(b), 0)
	if err != nil {
		return n, nil, c.failed("read", err)
	}
	if from.Family() == socket.Inet {
		n = withoutHeader(b, n)
	}
	return n, c.addr(from), nil
}

func (c *IPConn) addr(a socket.Addr) *net.IPAddr {
	addr, _ := netAddr(c.sock, a).(*net.IPAddr)
	return addr
}

// withoutHeader removes an IPv4 header from a packet of n bytes and returns how many
// bytes remain.
func withoutHeader(b []byte, n int) int {
	const least = 20
	if len(b) < least || b[0]>>4 != 4 {
		return n
	}
	size := int(b[0]&0x0f) * 4
	if size < least || size > len(b) {
		return n
	}
	copy(b, b[size:])
	return n - size
}

// ReadMsgIP is that of *net.IPConn.
func (c *IPConn) ReadMsgIP(b, oob []byte) (n, oobn, flags int, addr *net.IPAddr, err error) {
	if !c.ok() {
		return 0, 0, 0, nil, syscall.EINVAL
	}
	n, oobn, flags, from, err := c.readMsg(b, oob)
	return n, oobn, flags, c.addr(from), c.wrap("read", err)
}

// WriteTo implements net.PacketConn.
func (c *IPConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	to, err := addrAs[*net.IPAddr](&c.conn, addr)
	if err != nil {
		return 0, err
	}
	return c.WriteToIP(b, to)
}

// WriteToIP is WriteTo with the address's own type.
func (c *IPConn) WriteToIP(b []byte, addr *net.IPAddr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	to, err := c.to(addr)
	return sendTo(&c.conn, b, to, err, optional(addr))
}

func (c *IPConn) to(addr *net.IPAddr) (socket.Addr, error) {
	switch {
	case c.remote != nil:
		return socket.Addr{}, net.ErrWriteToConnected
	case addr == nil:
		return socket.Addr{}, errMissingAddress
	}
	return inetOf(addr).in(c.sock.Family())
}

// WriteMsgIP is that of *net.IPConn.
func (c *IPConn) WriteMsgIP(b, oob []byte, addr *net.IPAddr) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	to, err := c.to(addr)
	return sendMsg(&c.conn, b, oob, to, err, optional(addr))
}

// DialIP is net.DialIP over a Weir socket.
func DialIP(network string, laddr, raddr *net.IPAddr) (*IPConn, error) {
	return new(Dialer).dialIP(context.Background(), network, laddr, raddr)
}

// ListenIP is net.ListenIP over a Weir socket.
func ListenIP(network string, laddr *net.IPAddr) (*IPConn, error) {
	if laddr == nil {
		laddr = &net.IPAddr{}
	}
	t, err := parseNetwork(network)
	if err == nil && t.base != "ip" {
		err = net.UnknownNetworkError(network)
	}
	var s *socket.Socket
	if err == nil {
		s, err = new(ListenConfig).listenPacket(t, laddr)
	}
	if err != nil {
		return nil, opError("listen", network, nil, laddr, err)
	}
	return &IPConn{newConn(s, t.network)}, nil
}
