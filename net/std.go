package net

import (
	"context"
	"net"
	"net/netip"
)

// The following names of Go's net need no socket of Weir's. They are the same types,
// values and functions here and in net.

// The interfaces.
type (
	Addr       = net.Addr
	Conn       = net.Conn
	Error      = net.Error
	Listener   = net.Listener
	PacketConn = net.PacketConn
)

// Addresses.
type (
	Flags        = net.Flags
	HardwareAddr = net.HardwareAddr
	IP           = net.IP
	IPAddr       = net.IPAddr
	IPMask       = net.IPMask
	IPNet        = net.IPNet
	Interface    = net.Interface
	TCPAddr      = net.TCPAddr
	UDPAddr      = net.UDPAddr
	UnixAddr     = net.UnixAddr
)

// Errors.
type (
	AddrError           = net.AddrError
	DNSConfigError      = net.DNSConfigError
	DNSError            = net.DNSError
	InvalidAddrError    = net.InvalidAddrError
	OpError             = net.OpError
	ParseError          = net.ParseError
	UnknownNetworkError = net.UnknownNetworkError
)

// Names, and settings of connections.
type (
	KeepAliveConfig = net.KeepAliveConfig
	MX              = net.MX
	NS              = net.NS
	Resolver        = net.Resolver
	SRV             = net.SRV
)

// The lengths of IP addresses, in bytes.
const (
	IPv4len = net.IPv4len
	IPv6len = net.IPv6len
)

// The flags of an Interface.
const (
	FlagUp           = net.FlagUp
	FlagBroadcast    = net.FlagBroadcast
	FlagLoopback     = net.FlagLoopback
	FlagPointToPoint = net.FlagPointToPoint
	FlagMulticast    = net.FlagMulticast
	FlagRunning      = net.FlagRunning
)

// Well-known addresses.
var (
	IPv4bcast                  = net.IPv4bcast
	IPv4allsys                 = net.IPv4allsys
	IPv4allrouter              = net.IPv4allrouter
	IPv4zero                   = net.IPv4zero
	IPv6zero                   = net.IPv6zero
	IPv6unspecified            = net.IPv6unspecified
	IPv6loopback               = net.IPv6loopback
	IPv6interfacelocalallnodes = net.IPv6interfacelocalallnodes
	IPv6linklocalallnodes      = net.IPv6linklocalallnodes
	IPv6linklocalallrouters    = net.IPv6linklocalallrouters
)

var (
	// ErrClosed is the error of a call on a connection that is closed.
	ErrClosed = net.ErrClosed
	// ErrWriteToConnected is the error of WriteTo on a connected socket.
	ErrWriteToConnected = net.ErrWriteToConnected
)

// DefaultResolver looks up names for this package's functions, and for Dialers without a
// Resolver. Unless the program replaces it, it uses net.DefaultResolver, which the
// program may also replace.
var DefaultResolver = net.DefaultResolver

var firstResolver = net.DefaultResolver

func defaultResolver() *net.Resolver {
	if DefaultResolver != nil && DefaultResolver != firstResolver {
		return DefaultResolver
	}
	return net.DefaultResolver
}

// CIDRMask is net.CIDRMask.
func CIDRMask(ones, bits int) IPMask { return net.CIDRMask(ones, bits) }

// IPv4 is net.IPv4.
func IPv4(a, b, c, d byte) IP { return net.IPv4(a, b, c, d) }

// IPv4Mask is net.IPv4Mask.
func IPv4Mask(a, b, c, d byte) IPMask { return net.IPv4Mask(a, b, c, d) }

// InterfaceAddrs is net.InterfaceAddrs.
func InterfaceAddrs() ([]Addr, error) { return net.InterfaceAddrs() }

// InterfaceByIndex is net.InterfaceByIndex.
func InterfaceByIndex(index int) (*Interface, error) { return net.InterfaceByIndex(index) }

// InterfaceByName is net.InterfaceByName.
func InterfaceByName(name string) (*Interface, error) { return net.InterfaceByName(name) }

// Interfaces is net.Interfaces.
func Interfaces() ([]Interface, error) { return net.Interfaces() }

// JoinHostPort is net.JoinHostPort.
func JoinHostPort(host, port string) string { return net.JoinHostPort(host, port) }

// SplitHostPort is net.SplitHostPort.
func SplitHostPort(hostport string) (host, port string, err error) {
	return net.SplitHostPort(hostport)
}

// ParseCIDR is net.ParseCIDR.
func ParseCIDR(s string) (IP, *IPNet, error) { return net.ParseCIDR(s) }

// ParseIP is net.ParseIP.
func ParseIP(s string) IP { return net.ParseIP(s) }

// ParseMAC is net.ParseMAC.
func ParseMAC(s string) (HardwareAddr, error) { return net.ParseMAC(s) }

// Pipe is net.Pipe: a connection in memory, without a socket.
func Pipe() (Conn, Conn) { return net.Pipe() }

// ResolveUnixAddr is net.ResolveUnixAddr.
func ResolveUnixAddr(network, address string) (*UnixAddr, error) {
	return net.ResolveUnixAddr(network, address)
}

// TCPAddrFromAddrPort is net.TCPAddrFromAddrPort.
func TCPAddrFromAddrPort(addr netip.AddrPort) *TCPAddr { return net.TCPAddrFromAddrPort(addr) }

// UDPAddrFromAddrPort is net.UDPAddrFromAddrPort.
func UDPAddrFromAddrPort(addr netip.AddrPort) *UDPAddr { return net.UDPAddrFromAddrPort(addr) }

// LookupAddr is net.LookupAddr by DefaultResolver.
func LookupAddr(addr string) (names []string, err error) {
	return defaultResolver().LookupAddr(context.Background(), addr)
}

// LookupCNAME is net.LookupCNAME by DefaultResolver.
func LookupCNAME(host string) (cname string, err error) {
	return defaultResolver().LookupCNAME(context.Background(), host)
}

// LookupHost is net.LookupHost by DefaultResolver.
func LookupHost(host string) (addrs []string, err error) {
	return defaultResolver().LookupHost(context.Background(), host)
}

// LookupIP is net.LookupIP by DefaultResolver.
func LookupIP(host string) ([]IP, error) {
	addrs, err := defaultResolver().LookupIPAddr(context.Background(), host)
	if err != nil {
		return nil, err
	}
	ips := make([]IP, len(addrs))
	for i, a := range addrs {
		ips[i] = a.IP
	}
	return ips, nil
}

// LookupMX is net.LookupMX by DefaultResolver.
func LookupMX(name string) ([]*MX, error) {
	return defaultResolver().LookupMX(context.Background(), name)
}

// LookupNS is net.LookupNS by DefaultResolver.
func LookupNS(name string) ([]*NS, error) {
	return defaultResolver().LookupNS(context.Background(), name)
}

// LookupPort is net.LookupPort by DefaultResolver.
func LookupPort(network, service string) (port int, err error) {
	return defaultResolver().LookupPort(context.Background(), network, service)
}

// LookupSRV is net.LookupSRV by DefaultResolver.
func LookupSRV(service, proto, name string) (cname string, addrs []*SRV, err error) {
	return defaultResolver().LookupSRV(context.Background(), service, proto, name)
}

// LookupTXT is net.LookupTXT by DefaultResolver.
func LookupTXT(name string) ([]string, error) {
	return defaultResolver().LookupTXT(context.Background(), name)
}
