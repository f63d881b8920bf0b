package lua

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/socket"
	glua "github.com/yuin/gopher-lua"
)

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
		return fail(L, "host not found")
	}
	L.Push(glua.LString(ips[0].String()))
	return 1 + pushHost(L, name, ips)
}

// toHostname returns a host's name, and a table of the host's names and addresses.
func toHostname(L *glua.LState) int {
	name, ips := hostOf(L)
	if ips == nil {
		return fail(L, "host not found")
	}
	L.Push(glua.LString(name))
	return 1 + pushHost(L, name, ips)
}

// hostOf looks up the first argument, a name or an address.
func hostOf(L *glua.LState) (name string, ips []netip.Addr) {
	host, ctx := L.CheckString(1), background(L)
	if ip, ok := builtins.ParseIP(host); ok && ip.Is4() {
		name := reverse(ctx, ip)
		over(L)
		if name == "" {
			return "", nil
		}
		return name, []netip.Addr{ip}
	}
	ips, err := builtins.LookupHost(ctx, socket.Inet, host)
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
	ips, err := builtins.LookupHost(background(L), 0, L.CheckString(1))
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
		ips, err := builtins.LookupHost(ctx, 0, host)
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
	port, err := builtins.LookupPort(ctx, socket.Stream, service)
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
