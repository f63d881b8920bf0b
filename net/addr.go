package net

import (
	"cmp"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// networkOf returns the name that net has for the network of a socket.
func networkOf(s *socket.Socket) string {
	switch s.Family() {
	case socket.Inet, socket.Inet6:
		switch s.Type() {
		case socket.Stream:
			return "tcp"
		case socket.Dgram:
			return "udp"
		}
		return "ip"
	case socket.Unix:
		switch s.Type() {
		case socket.Dgram:
			return "unixgram"
		case socket.SeqPacket:
			return "unixpacket"
		}
		return "unix"
	}
	return s.Family().String()
}

// netAddr returns an address of a socket in the type that net has for it. It returns nil
// for an absent address.
func netAddr(s *socket.Socket, a socket.Addr) net.Addr {
	switch a.Family() {
	case socket.Inet, socket.Inet6:
		switch s.Type() {
		case socket.Stream:
			return net.TCPAddrFromAddrPort(a.AddrPort())
		case socket.Dgram:
			return net.UDPAddrFromAddrPort(a.AddrPort())
		}
		ip := a.AddrPort().Addr()
		return &net.IPAddr{IP: ip.AsSlice(), Zone: ip.Zone()}
	case socket.Unix:
		// net shows an address without a name as an abstract one without characters.
		return &net.UnixAddr{Name: cmp.Or(a.Host(), "@"), Net: networkOf(s)}
	}
	return nil
}

// An inetAddr has the fields that TCPAddr, UDPAddr and IPAddr share.
type inetAddr struct {
	ip   net.IP
	port int
	zone string
}

func inetOf(a net.Addr) inetAddr {
	switch a := a.(type) {
	case *net.TCPAddr:
		return inetAddr{a.IP, a.Port, a.Zone}
	case *net.UDPAddr:
		return inetAddr{a.IP, a.Port, a.Zone}
	case *net.IPAddr:
		return inetAddr{a.IP, 0, a.Zone}
	}
	return inetAddr{}
}

// v4 reports whether an IPv4 socket can use the address. It can use an absent one.
func (a inetAddr) v4() bool { return len(a.ip) <= net.IPv4len || a.ip.To4() != nil }

// matches reports whether the address has the family of ip.
func (a inetAddr) matches(ip netip.Addr) bool {
	own, ok := netip.AddrFromSlice(a.ip)
	return ok && own.Unmap().Is4() == ip.Unmap().Is4()
}

func (a inetAddr) wildcard() bool { return a.ip == nil || a.ip.IsUnspecified() }

// in returns the address in the form for a socket of a family: an IPv6 socket needs
// the mapped form of an IPv4 address. An absent IP address becomes the unspecified
// one. A port outside 0 to 65535 is EINVAL.
func (a inetAddr) in(family socket.Family) (socket.Addr, error) {
	var ip netip.Addr
	switch {
	case family == socket.Inet && len(a.ip) == 0:
		ip = netip.IPv4Unspecified()
	case family == socket.Inet:
		ip4 := a.ip.To4()
		if ip4 == nil {
			return socket.Addr{}, &net.AddrError{Err: "non-IPv4 address", Addr: a.ip.String()}
		}
		ip = netip.AddrFrom4([4]byte(ip4))
	case len(a.ip) == 0, a.ip.Equal(net.IPv4zero):
		ip = netip.IPv6Unspecified().WithZone(zoneText(a.zone))
	default:
		ip6 := a.ip.To16()
		if ip6 == nil {
			return socket.Addr{}, &net.AddrError{Err: "non-IPv6 address", Addr: a.ip.String()}
		}
		ip = netip.AddrFrom16([16]byte(ip6)).WithZone(zoneText(a.zone))
	}
	if a.port < 0 || a.port > 0xFFFF {
		return socket.Addr{}, syscall.EINVAL
	}
	return socket.AddrFrom(netip.AddrPortFrom(ip, uint16(a.port))), nil
}

// addrPortIn is in for an AddrPort. An invalid IP address is an error.
func addrPortIn(family socket.Family, to netip.AddrPort) (socket.Addr, error) {
	ip := to.Addr()
	switch {
	case family == socket.Inet && !ip.Is4() && !ip.Is4In6():
		return socket.Addr{}, &net.AddrError{Err: "non-IPv4 address", Addr: ip.String()}
	case family == socket.Inet:
		ip = ip.Unmap()
	case !ip.IsValid():
		return socket.Addr{}, &net.AddrError{Err: "non-IPv6 address", Addr: ip.String()}
	default:
		zone := ip.Zone()
		ip = netip.AddrFrom16(ip.As16()).WithZone(zoneText(zone))
	}
	return socket.AddrFrom(netip.AddrPortFrom(ip, to.Port())), nil
}

// maxPath is the longest name of a unix socket, its NUL byte included: unix(7).
const maxPath = len(unix.RawSockaddrUnix{}.Path)

// unixIn returns a unix socket's address. A name that is too long is EINVAL.
func unixIn(a *net.UnixAddr) (socket.Addr, error) {
	if n := len(a.Name); n > maxPath || n == maxPath && a.Name[0] != '@' && a.Name[0] != 0 {
		return socket.Addr{}, syscall.EINVAL
	}
	name := a.Name
	if name != "" && name[0] != 0 && name[0] != '@' {
		name, _, _ = strings.Cut(name, "\x00") // the kernel would end the name at the NUL byte
	}
	return socket.UnixAddr(name), nil
}

// addrIn returns one of net's addresses for a socket of a family.
func addrIn(family socket.Family, a net.Addr) (socket.Addr, error) {
	if a, ok := a.(*net.UnixAddr); ok {
		return unixIn(a)
	}
	return inetOf(a).in(family)
}

// sockaddrOf returns an address in the form that bind(2) takes.
func sockaddrOf(a socket.Addr) syscall.Sockaddr {
	switch a.Family() {
	case socket.Inet:
		return &syscall.SockaddrInet4{Port: a.Port(), Addr: a.AddrPort().Addr().As4()}
	case socket.Inet6:
		ip := a.AddrPort().Addr()
		return &syscall.SockaddrInet6{Port: a.Port(), Addr: ip.As16(), ZoneId: zoneIndex(ip.Zone())}
	}
	return &syscall.SockaddrUnix{Name: a.Host()}
}

// addrOf returns an address that a system call has returned. If net does not have the
// address's family, addrOf returns the zero Addr.
func addrOf(sa unix.Sockaddr) socket.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return socket.AddrFrom(netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(zoneName(sa.ZoneId))
		}
		return socket.AddrFrom(netip.AddrPortFrom(ip, uint16(sa.Port)))
	case *unix.SockaddrUnix:
		return socket.UnixAddr(sa.Name)
	}
	return socket.Addr{}
}
