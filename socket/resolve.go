package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/seed-2334f180/weir/internal/lookup"
	"golang.org/x/sys/unix"
)

// lookupIP returns the addresses of a host in one family. It only parses an
// address that is written as numbers.
func lookupIP(ctx context.Context, family Family, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Is4() != (family == Inet) {
			return nil, &net.AddrError{Err: "not an address of family " + family.String(), Addr: host}
		}
		return []netip.Addr{ip}, nil
	}
	network := "ip4"
	if family == Inet6 {
		network = "ip6"
	}
	return lookup.NetIP(ctx, nil, network, host)
}

// lookupPort returns the port of a service: a number, a name of services(5), or
// nothing, which means port 0.
func lookupPort(ctx context.Context, typ Type, service string) (uint16, error) {
	if service == "" {
		return 0, nil
	}
	if n, err := strconv.Atoi(service); err == nil {
		if n < 0 || n > 65535 {
			return 0, &net.AddrError{Err: "a port is 0 to 65535", Addr: service}
		}
		return uint16(n), nil
	}
	network := "tcp"
	if typ == Dgram {
		network = "udp"
	}
	n, err := net.DefaultResolver.LookupPort(ctx, network, service)
	return uint16(n), err
}

// nameOfService reports whether a service must be looked up.
func nameOfService(service string) bool {
	if service == "" {
		return false
	}
	_, err := strconv.Atoi(service)
	return err != nil
}

// lookupFailed gives a failed look-up an errno: EINVAL for a host that cannot
// be a name, EAFNOSUPPORT for an address of another family, EADDRNOTAVAIL for a
// name without an address.
func lookupFailed(op, what string, err error) error {
	errno := unix.EADDRNOTAVAIL
	var bad *net.AddrError
	if errors.As(err, &bad) {
		errno = unix.EINVAL
		if _, e := netip.ParseAddr(bad.Addr); e == nil {
			errno = unix.EAFNOSUPPORT
		}
	}
	return &Error{Op: op, Addr: what, Errno: errno, Err: err}
}

// badAddr returns the error of an address that has no form in the kernel.
func badAddr(op, what string, err error) error {
	errno := unix.EINVAL
	var e syscall.Errno
	if errors.As(err, &e) {
		errno = e
	}
	return &Error{Op: op, Addr: what, Errno: errno, Err: err}
}
