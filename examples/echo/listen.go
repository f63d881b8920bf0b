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

// A lookup finds the addresses of a name.
type lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// lookupTime bounds a lookup.
const lookupTime = 30 * time.Second

// attempts bounds the search for a port that is free at all addresses.
const attempts = 16

// listen listens at every address that the host has, all at one port. It is
// enough if one of them works: not every machine has the IPv6 that its names
// have.
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
		slog.Warn("not listening at every address", "host", o.host, "err", err)
	}
	return listeners, nil
}

// listenAtAll returns the listeners that could be had, and why others could
// not. The kernel chooses port 0 for the first address alone; at another one
// the port may be taken, and then another choice is asked for.
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

// addresses are those of a host. For all addresses there are two to choose
// from: that of IPv6 is of IPv4 as well, unless net.ipv6.bindv6only says
// otherwise, and the other is for machines without IPv6.
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

// backlog is how many connections wait to be accepted, if the system allows as
// many (net.core.somaxconn).
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
	// Accept is called when there is a connection, and waits for none. What is
	// set here is inherited by the sockets that it returns.
	err = errors.Join(l.SetRecvTimeout(time.Nanosecond), l.SetNoDelay(true), l.Listen(backlog))
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("%v: %w", at, err)
	}
	return l, nil
}
