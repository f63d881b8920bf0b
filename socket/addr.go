package socket

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An Addr is a socket's address. It is a comparable value. The zero Addr means
// no address, such as that of an unconnected socket's peer.
type Addr struct {
	family   uint16     // a Family
	hardware uint16     // packet: the hardware's kind, ARPHRD_*
	kind     uint8      // packet: whom it was for, PACKET_*
	linkLen  uint8      // packet: how long the hardware address is
	port     uint32     // inet, inet6, vsock, netlink: port; packet: protocol
	id       uint32     // netlink: groups; packet: interface; vsock: cid
	link     [8]byte    // packet: the hardware address, if it fits
	ip       netip.Addr // inet, inet6
	path     string     // unix, an abstract name begins with a NUL byte; packet, a long hardware address
}

// AddrFrom returns the address of an IP address and port. Its family is inet,
// or inet6 for an IPv6 address. An invalid ip gives the zero Addr.
func AddrFrom(ip netip.AddrPort) Addr {
	family := Inet6
	switch {
	case !ip.Addr().IsValid():
		return Addr{}
	case ip.Addr().Is4():
		family = Inet
	}
	return Addr{family: uint16(family), ip: ip.Addr(), port: uint32(ip.Port())}
}

// UnixAddr returns the address of a unix socket: a path, or an abstract name
// after an "@". unix(7) allows 107 bytes. A longer path is refused where it is
// used.
func UnixAddr(path string) Addr {
	if len(path) > 0 && path[0] == '@' {
		path = "\x00" + path[1:]
	}
	return Addr{family: uint16(Unix), path: path}
}

// NetlinkAddr returns the address of a netlink socket: a port id and a mask of
// multicast groups. Port 0 is the kernel's; in a bind, it lets the kernel
// choose. See netlink(7).
func NetlinkAddr(port, groups uint32) Addr {
	return Addr{family: uint16(Netlink), port: port, id: groups}
}

// VsockAddr returns the address of a virtual machine's socket: the context id
// of the machine and a port. In a bind, unix.VMADDR_CID_ANY and VMADDR_PORT_ANY
// stand for any. See vsock(7).
func VsockAddr(cid, port uint32) Addr {
	return Addr{family: uint16(Vsock), port: port, id: cid}
}

// PacketAddr returns the address of a packet socket. See packet(7).
func PacketAddr(p PacketInfo) Addr {
	a := Addr{
		family: uint16(Packet), port: uint32(p.Protocol), id: uint32(p.Interface),
		hardware: p.Hardware, kind: p.Kind,
	}
	a.setLink(p.Address)
	return a
}

// PacketInfo has the fields of a packet socket's address. In a bind, Protocol
// and Interface choose what is received. A send needs Address too, except on a
// raw socket, whose packets contain it.
type PacketInfo struct {
	Protocol  uint16           // an Ethernet protocol, unix.ETH_P_*, in host byte order; 0 for none
	Interface int              // the interface's index; 0 for all
	Hardware  uint16           // received: the kind of hardware, unix.ARPHRD_*
	Kind      uint8            // received: whom it was for, unix.PACKET_HOST and so on
	Address   net.HardwareAddr // of the sender, or the receiver; 32 bytes at most
}

func (a *Addr) setLink(hw []byte) {
	if len(hw) > len(a.link) {
		a.path = string(hw)
		return
	}
	a.linkLen = uint8(copy(a.link[:], hw))
}

// appendLink appends the hardware address.
func (a Addr) appendLink(b []byte) []byte {
	if a.path != "" {
		return append(b, a.path...)
	}
	return append(b, a.link[:a.linkLen]...)
}

// IsValid reports whether a is not the zero Addr.
func (a Addr) IsValid() bool { return a.family != 0 }

// Family returns the address's family; 0 for the zero Addr.
func (a Addr) Family() Family { return Family(a.family) }

// AddrPort returns the IP address and port. For other families it is invalid.
func (a Addr) AddrPort() netip.AddrPort {
	if !a.ip.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.ip, uint16(a.port))
}

// Port returns the port number of an IP or vsock address, or the port id of a
// netlink address; 0 for other families.
func (a Addr) Port() int {
	if a.Family() == Packet {
		return 0
	}
	return int(a.port)
}

// Host returns the IP address, the path of a unix socket, the context id of
// vsock, or the interface of a packet socket.
func (a Addr) Host() string {
	switch a.Family() {
	case Inet, Inet6:
		return a.ip.String()
	case Unix:
		return a.printablePath()
	case Vsock:
		return printable(a.id)
	case Packet:
		return a.interfaceName()
	}
	return ""
}

// Path returns the file of a unix socket's address, as an absolute path: a
// relative one is taken from the current directory. It is "" for an unnamed
// socket, for an abstract name, and for other families.
func (a Addr) Path() string {
	if a.Family() != Unix || a.path == "" || a.path[0] == 0 {
		return ""
	}
	if abs, err := filepath.Abs(a.path); err == nil {
		return abs
	}
	return a.path
}

// Unmap returns the IPv4 address that an IPv6 address maps, with the same port:
// 127.0.0.1 for ::ffff:127.0.0.1. The kernel gives such addresses to an inet6
// socket whose peer uses IPv4. Any other address is returned as it is.
func (a Addr) Unmap() Addr {
	if !a.ip.Is4In6() {
		return a
	}
	return AddrFrom(netip.AddrPortFrom(a.ip.Unmap(), uint16(a.port)))
}

// Netlink returns the port id and the group mask of a netlink address.
func (a Addr) Netlink() (port, groups uint32) {
	if a.Family() != Netlink {
		return 0, 0
	}
	return a.port, a.id
}

