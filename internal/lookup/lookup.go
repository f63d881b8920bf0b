// Package lookup finds the IP addresses of host names.
package lookup

import (
	"context"
	"net"
	"net/netip"
)

// NetIP returns the addresses of a host, as r.LookupNetIP does for the networks
// "ip", "ip4" and "ip6", but with their zones, which LookupNetIP drops: without
// its zone a link-local address cannot be used. IPv4 addresses are not mapped to
// IPv6. A nil r means net.DefaultResolver.
func NetIP(ctx context.Context, r *net.Resolver, network, host string) ([]netip.Addr, error) {
	if r == nil {
		r = net.DefaultResolver
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() != "" && network != "ip4" {
		return []netip.Addr{ip}, nil
	}
	ips, err := r.LookupNetIP(ctx, network, host)
	if err != nil {
		return nil, err
	}
	zones := false
	for i, ip := range ips {
		ips[i] = ip.Unmap()
		zones = zones || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast()
	}
	if !zones {
		return ips, nil
	}
	// Only a hosts file has zones. LookupIPAddr keeps them, but always looks up both
	// families. So NetIP calls it only for link-local addresses.
	if all, err := r.LookupIPAddr(ctx, host); err == nil {
		restore(ips, all)
	}
	return ips, nil
}

// restore gives each address of ips that has no zone the zone that it has in all.
// If it has several, the first is for the first such address, and so on.
func restore(ips []netip.Addr, all []net.IPAddr) {
	used := make([]bool, len(all))
	for i, ip := range ips {
		for j, a := range all {
			known, _ := netip.AddrFromSlice(a.IP)
			if !used[j] && a.Zone != "" && known.Unmap() == ip {
				ips[i], used[j] = ip.WithZone(a.Zone), true
				break
			}
		}
	}
}
