package net

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/lookup"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A transport is what the name of one of net's networks means.
type transport struct {
	network string // as it was given
	base    string // tcp, udp, ip or unix
	typ     socket.Type
	only    socket.Family // of the networks that end in 4 or 6; else 0
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

// parseNetwork finds a network by its name. The name of a raw one has a protocol
// behind a colon, as a number or a name.
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

// suffix is the end of the resolver's networks that have the same family.
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

// addr makes net's address for the transport.
func (t transport) addr(to netip.AddrPort) net.Addr {
	ip := net.IP(to.Addr().AsSlice()) // nil of an invalid one
	switch t.base {
	case "tcp":
		return &net.TCPAddr{IP: ip, Port: int(to.Port()), Zone: to.Addr().Zone()}
	case "udp":
		return &net.UDPAddr{IP: ip, Port: int(to.Port()), Zone: to.Addr().Zone()}
	}
	return &net.IPAddr{IP: ip, Zone: to.Addr().Zone()}
}

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

// netAddr returns an address of a socket in net's type for it; nil for none.
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

// An inetAddr is what net's Internet addresses have in common.
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

// v4 reports whether an IPv4 socket can use the address. No address counts.
func (a inetAddr) v4() bool { return len(a.ip) <= net.IPv4len || a.ip.To4() != nil }

// matches reports whether the address has the family of ip.
func (a inetAddr) matches(ip netip.Addr) bool {
	own, ok := netip.AddrFromSlice(a.ip)
	return ok && own.Unmap().Is4() == ip.Unmap().Is4()
}

func (a inetAddr) wildcard() bool { return a.ip == nil || a.ip.IsUnspecified() }

// in returns the address for a socket of a family: an IPv6 socket has the mapped
// form of an IPv4 address. Without an IP address it is the unspecified one. A port
// that does not fit is EINVAL.
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

// addrPortIn is in for an AddrPort, which has no absent address: an invalid one
// is an error.
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
		name, _, _ = strings.Cut(name, "\x00") // the kernel would end it there
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

// zoneText returns a zone that socket accepts: an interface that does not exist
// counts as the number that its name begins with, and as no zone without one.
func zoneText(zone string) string {
	if zone == "" || zones.known(zone) {
		return zone
	}
	digits := zone[:len(zone)-len(strings.TrimLeft(zone, "0123456789"))]
	const most = 0xFFFFFF // what net makes of a greater number
	n := 0
	for _, d := range digits {
		if n = 10*n + int(d-'0'); n >= most {
			n = most
			break
		}
	}
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// zones remembers the names of the network interfaces for a minute.
var zones zoneNames

type zoneNames struct {
	mu    sync.RWMutex
	asked time.Time
	names map[string]bool
}

func (z *zoneNames) known(name string) bool {
	z.mu.RLock()
	known, fresh := z.names[name], time.Since(z.asked) < time.Minute
	z.mu.RUnlock()
	if known && fresh {
		return true
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	all, _ := net.Interfaces()
	z.asked, z.names = time.Now(), make(map[string]bool, len(all))
	for _, i := range all {
		z.names[i.Name] = true
	}
	return z.names[name]
}

// sockaddrOf is an address in the form of bind(2).
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

// addrOf is the address that a system call returned; the zero Addr for another
// family than net's.
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

func zoneName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.Itoa(int(index))
}

// zoneIndex is the index of a zone that zoneText returned.
func zoneIndex(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	n, _ := strconv.Atoi(zone)
	return uint32(n)
}

var (
	errMissingAddress = errors.New("missing address")
	errNoSuitable     = "no suitable address found"
)

// resolve finds the addresses that a network's address stands for, in the order
// of RFC 6724. Without a host it is one that is invalid; its port counts.
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

// split takes an address apart, and looks up its port.
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

// suitable returns those of a host's addresses that the network allows. The IPv6
// wildcard stands for the IPv4 one as well, which comes after it.
func (t transport) suitable(ips []netip.Addr, port int, host string) ([]netip.AddrPort, error) {
	if len(ips) == 1 && ips[0] == netip.IPv6Unspecified() {
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

// lookUpTraced finds a host's addresses in one family or, with the suffix "", in
// both. It tells the hooks in the context of the look-up.
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
