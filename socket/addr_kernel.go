package socket

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// A sockaddr is an address in the kernel's form.
type sockaddr sys.Sockaddr

// pathOffset is where sun_path begins. linkOffset is where sll_addr begins,
// which may be longer than its declaration.
const (
	pathOffset = uint32(unsafe.Offsetof(unix.RawSockaddrUnix{}.Path))
	linkOffset = uint32(unsafe.Offsetof(unix.RawSockaddrLinklayer{}.Addr))
	maxLink    = 32 // MAX_ADDR_LEN
)

// encode writes a in the kernel's form.
func (sa *sockaddr) encode(a Addr) error {
	p := unsafe.Pointer(&sa.Raw)
	switch a.Family() {
	case Inet:
		if !a.ip.Is4() {
			return fmt.Errorf("%v is not an IPv4 address", a.ip)
		}
		*(*unix.RawSockaddrInet4)(p) = unix.RawSockaddrInet4{
			Family: unix.AF_INET, Port: swapped(uint16(a.port)), Addr: a.ip.As4(),
		}
		sa.Len = unix.SizeofSockaddrInet4
	case Inet6:
		return sa.encodeInet6(a)
	case Unix:
		return sa.encodeUnix(a)
	case Netlink:
		*(*unix.RawSockaddrNetlink)(p) = unix.RawSockaddrNetlink{Family: unix.AF_NETLINK, Pid: a.port, Groups: a.id}
		sa.Len = unix.SizeofSockaddrNetlink
	case Vsock:
		*(*unix.RawSockaddrVM)(p) = unix.RawSockaddrVM{Family: unix.AF_VSOCK, Port: a.port, Cid: a.id}
		sa.Len = unix.SizeofSockaddrVM
	case Packet:
		return sa.encodePacket(a)
	default:
		return fmt.Errorf("an address of family %v: %w", a.Family(), unix.EAFNOSUPPORT)
	}
	return nil
}

func (sa *sockaddr) encodeInet6(a Addr) error {
	raw := (*unix.RawSockaddrInet6)(unsafe.Pointer(&sa.Raw))
	*raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped(uint16(a.port)), Addr: a.ip.As16()}
	if zone := a.ip.Zone(); zone != "" {
		scope, err := interfaces.index(zone)
		if err != nil {
			return err
		}
		raw.Scope_id = scope
	}
	sa.Len = unix.SizeofSockaddrInet6
	return nil
}

func (sa *sockaddr) encodeUnix(a Addr) error {
	raw := (*unix.RawSockaddrUnix)(unsafe.Pointer(&sa.Raw))
	*raw = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	limit := len(raw.Path)
	ends := a.path != "" && a.path[0] != 0 // a path ends with a NUL byte, an abstract name does not
	if ends {
		limit--
	}
	if len(a.path) > limit {
		return fmt.Errorf("the path has %d bytes; at most %d fit: %w", len(a.path), limit, unix.ENAMETOOLONG)
	}
	if ends && strings.IndexByte(a.path, 0) >= 0 {
		return fmt.Errorf("the path has a NUL byte, where the kernel would end it: %w", unix.EINVAL)
	}
	for i := range len(a.path) {
		raw.Path[i] = int8(a.path[i])
	}
	sa.Len = pathOffset + uint32(len(a.path))
	if ends {
		sa.Len++
	}
	return nil
}

func (sa *sockaddr) encodePacket(a Addr) error {
	var buf [maxLink]byte
	hw := a.appendLink(buf[:0])
	if len(hw) > maxLink {
		return fmt.Errorf("the hardware address has %d bytes; at most %d fit: %w", len(hw), maxLink, unix.ENAMETOOLONG)
	}
	raw := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&sa.Raw))
	*raw = unix.RawSockaddrLinklayer{
		Family: unix.AF_PACKET, Protocol: swapped(uint16(a.port)), Ifindex: int32(a.id),
		Hatype: a.hardware, Pkttype: a.kind, Halen: uint8(len(hw)),
	}
	copy(sa.bytes(linkOffset, maxLink), hw)
	sa.Len = max(unix.SizeofSockaddrLinklayer, linkOffset+uint32(len(hw)))
	return nil
}

