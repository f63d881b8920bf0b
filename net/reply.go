package net

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A ReplyConn is a net.PacketConn over a UDPConn. It sends each answer from the local
// address to which the client sent its datagram. A socket on the wildcard address does
// not do that by itself, because the kernel chooses the source address. Servers of
// datagrams, such as DNS servers, need a ReplyConn on a host with several addresses.
//
// ReadFrom returns addresses of the type *ReplyAddr. For a *ReplyAddr, WriteTo sends from
// the local address at which the datagram has arrived. WriteTo takes a *net.UDPAddr, too.
// It is concurrency-safe.
type ReplyConn struct{ c *UDPConn }

var _ net.PacketConn = (*ReplyConn)(nil)

// A ReplyAddr has the address of a datagram's sender, and the address to which the sender
// sent it. Its text is the text of the sender's address.
type ReplyAddr struct {
	net.UDPAddr
	Local     netip.Addr // the address to which the sender has sent the datagram
	Interface int        // the index of the interface that the datagram came by
}

// NewReplyConn makes a ReplyConn. It sets IP_PKTINFO and IPV6_RECVPKTINFO, so that the
// kernel reports the destination of each datagram. Closing the ReplyConn closes c.
func NewReplyConn(c *UDPConn) (*ReplyConn, error) {
	err := control(c.sock, func(fd int) error {
		if c.sock.Family() == socket.Inet6 {
			if err := sys.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		}
		// An IPv6 socket accepts this option, too. A dual-stack one needs both.
		return os.NewSyscallError("setsockopt", sys.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
	})
	if err != nil {
		return nil, c.failed("set", err)
	}
	return &ReplyConn{c}, nil
}

// pktinfoSpace is room for the control messages of both families.
var pktinfoSpace = unix.CmsgSpace(unix.SizeofInet4Pktinfo) + unix.CmsgSpace(unix.SizeofInet6Pktinfo)

// ReadFrom implements net.PacketConn. The address is a *ReplyAddr.
func (r *ReplyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	oob := make([]byte, pktinfoSpace)
	n, oobn, _, from, err := r.c.ReadMsgUDPAddrPort(b, oob)
	if err != nil {
		return n, nil, err
	}
	a := &ReplyAddr{UDPAddr: *net.UDPAddrFromAddrPort(from)}
	a.Local, a.Interface = destination(oob[:oobn])
	return n, a, nil
}

// destination finds the destination address of a datagram and its interface among the
// control messages.
func destination(oob []byte) (netip.Addr, int) {
	m := socket.Message{Control: oob, ControlLen: len(oob)}
	for cm := range m.Controls() {
		switch {
		case cm.Level == unix.IPPROTO_IP && cm.Type == unix.IP_PKTINFO && len(cm.Data) >= unix.SizeofInet4Pktinfo:
			// struct in_pktinfo: the index, the local address, the destination.
			return netip.AddrFrom4([4]byte(cm.Data[4:8])), int(binary.NativeEndian.Uint32(cm.Data))
		case cm.Level == unix.IPPROTO_IPV6 && cm.Type == unix.IPV6_PKTINFO && len(cm.Data) >= unix.SizeofInet6Pktinfo:
			ip := netip.AddrFrom16([16]byte(cm.Data[:16])) // struct in6_pktinfo: the destination, the index
			if !ip.Is4In6() {
				return ip, int(binary.NativeEndian.Uint32(cm.Data[16:]))
			}
		}
	}
	return netip.Addr{}, 0
}

// WriteTo implements net.PacketConn. To a *ReplyAddr it sends from the ReplyAddr's local
// address.
func (r *ReplyConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	a, ok := addr.(*ReplyAddr)
	if !ok {
		return r.c.WriteTo(b, addr)
	}
	n, _, err := r.c.WriteMsgUDP(b, source(a), &a.UDPAddr)
	return n, err
}

// source makes the control message that sets the source of a datagram. A multicast group
// cannot be the source.
func source(a *ReplyAddr) []byte {
	switch {
	case !a.Local.IsValid() || a.Local.IsMulticast():
		return nil
	case a.Local.Is4():
		info := unix.Inet4Pktinfo{Spec_dst: a.Local.As4()}
		return unix.PktInfo4(&info)
	}
	info := unix.Inet6Pktinfo{Addr: a.Local.As16()}
	if a.Local.IsLinkLocalUnicast() {
		info.Ifindex = uint32(a.Interface)
	}
	return unix.PktInfo6(&info)
}

// UDPConn returns the connection underneath.
func (r *ReplyConn) UDPConn() *UDPConn { return r.c }

// Close implements net.PacketConn.
func (r *ReplyConn) Close() error { return r.c.Close() }

// LocalAddr implements net.PacketConn.
func (r *ReplyConn) LocalAddr() net.Addr { return r.c.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (r *ReplyConn) SetDeadline(t time.Time) error { return r.c.SetDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (r *ReplyConn) SetReadDeadline(t time.Time) error { return r.c.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn.
func (r *ReplyConn) SetWriteDeadline(t time.Time) error { return r.c.SetWriteDeadline(t) }
