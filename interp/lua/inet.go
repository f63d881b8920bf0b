package lua

import (
	"context"
	"maps"
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/socket"
	glua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

// tcpMethods returns the methods of tcp objects.
func tcpMethods(g *group) map[string]glua.LGFunction {
	methods := streamMethods(g)
	maps.Copy(methods, map[string]glua.LGFunction{
		"bind":        g.bind,
		"connect":     g.connectTCP,
		"getfamily":   g.getfamily,
		"getoption":   g.getoption,
		"getpeername": g.getpeername,
		"getsockname": g.getsockname,
		"gettimeout":  g.gettimeout,
		"setoption":   g.setoption,
		"setpeername": g.connectTCP,
		"setsockname": g.bind,
	})
	return methods
}

// creator returns a function that makes objects. It opens their descriptor at once if
// the family is known.
func (g *group) creator(family socket.Family) glua.LGFunction {
	return func(L *glua.LState) int {
		o := g.newObject(master, family)
		if family != 0 {
			if err := o.create(family); err != nil {
				return failed(L, err)
			}
		}
		L.Push(o.ud)
		return 1
	}
}

// bind is bind(address, port) of tcp objects and setsockname of udp ones.
func (g *group) bind(L *glua.LState) int {
	o := g.as(L, master)
	address, port := L.CheckString(2), L.CheckString(3)
	if err := o.bind(background(L), address, port); err != nil {
		return failed(L, err)
	}
	return done(L)
}

// bind tries the addresses of a host, and binds to the first that bind(2) accepts.
func (o *object) bind(ctx context.Context, host, service string) error {
	addrs, err := o.lookup(ctx, host, service)
	has := o.family
	for _, a := range addrs {
		if err = o.suit(a, &has); err != nil {
			continue
		}
		if err = bindTo(o.h.socket, a); err == nil {
			o.family = has
			return nil
		}
	}
	return err
}

// suit gives the object a socket of the address's family, unless it has one. The
// object has a family of its own when a bind or connect has succeeded or when the
// script gave it one. Until then a failed attempt leaves a socket that the next one
// replaces.
func (o *object) suit(a socket.Addr, has *socket.Family) error {
	if *has == a.Family() && o.h != nil {
		if o.h.socket == nil {
			return unix.ENOTSOCK
		}
		return nil
	}
	if err := o.create(a.Family()); err != nil {
		return err
	}
	*has = a.Family()
	return nil
}

// connectTCP is connect(address, port). It makes the object a client, even if
// it fails.
func (g *group) connectTCP(L *glua.LState) int {
	o := g.of(L)
	address, port := L.CheckString(2), L.CheckString(3)
	err := o.connect(L, address, port)
	o.become(client)
	if err != nil {
		return failed(L, err)
	}
	return done(L)
}

// connect tries the addresses of a host one after the other. The timeout applies to
// each attempt.
func (o *object) connect(L *glua.LState, host, service string) error {
	addrs, err := o.lookup(background(L), host, service)
	has := o.family
	for _, a := range addrs {
		if err = o.suit(a, &has); err != nil {
			continue
		}
		b := o.begin()
		wait := b.first()
		if err = o.connectTo(L, a, wait); err == nil || wait == 0 {
			o.family = has
			return err
		}
		over(L)
	}
	return err
}

// connectTo connects to one address.
func (o *object) connectTo(L *glua.LState, a socket.Addr, wait time.Duration) error {
	s, err := o.h.sending(L, wait)
	if err != nil {
		return err
	}
	return s.ConnectAddr(a)
}

// lookup finds the addresses of host and service in the family of the object.
func (o *object) lookup(ctx context.Context, host, service string) ([]socket.Addr, error) {
	return builtins.Lookup(ctx, o.class.group.typ, o.family, host, service)
}

// connect is socket.connect(address, port, local address, local port, family).
func (m *module) connect(L *glua.LState) int {
	address, port := L.CheckString(1), L.CheckString(2)
	local := optString(L, 3, "")
	localPort := "0"
	if local != "" {
		localPort = optString(L, 4, "0")
	}
	family, ok := map[string]socket.Family{"": 0, "unspec": 0, "inet": socket.Inet, "inet6": socket.Inet6}[optString(L, 5, "")]
	if !ok {
		L.ArgError(5, "invalid option '"+L.ToString(5)+"'")
	}
	o := m.tcp.newObject(client, family)
	if local != "" {
		if err := o.bind(background(L), local, localPort); err != nil {
			o.drop()
			return failed(L, err)
		}
	}
	if err := o.connect(L, address, port); err != nil {
		o.drop()
		return failed(L, err)
	}
	L.Push(o.ud)
	return 1
}

// Addresses of both ends.

func (g *group) getfamily(L *glua.LState) int {
	name := "inet4"
	if g.of(L).family == socket.Inet6 {
		name = "inet6"
	}
	L.Push(glua.LString(name))
	return 1
}

// getsockname returns the port as a string and getpeername as a number, as in
// LuaSocket 3.1.
func (g *group) getsockname(L *glua.LState) int {
	o := g.of(L)
	sa, err := unix.Getsockname(o.fd)
	return o.pushName(L, sa, err, func(port uint16) glua.LValue { return glua.LString(strconv.Itoa(int(port))) })
}

func (g *group) getpeername(L *glua.LState) int {
	o := g.of(L)
	sa, err := unix.Getpeername(o.fd)
	return o.pushName(L, sa, err, func(port uint16) glua.LValue { return glua.LNumber(port) })
}

// pushName returns an address as an IP address, a port and a family.
func (o *object) pushName(L *glua.LState, sa unix.Sockaddr, err error, port func(uint16) glua.LValue) int {
	if err != nil {
		return failed(L, err)
	}
	a, ok := addrPort(sa)
	if !ok {
		return failed(L, unix.EAFNOSUPPORT)
	}
	L.Push(glua.LString(a.Addr().String()))
	L.Push(port(a.Port()))
	L.Push(glua.LString(familyName(o.family)))
	return 3
}

func familyName(f socket.Family) string {
	if f == 0 {
		return "unspec"
	}
	return f.String()
}

func addrPort(sa unix.Sockaddr) (netip.AddrPort, bool) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), true
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(zoneName(int(sa.ZoneId)))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port)), true
	}
	return netip.AddrPort{}, false
}

// bindTo calls bind(2). Package socket binds a Socket only when it opens it.
func bindTo(s *socket.Socket, a socket.Addr) error {
	ip := a.AddrPort()
	var sa unix.Sockaddr
	if ip.Addr().Is4() {
		sa = &unix.SockaddrInet4{Addr: ip.Addr().As4(), Port: int(ip.Port())}
	} else {
		sa = &unix.SockaddrInet6{Addr: ip.Addr().As16(), Port: int(ip.Port()), ZoneId: zoneIndex(ip.Addr().Zone())}
	}
	return unix.Bind(s.Fd(), sa)
}

// disconnect removes the peer of a datagram socket. It calls connect(2) with the
// family AF_UNSPEC.
func disconnect(fd int) {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	// LuaSocket ignores the error, too: some systems always return one.
	_, _, _ = unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
}
