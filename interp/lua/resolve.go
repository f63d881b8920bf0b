package lua

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/seed-2334f180/weir/socket"
	glua "github.com/yuin/gopher-lua"
)

// A lookupError is the error of a failed look-up, in LuaSocket's words.
type lookupError struct {
	message string
	cause   error
}

func (e *lookupError) Error() string { return e.message }
func (e *lookupError) Unwrap() error { return e.cause }

const (
	msgNoName      = "host or service not provided, or not known"
	msgNoService   = "service not supported for socket type"
	msgAddrFamily  = "Address family for hostname not supported"
	msgTryAgain    = "temporary failure in name resolution"
	msgHostUnknown = "host not found"
)

// lookup finds the addresses of a host and service, in one family or in all, as
// getaddrinfo(3) does. The host "*" stands for all local addresses.
func lookup(ctx context.Context, typ socket.Type, family socket.Family, host, service string) ([]socket.Addr, error) {
	port, err := lookupPort(ctx, typ, service)
	if err != nil {
		return nil, err
	}
	ips := inFamily(family, []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()})
	if host != "*" {
		if ips, err = lookupIPs(ctx, family, host); err != nil {
			return nil, err
		}
	}
	addrs := make([]socket.Addr, len(ips))
	for i, ip := range ips {
		addrs[i] = socket.AddrFrom(netip.AddrPortFrom(ip, port))
	}
	return addrs, nil
}

func lookupPort(ctx context.Context, typ socket.Type, service string) (uint16, error) {
	if n, err := strconv.Atoi(service); err == nil {
		if n < 0 || n > math.MaxUint16 {
			return 0, &lookupError{message: msgNoService}
		}
		return uint16(n), nil
	}
	network := "tcp"
	if typ == socket.Dgram {
		network = "udp"
	}
	n, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return 0, &lookupError{msgNoService, err}
	}
	return uint16(n), nil
}

// lookupIPs finds the addresses of a host, in one family or in all.
func lookupIPs(ctx context.Context, family socket.Family, host string) ([]netip.Addr, error) {
	if ip, ok := parseIP(host); ok {
		ips := inFamily(family, []netip.Addr{ip})
		if len(ips) == 0 {
			return nil, &lookupError{message: msgAddrFamily}
		}
		return ips, nil
	}
	if host == "" {
		return nil, &lookupError{message: msgNoName}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, hostError(err)
	}
	for i, ip := range ips {
		ips[i] = ip.Unmap()
	}
	if ips = inFamily(family, ips); len(ips) == 0 {
		return nil, &lookupError{message: msgNoName}
	}
	return ips, nil
}

// parseIP parses an IP address. An IPv4 address may have a form of inet_aton(3): up to
// four parts, each decimal, octal or hexadecimal. The last part gives all the bytes
// that the other parts do not give.
func parseIP(host string) (netip.Addr, bool) {
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

func hostError(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsTemporary && !dns.IsNotFound {
		return &lookupError{msgTryAgain, err}
	}
	return &lookupError{msgNoName, err}
}

func zoneName(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}

func zoneIndex(name string) uint32 {
	if i, err := net.InterfaceByName(name); err == nil {
		return uint32(i.Index)
	}
	n, _ := strconv.ParseUint(name, 10, 32)
	return uint32(n)
}

// The functions of socket.dns.

// toIP returns a host's first IPv4 address, and a table of the host's names and
// addresses.
func toIP(L *glua.LState) int {
	name, ips := hostOf(L)
	if ips == nil {
		return fail(L, msgHostUnknown)
	}
	L.Push(glua.LString(ips[0].String()))
	return 1 + pushHost(L, name, ips)
}

// toHostname returns a host's name, and a table of the host's names and addresses.
func toHostname(L *glua.LState) int {
	name, ips := hostOf(L)
	if ips == nil {
		return fail(L, msgHostUnknown)
	}
	L.Push(glua.LString(name))
	return 1 + pushHost(L, name, ips)
}

// hostOf looks up the first argument, a name or an address.
func hostOf(L *glua.LState) (name string, ips []netip.Addr) {
	host, ctx := L.CheckString(1), background(L)
	if ip, ok := parseIP(host); ok && ip.Is4() {
		name := reverse(ctx, ip)
		over(L)
		if name == "" {
			return "", nil
		}
		return name, []netip.Addr{ip}
	}
	ips, err := lookupIPs(ctx, socket.Inet, host)
	over(L)
	if err != nil {
		return "", nil
	}
	name = host
	if canonical, err := net.DefaultResolver.LookupCNAME(ctx, host); err == nil {
		name = strings.TrimSuffix(canonical, ".")
	}
	over(L)
	return name, ips
}

func pushHost(L *glua.LState, name string, ips []netip.Addr) int {
	list := L.CreateTable(len(ips), 0)
	for _, ip := range ips {
		list.Append(glua.LString(ip.String()))
	}
	host := L.CreateTable(0, 3)
	host.RawSetString("name", glua.LString(name))
	host.RawSetString("alias", L.NewTable())
	host.RawSetString("ip", list)
	L.Push(host)
	return 1
}

// reverse returns the name of an address, or "".
func reverse(ctx context.Context, ip netip.Addr) string {
	names, err := net.DefaultResolver.LookupAddr(ctx, ip.String())
	if err != nil || len(names) == 0 {
		return ""
	}
	return strings.TrimSuffix(names[0], ".")
}

// getAddrInfo returns a list of addresses with their families.
func getAddrInfo(L *glua.LState) int {
	ips, err := lookupIPs(background(L), 0, L.CheckString(1))
	if err != nil {
		return failed(L, err)
	}
	list := L.CreateTable(len(ips), 0)
	for _, ip := range ips {
		family := socket.Inet
		if !ip.Is4() {
			family = socket.Inet6
		}
		entry := L.CreateTable(0, 2)
		entry.RawSetString("family", glua.LString(family.String()))
		entry.RawSetString("addr", glua.LString(ip.String()))
		list.Append(entry)
	}
	L.Push(list)
	return 1
}

// getNameInfo returns the names of a host's addresses, and the name of a service.
func getNameInfo(L *glua.LState) int {
	host, service := optString(L, 1, ""), optString(L, 2, "")
	hasHost, hasService := L.Get(1) != glua.LNil, L.Get(2) != glua.LNil
	if !hasHost && !hasService {
		L.RaiseError("host and serv cannot be both nil")
	}
	ctx := background(L)
	names := L.NewTable()
	if hasHost {
		ips, err := lookupIPs(ctx, 0, host)
		if err != nil {
			return failed(L, err)
		}
		for _, ip := range ips {
			name := reverse(ctx, ip)
			if name == "" {
				name = ip.String()
			}
			names.Append(glua.LString(name))
		}
		over(L)
	}
	L.Push(names)
	if !hasService {
		return 1
	}
	port, err := lookupPort(ctx, socket.Stream, service)
	if err != nil {
		return failed(L, err)
	}
	L.Push(glua.LString(serviceName(port)))
	return 2
}

// serviceName returns the first name of a TCP port in services(5), or the number.
func serviceName(port uint16) string {
	number := strconv.Itoa(int(port))
	text, err := os.ReadFile("/etc/services")
	if err != nil {
		return number
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 1 && f[1] == number+"/tcp" {
			return f[0]
		}
	}
	return number
}

func getHostname(L *glua.LState) int {
	name, err := os.Hostname()
	if err != nil {
		return failed(L, err)
	}
	L.Push(glua.LString(name))
	return 1
}
