package socket

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Addr is a socket's address. It is a value: comparable, and free to copy.
// The zero Addr is no address, such as the peer's of an unconnected socket.
type Addr struct {
	family Family
	ip     netip.AddrPort // inet, inet6
	path   string         // unix; an abstract name begins with a NUL byte
}

// AddrFrom is the address of an IP address and port, of the family inet, or
// inet6 if ip is an IPv6 address.
func AddrFrom(ip netip.AddrPort) Addr {
	if ip.Addr().Is4() {
		return Addr{family: Inet, ip: ip}
	}
	return Addr{family: Inet6, ip: ip}
}

// UnixAddr is the address of a unix socket: a path, or an abstract name after
// an "@". It may be as long as unix(7) allows, 107 bytes; longer ones are
// refused where they are used.
func UnixAddr(path string) Addr {
	if len(path) > 0 && path[0] == '@' {
		path = "\x00" + path[1:]
	}
	return Addr{family: Unix, path: path}
}

// IsValid reports whether a is an address at all.
func (a Addr) IsValid() bool { return a.family != 0 }

// Family is the address's family; 0 of the zero Addr.
func (a Addr) Family() Family { return a.family }

// AddrPort is the IP address and port; invalid for families that have none.
func (a Addr) AddrPort() netip.AddrPort { return a.ip }

// Port is the port number; 0 for families that have none.
func (a Addr) Port() int { return int(a.ip.Port()) }

// Host is the IP address, or the path of a unix socket.
func (a Addr) Host() string {
	switch a.family {
	case Inet, Inet6:
		return a.ip.Addr().String()
	case Unix:
		return a.printablePath()
	}
	return ""
}

// Network is the family's name. With String it makes Addr a net.Addr.
func (a Addr) Network() string {
	if !a.IsValid() {
		return "none"
	}
	return a.family.String()
}

// String is "192.0.2.1:80", "[2001:db8::1]:80", "/path" or "@name".
func (a Addr) String() string {
	switch a.family {
	case Inet, Inet6:
		return net.JoinHostPort(a.ip.Addr().String(), strconv.Itoa(int(a.ip.Port())))
	case Unix:
		return a.printablePath()
	}
	return ""
}

func (a Addr) printablePath() string {
	if len(a.path) > 0 && a.path[0] == 0 {
		return "@" + a.path[1:]
	}
	return a.path
}

var _ net.Addr = Addr{}

// A sockaddr is an address in the kernel's form. It is big enough for every
// family.
type sockaddr struct {
	raw unix.RawSockaddrAny
	len uint32
}

// pathOffset is where sun_path begins.
const pathOffset = uint32(unsafe.Offsetof(unix.RawSockaddrUnix{}.Path))

// encode writes a in the kernel's form.
func (sa *sockaddr) encode(a Addr) error {
	switch a.family {
	case Inet:
		if !a.ip.Addr().Is4() {
			return fmt.Errorf("%v is not an IPv4 address", a.ip.Addr())
		}
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa.raw))
		*raw = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swapped(a.ip.Port()), Addr: a.ip.Addr().As4()}
		sa.len = unix.SizeofSockaddrInet4
	case Inet6:
		raw := (*unix.RawSockaddrInet6)(unsafe.Pointer(&sa.raw))
		*raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped(a.ip.Port()), Addr: a.ip.Addr().As16()}
		if zone := a.ip.Addr().Zone(); zone != "" {
			scope, err := scopeOf(zone)
			if err != nil {
				return err
			}
			raw.Scope_id = scope
		}
		sa.len = unix.SizeofSockaddrInet6
	case Unix:
		raw := (*unix.RawSockaddrUnix)(unsafe.Pointer(&sa.raw))
		*raw = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
		limit := len(raw.Path)
		if a.path != "" && a.path[0] != 0 {
			limit-- // a path ends with a NUL byte, an abstract name does not
		}
		if len(a.path) > limit {
			return fmt.Errorf("the path has %d bytes; at most %d fit: %w", len(a.path), limit, unix.ENAMETOOLONG)
		}
		for i := range len(a.path) {
			raw.Path[i] = int8(a.path[i])
		}
		sa.len = pathOffset + uint32(len(a.path))
		if a.path != "" && a.path[0] != 0 {
			sa.len++
		}
	default:
		return fmt.Errorf("an address of family %v: %w", a.family, unix.EAFNOSUPPORT)
	}
	return nil
}

// decode reads the kernel's form. A family without a form here gives the zero
// Addr.
func (sa *sockaddr) decode() Addr {
	if sa.len < 2 {
		return Addr{}
	}
	switch sa.raw.Addr.Family {
	case unix.AF_INET:
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa.raw))
		return Addr{family: Inet, ip: netip.AddrPortFrom(netip.AddrFrom4(raw.Addr), swapped(raw.Port))}
	case unix.AF_INET6:
		raw := (*unix.RawSockaddrInet6)(unsafe.Pointer(&sa.raw))
		ip := netip.AddrFrom16(raw.Addr)
		if raw.Scope_id != 0 {
			ip = ip.WithZone(zoneOf(raw.Scope_id))
		}
		return Addr{family: Inet6, ip: netip.AddrPortFrom(ip, swapped(raw.Port))}
	case unix.AF_UNIX:
		raw := (*unix.RawSockaddrUnix)(unsafe.Pointer(&sa.raw))
		n := int(min(sa.len, pathOffset+uint32(len(raw.Path)))) - int(pathOffset)
		if n <= 0 {
			return Addr{family: Unix} // unnamed
		}
		path := unsafe.Slice((*byte)(unsafe.Pointer(&raw.Path[0])), n)
		if path[0] != 0 {
			path, _, _ = bytes.Cut(path, []byte{0})
		}
		return Addr{family: Unix, path: string(path)}
	}
	return Addr{}
}

// swapped turns a port from or to network byte order. Linux on amd64 and arm64
// is little-endian.
func swapped(port uint16) uint16 { return port<<8 | port>>8 }

// scopeOf finds an IPv6 zone's interface index; zoneOf its name.
func scopeOf(zone string) (uint32, error) {
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index), nil
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("no interface is named %q: %w", zone, unix.ENODEV)
	}
	return uint32(n), nil
}

func zoneOf(scope uint32) string {
	if ifi, err := net.InterfaceByIndex(int(scope)); err == nil {
		return ifi.Name
	}
	return strconv.FormatUint(uint64(scope), 10)
}