// decode reads the kernel's form. A family that this package does not know
// gives the zero Addr.
func (sa *sockaddr) decode() Addr {
	if sa.Len < 2 {
		return Addr{}
	}
	p := unsafe.Pointer(&sa.Raw)
	switch sa.Raw.Addr.Family {
	case unix.AF_INET:
		raw := (*unix.RawSockaddrInet4)(p)
		return Addr{family: unix.AF_INET, ip: netip.AddrFrom4(raw.Addr), port: uint32(swapped(raw.Port))}
	case unix.AF_INET6:
		raw := (*unix.RawSockaddrInet6)(p)
		ip := netip.AddrFrom16(raw.Addr)
		if raw.Scope_id != 0 {
			ip = ip.WithZone(interfaces.name(raw.Scope_id))
		}
		return Addr{family: unix.AF_INET6, ip: ip, port: uint32(swapped(raw.Port))}
	case unix.AF_UNIX:
		path := sa.bytes(pathOffset, sa.Len-min(sa.Len, pathOffset))
		if len(path) > 0 && path[0] != 0 {
			path, _, _ = bytes.Cut(path, []byte{0})
		}
		return Addr{family: unix.AF_UNIX, path: string(path)} // empty: unnamed
	case unix.AF_NETLINK:
		raw := (*unix.RawSockaddrNetlink)(p)
		return NetlinkAddr(raw.Pid, raw.Groups)
	case unix.AF_VSOCK:
		raw := (*unix.RawSockaddrVM)(p)
		return VsockAddr(raw.Cid, raw.Port)
	case unix.AF_PACKET:
		raw := (*unix.RawSockaddrLinklayer)(p)
		a := Addr{
			family: unix.AF_PACKET, port: uint32(swapped(raw.Protocol)), id: uint32(raw.Ifindex),
			hardware: raw.Hatype, kind: raw.Pkttype,
		}
		a.setLink(sa.bytes(linkOffset, uint32(raw.Halen)))
		return a
	}
	return Addr{}
}

// AddrFromSockaddr returns an address that a system call of the program's own
// gave, such as recvfrom(2) by SyscallConn: the kernel's form and its length. A
// family that this package does not know gives the zero Addr.
func AddrFromSockaddr(raw *unix.RawSockaddrAny, length uint32) Addr {
	sa := sockaddr{Raw: *raw, Len: min(length, unix.SizeofSockaddrAny)}
	return sa.decode()
}

// localAddr is getsockname(2).
func localAddr(fd int) (Addr, syscall.Errno) {
	var sa sockaddr
	errno := sys.Getsockname(fd, (*sys.Sockaddr)(&sa))
	if errno != 0 {
		return Addr{}, errno
	}
	return sa.decode(), 0
}

// peerAddr is getpeername(2).
func peerAddr(fd int) (Addr, syscall.Errno) {
	var sa sockaddr
	errno := sys.Getpeername(fd, (*sys.Sockaddr)(&sa))
	if errno != 0 {
		return Addr{}, errno
	}
	return sa.decode(), 0
}

// bytes returns n bytes of the kernel's form from offset on, or as many as it
// has.
func (sa *sockaddr) bytes(offset, n uint32) []byte {
	all := unsafe.Slice((*byte)(unsafe.Pointer(&sa.Raw)), unix.SizeofSockaddrAny)
	return all[offset:min(offset+n, uint32(len(all)))]
}

// swapped converts a port to or from network byte order. Linux on amd64 and
// arm64 is little-endian.
func swapped(port uint16) uint16 { return port<<8 | port>>8 }

// interfaces caches the names of the network interfaces for a minute, as
// package net does for IPv6 zones, because every datagram from a link-local
// address needs one.
var interfaces interfaceNames

type interfaceNames struct {
	mu     sync.RWMutex
	asked  time.Time
	names  map[uint32]string
	byName map[string]uint32
}

const interfacesStale = time.Minute

// name is the name of the interface with an index, or the index in figures.
func (c *interfaceNames) name(index uint32) string {
	c.mu.RLock()
	name, ok := c.names[index]
	fresh := time.Since(c.asked) < interfacesStale
	c.mu.RUnlock()
	if ok && fresh {
		return name
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ask()
	if name, ok = c.names[index]; !ok {
		name = strconv.FormatUint(uint64(index), 10)
		c.names[index] = name
	}
	return name
}

// index is the index of the interface with a name, or that is the name.
func (c *interfaceNames) index(name string) (uint32, error) {
	c.mu.RLock()
	index, ok := c.byName[name]
	fresh := time.Since(c.asked) < interfacesStale
	c.mu.RUnlock()
	if ok && fresh {
		return index, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil && n > 0 {
		return uint32(n), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ask()
	if index, ok = c.byName[name]; !ok {
		return 0, fmt.Errorf("no interface is named %q: %w", name, unix.ENODEV)
	}
	return index, nil
}

// ask fills the tables. The caller holds the lock.
func (c *interfaceNames) ask() {
	c.asked = time.Now()
	c.names = make(map[uint32]string)
	c.byName = make(map[string]uint32)
	all, _ := net.Interfaces() // without them, indexes serve as names
	for _, i := range all {
		c.names[uint32(i.Index)] = i.Name
		c.byName[i.Name] = uint32(i.Index)
	}
}
