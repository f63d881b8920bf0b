package server

import (
	"net/netip"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// On a socket that is bound to all addresses of the machine, the kernel chooses the
// local address of an answer. If that is not the address that the client has asked, the
// client drops the answer. So a PacketConn learns the local address of each datagram
// and sends the answer from it: ip(7), IP_PKTINFO, and ipv6(7), IPV6_PKTINFO.

// controlRoom is the room for a control message of either kind.
var controlRoom = max(unix.CmsgSpace(unix.SizeofInet4Pktinfo), unix.CmsgSpace(unix.SizeofInet6Pktinfo))

// learnLocal makes the kernel report the local address of each datagram, if the socket
// is bound to all addresses. If that fails, the kernel chooses the address of answers.
func (p *PacketConn) learnLocal() {
	bound := p.sock.LocalAddr()
	if ip := bound.AddrPort().Addr(); !ip.IsValid() || !ip.IsUnspecified() {
		return
	}
	level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
	if bound.Family() == socket.Inet6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	}
	reg := p.sock.Registration()
	if reg.Use() != nil {
		return
	}
	defer reg.Done()
	if sys.SetsockoptInt(reg.FD(), level, option, 1) != nil {
		return
	}
	p.six = bound.Family() == socket.Inet6
	room := make([]byte, len(p.in)*controlRoom)
	for i := range p.in {
		p.in[i].Control = room[i*controlRoom : (i+1)*controlRoom]
	}
}

// localOf returns the local address of a received datagram, and the local address for
// its answer. They differ for a broadcast and for a multicast.
func localOf(m *socket.Message) (asked, answer netip.Addr) {
	for c := range m.Controls() {
		switch {
		case c.Level == unix.IPPROTO_IP && c.Type == unix.IP_PKTINFO && len(c.Data) >= unix.SizeofInet4Pktinfo:
			info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&c.Data[0]))
			return netip.AddrFrom4(info.Addr), netip.AddrFrom4(info.Spec_dst)
		case c.Level == unix.IPPROTO_IPV6 && c.Type == unix.IPV6_PKTINFO && len(c.Data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&c.Data[0]))
			asked = netip.AddrFrom16(info.Addr).Unmap()
			if !asked.IsMulticast() {
				answer = asked
			}
			return asked, answer
		}
	}
	return
}

// appendLocal appends a control message that makes the kernel send a datagram from a
// local address. six says that the socket is inet6.
func appendLocal(b []byte, local netip.Addr, six bool) []byte {
	level, kind, size := unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo
	if six {
		level, kind, size = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo
	}
	from := len(b)
	b = append(b, make([]byte, unix.CmsgSpace(size))...)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[from]))
	h.Level, h.Type = int32(level), int32(kind)
	h.SetLen(unix.CmsgLen(size))
	data := unsafe.Pointer(&b[from+unix.CmsgLen(0)])
	if six {
		(*unix.Inet6Pktinfo)(data).Addr = local.As16()
	} else {
		(*unix.Inet4Pktinfo)(data).Spec_dst = local.As4()
	}
	return b
}
