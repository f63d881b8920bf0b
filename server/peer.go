package server

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/seed-2334f180/weir/socket"
)

// An inetPeer holds an IP address and a port in 24 bytes. The zero inetPeer
// stands for the peer of a unix socket, which has no address.
type inetPeer struct {
	ip   [16]byte
	zone uint32 // index of the interface, for a link-local IPv6 address
	port uint16
	four bool // the address is IPv4
}

// makeInetPeer returns the inetPeer of an address. It turns ::ffff:a.b.c.d, the
// address of an IPv4 client of a dual-stack listener, into a.b.c.d.
func makeInetPeer(a socket.Addr) (p inetPeer) {
	from := a.AddrPort()
	if !from.IsValid() {
		return p
	}
	ip := from.Addr().Unmap()
	p.ip, p.port, p.four = ip.As16(), from.Port(), ip.Is4()
	if zone := ip.Zone(); zone != "" {
		if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
			p.zone = uint32(index)
		} else if i, err := net.InterfaceByName(zone); err == nil {
			p.zone = uint32(i.Index)
		}
	}
	return p
}

// isUnix reports whether the connection is one over a unix socket.
func (p *inetPeer) isUnix() bool { return *p == inetPeer{} }

// addr returns the address of the peer.
func (p *inetPeer) addr() socket.Addr {
	if p.isUnix() {
		return socket.UnixAddr("")
	}
	ip := netip.AddrFrom16(p.ip)
	switch {
	case p.four:
		ip = ip.Unmap()
	case p.zone != 0:
		zone := strconv.Itoa(int(p.zone))
		if i, err := net.InterfaceByIndex(int(p.zone)); err == nil {
			zone = i.Name
		}
		ip = ip.WithZone(zone)
	}
	return socket.AddrFrom(netip.AddrPortFrom(ip, p.port))
}
