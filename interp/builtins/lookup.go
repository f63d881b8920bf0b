package builtins

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/seed-2334f180/weir/internal/lookup"
	"github.com/seed-2334f180/weir/socket"
)

// Lookup finds the addresses of a host and a service, as getaddrinfo(3) does. A family
// of 0 means IPv4 and IPv6. The host "*" stands for all local addresses. The error is a
// LookupError. Lookup ends when ctx is done.
func Lookup(ctx context.Context, typ socket.Type, family socket.Family, host, service string) ([]socket.Addr, error) {
	port, err := LookupPort(ctx, typ, service)
	if err != nil {
		return nil, err
	}
	ips := inFamily(family, []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()})
	if host != "*" {
		if ips, err = LookupHost(ctx, family, host); err != nil {
			return nil, err
		}
	}
	addrs := make([]socket.Addr, len(ips))
	for i, ip := range ips {
		addrs[i] = socket.AddrFrom(netip.AddrPortFrom(ip, port))
	}
	return addrs, nil
}

// LookupPort returns the port of a service, by its name or number. The error is a
// LookupError.
func LookupPort(ctx context.Context, typ socket.Type, service string) (uint16, error) {
	if n, err := strconv.Atoi(service); err == nil {
		if n < 0 || n > math.MaxUint16 {
			return 0, NoService
		}
		return uint16(n), nil
	}
	network := "tcp"
	if typ == socket.Dgram {
		network = "udp"
	}
	n, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return 0, NoService
	}
	return uint16(n), nil
}

// LookupHost finds the addresses of a host, of one family or, for 0, of both. The error
// is a LookupError.
func LookupHost(ctx context.Context, family socket.Family, host string) ([]netip.Addr, error) {
	if ip, ok := ParseIP(host); ok {
		ips := inFamily(family, []netip.Addr{ip})
		if len(ips) == 0 {
			return nil, OtherFamily
		}
		return ips, nil
	}
	if host == "" {
		return nil, NoName
	}
	ips, err := lookup.NetIP(ctx, nil, "ip", host)
	if err != nil {
		return nil, cmp.Or(OfLookup(err), TryAgain)
	}
	if ips = inFamily(family, ips); len(ips) == 0 {
		return nil, NoName
	}
	return ips, nil
}

// ParseIP parses an IP address. An IPv4 address may have a form of inet_aton(3): up to
// four parts, each decimal, octal or hexadecimal. The last part gives all the bytes
// that the other parts do not give.
func ParseIP(host string) (netip.Addr, bool) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip, true
	}
	const bytes = 4
	parts := strings.Split(host, ".")
	if len(parts) > bytes {
		return netip.Addr{}, false
	}
	var address uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (bytes - i)
		}
		n, err := strconv.ParseUint(part, 0, bits)
		if err != nil || strings.Contains(part, "_") || len(part) > 1 && strings.ContainsAny(part[1:2], "oObB") {
			return netip.Addr{}, false // Go accepts forms of numbers that C does not
		}
		address = address<<bits | n
	}
	return netip.AddrFrom4([bytes]byte(binary.BigEndian.AppendUint32(nil, uint32(address)))), true
}

func inFamily(family socket.Family, ips []netip.Addr) (fitting []netip.Addr) {
	for _, ip := range ips {
		if family == 0 || (family == socket.Inet) == ip.Is4() {
			fitting = append(fitting, ip)
		}
	}
	return fitting
}
