package net

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/seed-2334f180/weir/internal/lookup"
	"github.com/seed-2334f180/weir/socket"
)

// A transport has the parts of a network's name, such as "tcp4".
type transport struct {
	network string // the name as the caller gave it
	base    string // tcp, udp, ip or unix
	typ     socket.Type
	only    socket.Family // the only family, if the name ends in 4 or 6; else 0
	proto   socket.Protocol
}

var transports = map[string]transport{
	"tcp":        {"tcp", "tcp", socket.Stream, 0, 0},
	"tcp4":       {"tcp4", "tcp", socket.Stream, socket.Inet, 0},
	"tcp6":       {"tcp6", "tcp", socket.Stream, socket.Inet6, 0},
	"udp":        {"udp", "udp", socket.Dgram, 0, 0},
	"udp4":       {"udp4", "udp", socket.Dgram, socket.Inet, 0},
	"udp6":       {"udp6", "udp", socket.Dgram, socket.Inet6, 0},
	"unix":       {"unix", "unix", socket.Stream, socket.Unix, 0},
	"unixgram":   {"unixgram", "unix", socket.Dgram, socket.Unix, 0},
	"unixpacket": {"unixpacket", "unix", socket.SeqPacket, socket.Unix, 0},
}

// parseNetwork returns the transport that a network's name means. The name of a raw
// network ends in a colon and a protocol, which is a number or a name.
func parseNetwork(network string) (transport, error) {
	if t, ok := transports[network]; ok {
		return t, nil
	}
	unknown := net.UnknownNetworkError(network)
	colon := strings.LastIndexByte(network, ':')
	if colon < 0 {
		return transport{}, unknown
	}
	t := transport{network: network[:colon], base: "ip", typ: socket.Raw}
	switch t.network {
	case "ip":
	case "ip4":
		t.only = socket.Inet
	case "ip6":
		t.only = socket.Inet6
	default:
		return transport{}, unknown
	}
	name := network[colon+1:]
	if name == "" {
		return transport{}, &net.AddrError{Err: "unknown IP protocol specified", Addr: name}
	}
	proto, err := socket.ProtocolByName(strings.ToLower(name))
	if err != nil {
		return transport{}, &net.AddrError{Err: "unknown IP protocol specified", Addr: name}
	}
	t.proto = proto
	return t, nil
}

func (t transport) tcp() bool  { return t.base == "tcp" }
func (t transport) unix() bool { return t.base == "unix" }

// suffix returns "4", "6" or "". After "ip" it names the resolver's network for the same
// family.
func (t transport) suffix() string {
	switch t.only {
	case socket.Inet:
		return "4"
	case socket.Inet6:
		return "6"
	}
	return ""
}

// allows reports whether the network permits the family of an address.
func (t transport) allows(ip netip.Addr) bool {
	return t.only == 0 || ip.Unmap().Is4() == (t.only == socket.Inet)
}

// addr returns an address in the type that net has for the transport's networks.
func (t transport) addr(to netip.AddrPort) net.Addr {
	ip := net.IP(to.Addr().AsSlice()) // nil for an invalid address
	switch t.base {
	case "tcp":
		return &net.TCPAddr{IP: ip, Port: int(to.Port()), Zone: to.Addr().Zone()}
	case "udp":
		return &net.UDPAddr{IP: ip, Port: int(to.Port()), Zone: to.Addr().Zone()}
	}
	return &net.IPAddr{IP: ip, Zone: to.Addr().Zone()}
}

var (
	errMissingAddress = errors.New("missing address")
	errNoSuitable     = "no suitable address found"
)

// resolve returns the IP addresses and the port that an address in net's notation
// stands for, in the order of RFC 6724. If the address has no host, resolve returns
// the port with an invalid IP address.
func (t transport) resolve(ctx context.Context, r *net.Resolver, address string) ([]netip.AddrPort, error) {
	host, port := address, 0
	if t.base != "ip" {
		var err error
		if host, port, err = t.split(ctx, r, address); err != nil {
			return nil, err
		}
	}
	if host == "" {
		return []netip.AddrPort{netip.AddrPortFrom(netip.Addr{}, uint16(port))}, nil
	}
	ips, err := lookUpTraced(ctx, r, t.suffix(), host)
	if err != nil {
		return nil, err
	}
	return t.suitable(ips, port, host)
}

// split returns the host and the port number of an address.
func (t transport) split(ctx context.Context, r *net.Resolver, address string) (host string, port int, err error) {
	if address == "" {
		return "", 0, nil
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = r.LookupPort(ctx, t.network, service)
	return host, port, err
}

// suitable returns the addresses of a host that the network allows. The IPv6 wildcard
// also stands for the IPv4 wildcard, which comes after it.
func (t transport) suitable(ips []netip.Addr, port int, host string) ([]netip.AddrPort, error) {
	if len(ips) == 1 && ips[0].WithZone("") == netip.IPv6Unspecified() {
		ips = append(ips, netip.IPv4Unspecified())
	}
	var to []netip.AddrPort
	for _, ip := range ips {
		if t.allows(ip) {
			to = append(to, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
		}
	}
	if len(to) == 0 {
		return nil, &net.AddrError{Err: errNoSuitable, Addr: host}
	}
	return to, nil
}

// lookUpTraced returns the addresses of a host: in one family or, with the suffix "",
// in both. It calls the httptrace hooks in the context.
func lookUpTraced(ctx context.Context, r *net.Resolver, suffix, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	trace := traceOf(ctx)
	trace.dnsStart(host)
	ips, err := lookup.NetIP(untraced{ctx}, r, "ip"+suffix, host)
	trace.dnsDone(ips, err)
	return ips, err
}
