package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A lookup returns the addresses of a name.
type lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// lookupTime bounds a lookup.
const lookupTime = 30 * time.Second

// attempts is how often listen looks for a port that is free at all addresses.
const attempts = 16

// listen listens at every address of the host, with one port. One address that
// works is enough: a name may have an IPv6 address on a machine without IPv6.
func listen(o options, find lookup) ([]*socket.Socket, error) {
	hosts, err := addresses(o.host, find)
	if err != nil {
		return nil, err
	}
	listeners, errs := listenAtAll(hosts, o, listenAt)
	if len(listeners) == 0 {
		return nil, errors.Join(errs...)
	}
	for _, err := range errs {
		slog.Warn("not listening at every address", "host", o.host, "error", err)
	}
	return listeners, nil
}

// listenAtAll returns the listeners that could be opened, and the errors of the
// others. For port 0, the kernel chooses a port at the first address. If that port is
// taken at another address, listenAtAll starts again with another port.
func listenAtAll(hosts []netip.Addr, o options, at func(netip.Addr, int) (*socket.Socket, error)) (listeners []*socket.Socket, errs []error) {
	for attempt := 1; ; attempt++ {
		port, taken := o.port, false
		for _, host := range hosts {
			l, err := at(host, port)
			if err != nil {
				taken = taken || o.port == 0 && errors.Is(err, unix.EADDRINUSE)
				errs = append(errs, err)
				continue
			}
			listeners = append(listeners, l)
			port = l.LocalAddr().Port()
			if o.host == "" {
				break
			}
		}
		if !taken || attempt == attempts {
			return listeners, errs
		}
		for _, l := range listeners {
			l.Close()
		}
		listeners, errs = nil, nil
	}
}

// addresses returns the addresses of a host. An empty host means all addresses: that
// is the IPv6 one, which includes IPv4 unless net.ipv6.bindv6only is set, and the
// IPv4 one for machines without IPv6.
func addresses(host string, find lookup) ([]netip.Addr, error) {
	if host == "" {
		return []netip.Addr{netip.IPv6Unspecified(), netip.IPv4Unspecified()}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	found, err := find(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	for _, ip := range found {
		if ip = ip.Unmap(); !slices.Contains(all, ip) {
			all = append(all, ip)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the name %q has no address", host)
	}
	return all, nil
}

// backlog is how many connections may wait to be accepted. The system may allow
// fewer (net.core.somaxconn).
const backlog = 4096

func listenAt(ip netip.Addr, port int) (*socket.Socket, error) {
	family := socket.Inet
	if ip.Is6() {
		family = socket.Inet6
	}
	at := socket.AddrFrom(netip.AddrPortFrom(ip, uint16(port)))
	l, err := socket.Config{Bind: at, ReuseAddress: true}.New(family, socket.Stream, 0)
	if err != nil {
		return nil, err
	}
	// Accept is called when there is a connection, so it must not wait. The sockets
	// that it returns inherit the options that are set here.
	err = errors.Join(l.SetRecvTimeout(time.Nanosecond), l.SetNoDelay(true), l.Listen(backlog))
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("%v: %w", at, err)
	}
	return l, nil
}
