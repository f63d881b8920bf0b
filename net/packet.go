package net

import (
	"net"
	"net/netip"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A PacketConn is a net.PacketConn over a datagram socket: what ListenPacket and
// Dial return for "udp" and "unixgram". One that Dial connected is a net.Conn,
// too. Its methods are those of *net.UDPConn and *net.UnixConn, and their errors
// are *net.OpError as there. For batches and offloads there is its Socket.
type PacketConn struct{ endpoint }

var (
	_ net.PacketConn = (*PacketConn)(nil)
	_ net.Conn       = (*PacketConn)(nil)
	_ syscall.Conn   = (*PacketConn)(nil)
)

// NewPacketConn makes a PacketConn of a datagram socket, and leaves its options
// as they are. Closing it closes the socket.
func NewPacketConn(s *socket.Socket) *PacketConn { return packetConn(s, networkOf(s)) }

func packetConn(s *socket.Socket, network string) *PacketConn {
	c := &PacketConn{newEndpoint(s, network)}
	if !connected(s) { // a socket remembers the last sender, too
		c.remote = nil
	}
	return c
}

func connected(s *socket.Socket) bool {
	return control(s, func(fd int) error { _, err := unix.Getpeername(fd); return err }) == nil
}

// Read reads one datagram, and loses what of it has no room in b.
func (c *PacketConn) Read(b []byte) (int, error) {
	n, err := c.sock.Read(b)
	if err == nil && len(b) == 0 {
		return n, c.open("read") // the socket does not look for a closure then
	}
	return n, c.was("read", err)
}

// Write sends one datagram to the peer.
func (c *PacketConn) Write(b []byte) (int, error) {
	n, err := c.sock.Write(some(b))
	return n, c.was("write", err)
}

// some is b, and not nil, which the kernel would not take.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// ReadFrom reads one datagram and says who sent it: nil if that socket has no
// name. What of it has no room in b is lost.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.sock.RecvFrom(some(b), 0)
	if err != nil {
		return n, nil, c.failed("read", err)
	}
	return n, netAddr(c.sock, from), nil
}

// WriteTo sends one datagram to an address: a *net.UDPAddr, a *net.UnixAddr, or
// a socket.Addr. A connected PacketConn refuses: net.ErrWriteToConnected.
func (c *PacketConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to, err := socketAddr(c.sock.Family(), addr)
	if err != nil {
		return 0, c.unsent(addr, err)
	}
	return c.sendTo(b, to, addr)
}

// ReadFromUDPAddrPort is ReadFrom that allocates nothing. An IPv4 sender has an
// IPv4-mapped address on a socket of both families.
func (c *PacketConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := c.sock.RecvFrom(some(b), 0)
	if err != nil {
		return n, netip.AddrPort{}, c.failed("read", err)
	}
	return n, from.AddrPort(), nil
}

// WriteToUDPAddrPort is WriteTo that allocates nothing.
func (c *PacketConn) WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	to, err := ipAddr(c.sock.Family(), addr)
	if err != nil {
		return 0, c.unsent(net.UDPAddrFromAddrPort(addr), err)
	}
	return c.sendTo(b, to, nil)
}

// sendTo sends to an address; in an error it is named as it was given, if that
// was a net.Addr.
func (c *PacketConn) sendTo(b []byte, to socket.Addr, given net.Addr) (int, error) {
	var n int
	err := error(net.ErrWriteToConnected)
	if c.remote == nil {
		n, err = c.sock.SendToAddr(some(b), to, 0)
	}
	if err == nil {
		return n, nil
	}
	if given == nil {
		given = netAddr(c.sock, to)
	}
	return n, c.unsent(given, err)
}

func (c *PacketConn) unsent(to net.Addr, err error) error {
	return &net.OpError{Op: "write", Net: c.network, Source: c.local, Addr: to, Err: netCause(err)}
}

// ReadMsgUDP reads one datagram, and its control messages into oob: recvmsg(2),
// whose flags it returns.
func (c *PacketConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, oobn, flags, from, err := c.ReadMsgUDPAddrPort(b, oob)
	if from.IsValid() {
		addr = net.UDPAddrFromAddrPort(from)
	}
	return n, oobn, flags, addr, err
}

// ReadMsgUDPAddrPort is ReadMsgUDP with another type of address.
func (c *PacketConn) ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	m := socket.Message{Buffers: [][]byte{b}, Control: oob}
	n, err = c.sock.RecvMsg(&m, 0)
	return n, m.ControlLen, m.Flags, m.Addr.AddrPort(), c.was("read", err)
}

// WriteMsgUDP sends one datagram with control messages: sendmsg(2). The address
// is nil if, and only if, the PacketConn is connected.
func (c *PacketConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	if addr == nil {
		return c.WriteMsgUDPAddrPort(b, oob, netip.AddrPort{})
	}
	return c.WriteMsgUDPAddrPort(b, oob, addr.AddrPort())
}

// WriteMsgUDPAddrPort is WriteMsgUDP with another type of address, whose zero
// value stands for nil.
func (c *PacketConn) WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error) {
	m := socket.Message{Buffers: [][]byte{b}, Control: oob}
	var to net.Addr = c.remote
	if addr.IsValid() {
		to = net.UDPAddrFromAddrPort(addr)
		if m.Addr, err = ipAddr(c.sock.Family(), addr); err == nil && c.remote != nil {
			err = net.ErrWriteToConnected
		}
	}
	if err == nil {
		n, err = c.sock.SendMsg(&m, 0)
	}
	if err != nil {
		return n, 0, c.unsent(to, err)
	}
	return n, len(oob), nil
}