// Vsock returns the context id and port of a vsock address.
func (a Addr) Vsock() (cid, port uint32) {
	if a.Family() != Vsock {
		return 0, 0
	}
	return a.id, a.port
}

// Packet returns the fields of a packet socket's address.
func (a Addr) Packet() PacketInfo {
	if a.Family() != Packet {
		return PacketInfo{}
	}
	return PacketInfo{
		Protocol: uint16(a.port), Interface: int(int32(a.id)),
		Hardware: a.hardware, Kind: a.kind, Address: a.appendLink(nil),
	}
}

// Network returns the family's name, such as "inet", for net.Addr. An address does not
// know the type of its socket, and so not whether that is "tcp" or "udp".
func (a Addr) Network() string {
	if !a.IsValid() {
		return "none"
	}
	return a.Family().String()
}

// String returns the address as text that ParseAddr reads, for net.Addr.
func (a Addr) String() string {
	switch a.Family() {
	case Inet, Inet6:
		return net.JoinHostPort(a.ip.String(), strconv.Itoa(int(a.port)))
	case Unix:
		return a.printablePath()
	case Netlink:
		if a.id == 0 {
			return strconv.FormatUint(uint64(a.port), 10)
		}
		return fmt.Sprintf("%d/%#x", a.port, a.id)
	case Vsock:
		return printable(a.id) + ":" + printable(a.port)
	case Packet:
		s := fmt.Sprintf("%s/%#04x", a.interfaceName(), a.port)
		if hw := a.appendLink(nil); len(hw) > 0 {
			s += "/" + net.HardwareAddr(hw).String()
		}
		return s
	}
	return ""
}

func (a Addr) printablePath() string {
	if len(a.path) > 0 && a.path[0] == 0 {
		return "@" + a.path[1:]
	}
	return a.path
}

func (a Addr) interfaceName() string {
	if a.id == 0 {
		return anyText
	}
	return interfaces.name(a.id)
}

// anyText stands for every context id, port or interface.
const anyText = "any"

// printable returns a vsock context id or port as text.
func printable(n uint32) string {
	if n == unix.VMADDR_CID_ANY {
		return anyText
	}
	return strconv.FormatUint(uint64(n), 10)
}

// ParseAddr reads an address, as String prints it:
//
//	inet     192.0.2.1:80, or without the port
//	inet6    [2001:db8::1]:80, or 2001:db8::1; a zone may follow the address
//	unix     a path, or @name for an abstract one
//	netlink  port, or port/groups
//	vsock    cid:port; a cid may be "local", "host" or "any", a port "any"
//	packet   interface, interface/protocol, or interface/protocol/hardware
//	         address; the interface is a name, an index, or "any"
//
// Numbers may be hexadecimal after "0x". The error is EINVAL, ENODEV for an
// interface that does not exist, or EAFNOSUPPORT for a family whose addresses
// are not known here.
func ParseAddr(family Family, text string) (Addr, error) {
	a, err := parseAddr(family, text)
	if err != nil {
		return Addr{}, badAddr("address", text, err)
	}
	return a, nil
}

func parseAddr(family Family, text string) (Addr, error) {
	switch family {
	case Inet, Inet6:
		return parseIP(family, text)
	case Unix:
		return UnixAddr(text), nil
	case Netlink:
		port, groups, found := strings.Cut(text, "/")
		if !found {
			groups = "0"
		}
		return parsePair(NetlinkAddr, port, groups, nil)
	case Vsock:
		cid, port, found := strings.Cut(text, ":")
		if !found {
			return Addr{}, fmt.Errorf("%q is not cid:port", text)
		}
		return parsePair(VsockAddr, cid, port, vsockNames)
	case Packet:
		return parsePacket(text)
	}
	return Addr{}, fmt.Errorf("no text is known for addresses of family %v: %w", family, unix.EAFNOSUPPORT)
}

func parseIP(family Family, text string) (Addr, error) {
	ip, err := netip.ParseAddr(text)
	to := netip.AddrPortFrom(ip, 0)
	if err != nil {
		if to, err = netip.ParseAddrPort(text); err != nil {
			return Addr{}, err
		}
	}
	if to.Addr().Is4() != (family == Inet) {
		return Addr{}, fmt.Errorf("it is not of family %v: %w", family, unix.EAFNOSUPPORT)
	}
	return AddrFrom(to), nil
}

var vsockNames = map[string]uint32{
	anyText: unix.VMADDR_CID_ANY, "local": unix.VMADDR_CID_LOCAL, "host": unix.VMADDR_CID_HOST,
}

// parsePair makes an address of two numbers, or of names for them.
func parsePair(make func(a, b uint32) Addr, first, second string, names map[string]uint32) (Addr, error) {
	var n [2]uint32
	for i, s := range [...]string{first, second} {
		if v, ok := names[s]; ok && (i == 0 || s == anyText) {
			n[i] = v
			continue
		}
		v, err := strconv.ParseUint(s, 0, 32)
		if err != nil {
			return Addr{}, err
		}
		n[i] = uint32(v)
	}
	return make(n[0], n[1]), nil
}

func parsePacket(text string) (Addr, error) {
	var p PacketInfo
	name, rest, _ := strings.Cut(text, "/")
	if name != anyText {
		index, err := interfaces.index(name)
		if err != nil {
			return Addr{}, err
		}
		p.Interface = int(index)
	}
	protocol, hw, _ := strings.Cut(rest, "/")
	if protocol != "" {
		n, err := strconv.ParseUint(protocol, 0, 16)
		if err != nil {
			return Addr{}, err
		}
		p.Protocol = uint16(n)
	}
	if hw != "" {
		var err error
		if p.Address, err = net.ParseMAC(hw); err != nil {
			return Addr{}, err
		}
	}
	return PacketAddr(p), nil
}

var _ net.Addr = Addr{}
