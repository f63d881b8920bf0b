package net

import (
	"net"
	"net/netip"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
)

// A UDPConn is net.UDPConn over a Weir socket. Its Socket offers batches and offloads. It
// is concurrency-safe.
type UDPConn struct{ conn }

// ReadFrom implements net.PacketConn.
func (c *UDPConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.readFromUDP(b, &net.UDPAddr{})
	if from == nil {
		return n, nil, err
	}
	return n, from, err
}

// ReadFromUDP is ReadFrom with the address's own type.
func (c *UDPConn) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	// The compiler inlines this function into its caller. Then the UDPAddr is on the
	// caller's stack if it does not live longer than the caller.
	return c.readFromUDP(b, &net.UDPAddr{})
}

func (c *UDPConn) readFromUDP(b []byte, addr *net.UDPAddr) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	*addr = net.UDPAddr{IP: from.Addr().AsSlice(), Port: int(from.Port()), Zone: from.Addr().Zone()}
	return n, addr, nil
}

// ReadFromUDPAddrPort is ReadFrom without an allocation.
func (c *UDPConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	if !c.ok() {
		return 0, netip.AddrPort{}, syscall.EINVAL
	}
	n, from, err := c.sock.RecvFrom(some(b), 0)
	if err != nil {
		return n, netip.AddrPort{}, c.failed("read", err)
	}
	return n, from.AddrPort(), nil
}

// ReadMsgUDP is that of *net.UDPConn.
func (c *UDPConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, oobn, flags, from, err := c.ReadMsgUDPAddrPort(b, oob)
	if from.IsValid() {
		addr = net.UDPAddrFromAddrPort(from)
	}
	return n, oobn, flags, addr, err
}

// ReadMsgUDPAddrPort is ReadMsgUDP without an allocation.
func (c *UDPConn) ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	if !c.ok() {
		return 0, 0, 0, netip.AddrPort{}, syscall.EINVAL
	}
	n, oobn, flags, from, err := c.readMsg(b, oob)
	return n, oobn, flags, from.AddrPort(), c.wrap("read", err)
}

// WriteTo implements net.PacketConn.
func (c *UDPConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	to, err := addrAs[*net.UDPAddr](&c.conn, addr)
	if err != nil {
		return 0, err
	}
	return c.WriteToUDP(b, to)
}

// WriteToUDP is WriteTo with the address's own type.
func (c *UDPConn) WriteToUDP(b []byte, addr *net.UDPAddr) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	to, err := c.to(addr, "sendto")
	return sendTo(&c.conn, b, to, err, optional(addr))
}

// to returns the address to send to by the system call op.
func (c *UDPConn) to(addr *net.UDPAddr, op string) (socket.Addr, error) {
	switch {
	case c.remote != nil:
		return socket.Addr{}, net.ErrWriteToConnected
	case addr == nil:
		return socket.Addr{}, errMissingAddress
	}
	to, err := inetAddr{addr.IP, addr.Port, addr.Zone}.in(c.sock.Family())
	return to, syscallError(op, err)
}

// WriteToUDPAddrPort is WriteTo without an allocation.
func (c *UDPConn) WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	to, err := c.toAddrPort(addr)
	return sendTo(&c.conn, b, to, err, addrPortUDPAddr{addr})
}

func (c *UDPConn) toAddrPort(addr netip.AddrPort) (socket.Addr, error) {
	switch {
	case c.remote != nil:
		return socket.Addr{}, net.ErrWriteToConnected
	case !addr.IsValid():
		return socket.Addr{}, errMissingAddress
	}
	return addrPortIn(c.sock.Family(), addr)
}

// An addrPortUDPAddr is an AddrPort in an error.
type addrPortUDPAddr struct{ netip.AddrPort }

func (addrPortUDPAddr) Network() string { return "udp" }

// WriteMsgUDP is that of *net.UDPConn.
func (c *UDPConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	var to socket.Addr
	if addr != nil || c.remote == nil {
		to, err = c.to(addr, "sendmsg")
	}
	return sendMsg(&c.conn, b, oob, to, err, optional(addr))
}

// WriteMsgUDPAddrPort is WriteMsgUDP without an allocation. The zero AddrPort stands for
// nil.
func (c *UDPConn) WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error) {
	if !c.ok() {
		return 0, 0, syscall.EINVAL
	}
	var to socket.Addr
	if addr.IsValid() || c.remote == nil {
		to, err = c.toAddrPort(addr)
	}
	return sendMsg(&c.conn, b, oob, to, err, addrPortUDPAddr{addr})
}

// ListenUDP is net.ListenUDP over a Weir socket.
func ListenUDP(network string, laddr *net.UDPAddr) (*UDPConn, error) {
	t, err := parseNetwork(network)
	if err != nil || t.base != "udp" {
		return nil, opError("listen", network, nil, optional(laddr), net.UnknownNetworkError(network))
	}
	if laddr == nil {
		laddr = &net.UDPAddr{}
	}
	s, err := new(ListenConfig).listenPacket(t, laddr)
	if err != nil {
		return nil, opError("listen", network, nil, laddr, err)
	}
	return &UDPConn{newConn(s, network)}, nil
}
