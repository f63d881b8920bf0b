package net

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"strings"
)

// ResolveIPAddr is net.ResolveIPAddr by DefaultResolver.
func ResolveIPAddr(network, address string) (*IPAddr, error) {
	if r := defaultResolver(); r != net.DefaultResolver {
		base, _, _ := strings.Cut(cmp.Or(network, "ip"), ":")
		return resolved[*IPAddr](r, base, network, address, strings.Contains(address, ":"))
	}
	return net.ResolveIPAddr(network, address)
}

// ResolveTCPAddr is net.ResolveTCPAddr by DefaultResolver.
func ResolveTCPAddr(network, address string) (*TCPAddr, error) {
	if r := defaultResolver(); r != net.DefaultResolver {
		return resolved[*TCPAddr](r, cmp.Or(network, "tcp"), network, address, strings.Contains(address, "["))
	}
	return net.ResolveTCPAddr(network, address)
}

// ResolveUDPAddr is net.ResolveUDPAddr by DefaultResolver.
func ResolveUDPAddr(network, address string) (*UDPAddr, error) {
	if r := defaultResolver(); r != net.DefaultResolver {
		return resolved[*UDPAddr](r, cmp.Or(network, "udp"), network, address, strings.Contains(address, "["))
	}
	return net.ResolveUDPAddr(network, address)
}

// resolved finds an address by the program's resolver. It prefers an IPv4 address unless
// the host is a literal IPv6 address.
func resolved[A net.Addr](r *net.Resolver, network, given, address string, ipv6 bool) (none A, err error) {
	t, ok := transports[network]
	if strings.HasPrefix(network, "ip") && !ok {
		t, err = parseNetwork(network + ":0")
		ok = err == nil
	}
	_, fits := t.addr(netip.AddrPort{}).(A)
	if !ok || !fits {
		return none, net.UnknownNetworkError(given)
	}
	all, err := t.resolve(context.Background(), r, address)
	if err != nil {
		return none, err
	}
	to := firstIPv4(all)
	if ipv6 {
		to = all[0]
	}
	a, _ := t.addr(to).(A)
	return a, nil
}
