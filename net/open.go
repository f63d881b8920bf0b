package net

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// supports returns what the kernel can do with IP addresses: whether it has IPv4,
// and whether an IPv6 socket serves IPv4 too. It opens sockets to find out, once.
var supports = sync.OnceValue(func() (s struct{ ipv4, mapped bool }) {
	try := func(family int, addr unix.Sockaddr) bool {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return false
		}
		defer sys.Close(fd)
		if family == unix.AF_INET6 {
			_ = sys.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
		}
		return addr == nil || unix.Bind(fd, addr) == nil
	}
	s.ipv4 = try(unix.AF_INET, nil)
	s.mapped = try(unix.AF_INET6, &unix.SockaddrInet6{Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()})
	return s
})

// family returns the family of a socket that connects local to remote, or listens at
// local. Each address may be nil. v6only reports whether an IPv6 socket must refuse
// IPv4. A listener at the wildcard serves both families if the kernel can.
func (t transport) family(local, remote net.Addr, listen bool) (family socket.Family, v6only bool) {
	switch {
	case t.only == socket.Inet6:
		return socket.Inet6, true
	case t.only != 0:
		return t.only, false
	case listen && (local == nil || inetOf(local).wildcard()):
		if supports().mapped || !supports().ipv4 {
			return socket.Inet6, false
		}
		if inetOf(local).v4() {
			return socket.Inet, false
		}
		return socket.Inet6, false
	case (local == nil || inetOf(local).v4()) && (remote == nil || inetOf(remote).v4()):
		return socket.Inet, false
	}
	return socket.Inet6, false
}

// An opening says what socket to open.
type opening struct {
	transport
	local, remote net.Addr // nil if there is none
	listen        bool
	control       func(network, address string, c syscall.RawConn) error // may be nil
	prepared      func(fd int)                                           // may be nil; open calls it after control
	group         *loop.Group                                            // nil is the default group
}

// open opens a socket as net does: it sets net's default options, calls the program's
// Control, and binds the socket.
func (o *opening) open() (*socket.Socket, error) {
	family, v6only := o.family(o.local, o.remote, o.listen)
	bound := false
	s, err := socket.Config{
		Group: o.group,
		Prepare: func(fd int) error {
			err := o.prepare(fd, family, v6only)
			bound = err == nil
			return err
		},
	}.New(family, o.typ, o.proto)
	if err != nil && bound {
		// The loop is closed, for example. This socket has made the path, and no other
		// socket uses it.
		if a, ok := o.local.(*net.UnixAddr); ok && a != nil && a.Name != "" && a.Name[0] != '@' {
			_ = unix.Unlink(a.Name)
		}
	}
	return s, err
}

func (o *opening) prepare(fd int, family socket.Family, v6only bool) error {
	if family == socket.Inet6 && o.typ != socket.Raw {
		_ = sys.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, boolInt(v6only))
	}
	if (o.typ == socket.Dgram || o.typ == socket.Raw) && family != socket.Unix {
		if err := sys.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	local := o.local
	if o.listen {
		var err error
		if local, err = o.reuse(fd, family); err != nil {
			return err
		}
	}
	if o.control != nil {
		if err := o.control(o.controlled(family), cmp.Or(addrText(o.remote), addrText(local)), bareConn(fd)); err != nil {
			return err
		}
	}
	if o.prepared != nil {
		o.prepared(fd)
	}
	if local == nil {
		return nil
	}
	at, err := addrIn(family, local)
	if err == nil {
		err = bind(fd, at)
	}
	return syscallError("bind", err)
}

// bind is bind(2).
func bind(fd int, at socket.Addr) error {
	if fd < sys.FirstSimulated {
		return syscall.Bind(fd, sockaddrOf(at)) // x/sys refuses the longest abstract name
	}
	var to sys.Sockaddr
	if !at.AddrPort().IsValid() {
		return syscall.EAFNOSUPPORT
	}
	to.SetInet(int(at.Family()), at.AddrPort())
	if errno := sys.Bind(fd, &to); errno != 0 {
		return errno
	}
	return nil
}

// reuse sets SO_REUSEADDR on a listener, so that it can bind its address while
// connections of an earlier listener linger. It returns the address to bind. For a
// multicast group it returns the wildcard, which several sockets may bind.
func (o *opening) reuse(fd int, family socket.Family) (net.Addr, error) {
	udp, _ := o.local.(*net.UDPAddr)
	multicast := udp != nil && udp.IP.IsMulticast()
	if o.typ != socket.Dgram && o.typ != socket.Raw || multicast {
		if err := sys.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if !multicast {
		return o.local, nil
	}
	any := *udp
	if any.IP = net.IPv4zero; family == socket.Inet6 {
		any.IP = net.IPv6unspecified
	}
	return &any, nil
}

// controlled returns the network that Control gets. It ends in the family: "tcp4".
func (t transport) controlled(family socket.Family) string {
	switch {
	case t.unix() || t.only != 0:
		return t.network
	case family == socket.Inet:
		return t.network + "4"
	}
	return t.network + "6"
}

// A bareConn gives Control the descriptor of a socket that is not registered yet.
type bareConn int

var errNotReady = errors.New("the socket cannot wait before it is bound or connected")

func (c bareConn) Control(f func(uintptr)) error    { f(uintptr(c)); return nil }
func (c bareConn) Read(f func(uintptr) bool) error  { return c.once(f) }
func (c bareConn) Write(f func(uintptr) bool) error { return c.once(f) }

func (c bareConn) once(f func(uintptr) bool) error {
	if f(uintptr(c)) {
		return nil
	}
	return errNotReady
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
