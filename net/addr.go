package net

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/seed-2334f180/weir/socket"
)

// A transport is what the name of one of net's networks means.
type transport struct {
	network string // as it was given
	typ     socket.Type
	unix    bool
	only    socket.Family // of the networks with a 4 or 6 behind; else 0
}

var transports = []transport{
	{"tcp", socket.Stream, false, 0},
	{"tcp4", socket.Stream, false, socket.Inet},
	{"tcp6", socket.Stream, false, socket.Inet6},
	{"udp", socket.Dgram, false, 0},
	{"udp4", socket.Dgram, false, socket.Inet},
	{"udp6", socket.Dgram, false, socket.Inet6},
	{"unix", socket.Stream, true, socket.Unix},
	{"unixgram", socket.Dgram, true, socket.Unix},
	{"unixpacket", socket.SeqPacket, true, socket.Unix},
}

func parseNetwork(network string) (transport, error) {
	i := slices.IndexFunc(transports, func(t transport) bool { return t.network == network })
	if i < 0 {
		return transport{network: network}, net.UnknownNetworkError(network)
	}
	return transports[i], nil
}

func (t transport) tcp() bool { return t.typ == socket.Stream && !t.unix }

// suffix is what the resolver's networks have behind "ip".
func (t transport) suffix() string {
	switch t.only {
	case socket.Inet:
		return "4"
	case socket.Inet6:
		return "6"
	}
	return ""
}

// allows reports whether an address is one of the network's.
func (t transport) allows(ip netip.Addr) bool {
	return t.only == 0 || ip.Unmap().Is4() == (t.only == socket.Inet)
}

// split takes an address apart, and looks up the port.
func (t transport) split(ctx context.Context, r *net.Resolver, address string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := r.LookupPort(ctx, t.network, service)
	return host, uint16(n), err
}

// literal is the address that a host is in figures, if it is one. An empty
// host is none.
func (t transport) literal(host string) (ip netip.Addr, ok bool, err error) {
	if ip, err = netip.ParseAddr(host); err != nil {
		return netip.Addr{}, false, nil
	}
	if t.only == socket.Inet && ip == netip.IPv6Unspecified() {
		ip = netip.IPv4Unspecified() // all addresses, in whatever notation
	}
	if !t.allows(ip) {
		return ip, true, t.unsuitable(host)
	}
	return ip.Unmap(), true, nil
}

func (t transport) unsuitable(host string) error {
	return &net.AddrError{Err: "no suitable address found for " + t.network, Addr: host}
}

func unmapped(ips []netip.Addr) []netip.Addr {
	for i := range ips {
		ips[i] = ips[i].Unmap() // the resolver gives IPv4 addresses in either form
	}
	return ips
}

// networkOf is the name that package net would have for a socket.
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

// netAddr is an address of a socket in package net's type for it. One that net
// does not know stays as it is; no address is nil.
func netAddr(s *socket.Socket, a socket.Addr) net.Addr {
	switch a.Family() {
	case 0:
		return nil
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
		// One without a name is an abstract one without characters to net.
		return &net.UnixAddr{Name: cmp.Or(a.Host(), "@"), Net: networkOf(s)}
	}
	return a
}

// socketAddr is an address of package net, or of this module, for sockets of a
// family. The nil IP address is the unspecified one.
func socketAddr(family socket.Family, a net.Addr) (socket.Addr, error) {
	switch a := a.(type) {
	case socket.Addr:
		return a, nil
	case *net.UnixAddr:
		if a == nil {
			return socket.Addr{}, errNoAddress
		}
		return socket.UnixAddr(a.Name), nil
	case interface{ AddrPort() netip.AddrPort }: // *net.TCPAddr, *net.UDPAddr
		return ipAddr(family, a.AddrPort())
	}
	if a == nil {
		return socket.Addr{}, errNoAddress
	}
	return socket.Addr{}, &net.AddrError{Err: "not an address of family " + family.String(), Addr: a.Network() + " " + a.String()}
}

var errNoAddress = &net.AddrError{Err: "an address is needed", Addr: "<nil>"}

// ipAddr is an IP address in a family's form: a dual-stack socket knows IPv4
// addresses as IPv6 ones.
func ipAddr(family socket.Family, to netip.AddrPort) (socket.Addr, error) {
	ip := to.Addr().Unmap()
	switch {
	case !ip.IsValid() || ip == netip.IPv4Unspecified() && family == socket.Inet6:
		ip = unspecified(family)
	case family == socket.Inet && !ip.Is4():
		return socket.Addr{}, &net.AddrError{Err: "not an IPv4 address", Addr: to.String()}
	case family == socket.Inet6 && ip.Is4():
		ip = netip.AddrFrom16(ip.As16())
	}
	return socket.AddrFrom(netip.AddrPortFrom(ip, to.Port())), nil
}

func unspecified(family socket.Family) netip.Addr {
	if family == socket.Inet {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// hasIPv6 reports whether the kernel speaks IPv6.
func hasIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}
