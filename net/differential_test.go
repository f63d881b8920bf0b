package net_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"golang.org/x/sys/unix"
)

// decimal matches the ports that need no look-up.
var decimal = regexp.MustCompile(`^\d*$`)

// A library has the functions of package net that open sockets. any stands for what a
// function returns besides its error.
type library struct {
	listen, listenPacket           func(network, address string) (any, error)
	dial                           func(network, address string, timeout time.Duration) (any, error)
	listenTCP                      func(network string, a *net.TCPAddr) (any, error)
	listenUDP                      func(network string, a *net.UDPAddr) (any, error)
	listenIP                       func(network string, a *net.IPAddr) (any, error)
	listenUnix, listenUnixgram     func(network string, a *net.UnixAddr) (any, error)
	listenMulticast                func(network string, ifi *net.Interface, a *net.UDPAddr) (any, error)
	dialTCP                        func(network string, from, to *net.TCPAddr) (any, error)
	dialUDP                        func(network string, from, to *net.UDPAddr) (any, error)
	dialIP                         func(network string, from, to *net.IPAddr) (any, error)
	dialUnix                       func(network string, from, to *net.UnixAddr) (any, error)
	resolve                        [4]func(network, address string) (any, error) // TCP, UDP, IP, Unix
	fileConn, fileListener         func(f *os.File) (any, error)
	filePacketConn                 func(f *os.File) (any, error)
	dialer                         func(ctx context.Context, d net.Dialer, network, address string) (any, error)
	config, configPacket           func(ctx context.Context, lc net.ListenConfig, network, address string) (any, error)
	dialerTCP, dialerUDP, dialerIP func(d net.Dialer, network string, from, to netip.AddrPort) (any, error)
}

func of1[A, R any](f func(A) (R, error)) func(A) (any, error) {
	return func(a A) (any, error) { return result(f(a)) }
}

func of2[A, B, R any](f func(A, B) (R, error)) func(A, B) (any, error) {
	return func(a A, b B) (any, error) { return result(f(a, b)) }
}

func of3[A, B, C, R any](f func(A, B, C) (R, error)) func(A, B, C) (any, error) {
	return func(a A, b B, c C) (any, error) { return result(f(a, b, c)) }
}

func result[R any](r R, err error) (any, error) { return r, err }

func weirDialer(d net.Dialer) *weirnet.Dialer {
	return &weirnet.Dialer{
		Timeout: d.Timeout, Deadline: d.Deadline, LocalAddr: d.LocalAddr, FallbackDelay: d.FallbackDelay,
		KeepAlive: d.KeepAlive, KeepAliveConfig: d.KeepAliveConfig, Resolver: d.Resolver,
		Cancel:  d.Cancel, //lint:ignore SA1019 it has an effect all the same
		Control: d.Control, ControlContext: d.ControlContext,
	}
}

var libraries = [2]library{
	{
		of2(net.Listen), of2(net.ListenPacket), of3(net.DialTimeout),
		of2(net.ListenTCP), of2(net.ListenUDP), of2(net.ListenIP), of2(net.ListenUnix), of2(net.ListenUnixgram), of3(net.ListenMulticastUDP),
		of3(net.DialTCP), of3(net.DialUDP), of3(net.DialIP), of3(net.DialUnix),
		[4]func(string, string) (any, error){of2(net.ResolveTCPAddr), of2(net.ResolveUDPAddr), of2(net.ResolveIPAddr), of2(net.ResolveUnixAddr)},
		of1(net.FileConn), of1(net.FileListener), of1(net.FilePacketConn),
		func(ctx context.Context, d net.Dialer, network, address string) (any, error) {
			return result(d.DialContext(ctx, network, address))
		},
		func(ctx context.Context, lc net.ListenConfig, network, address string) (any, error) {
			return result(lc.Listen(ctx, network, address))
		},
		func(ctx context.Context, lc net.ListenConfig, network, address string) (any, error) {
			return result(lc.ListenPacket(ctx, network, address))
		},
		func(d net.Dialer, network string, from, to netip.AddrPort) (any, error) {
			return result(d.DialTCP(context.Background(), network, from, to))
		},
		func(d net.Dialer, network string, from, to netip.AddrPort) (any, error) {
			return result(d.DialUDP(context.Background(), network, from, to))
		},
		func(d net.Dialer, network string, from, to netip.AddrPort) (any, error) {
			return result(d.DialIP(context.Background(), network, from.Addr(), to.Addr()))
		},
	},
	{
		of2(weirnet.Listen), of2(weirnet.ListenPacket), of3(weirnet.DialTimeout),
		of2(weirnet.ListenTCP), of2(weirnet.ListenUDP), of2(weirnet.ListenIP), of2(weirnet.ListenUnix), of2(weirnet.ListenUnixgram), of3(weirnet.ListenMulticastUDP),
		of3(weirnet.DialTCP), of3(weirnet.DialUDP), of3(weirnet.DialIP), of3(weirnet.DialUnix),
		[4]func(string, string) (any, error){of2(weirnet.ResolveTCPAddr), of2(weirnet.ResolveUDPAddr), of2(weirnet.ResolveIPAddr), of2(weirnet.ResolveUnixAddr)},
		of1(weirnet.FileConn), of1(weirnet.FileListener), of1(weirnet.FilePacketConn),
		func(ctx context.Context, d net.Dialer, network, address string) (any, error) {
			return result(weirDialer(d).DialContext(ctx, network, address))
		},
		func(ctx context.Context, lc net.ListenConfig, network, address string) (any, error) {
			return result((&weirnet.ListenConfig{Control: lc.Control, KeepAlive: lc.KeepAlive, KeepAliveConfig: lc.KeepAliveConfig}).Listen(ctx, network, address))
		},
		func(ctx context.Context, lc net.ListenConfig, network, address string) (any, error) {
			return result((&weirnet.ListenConfig{Control: lc.Control}).ListenPacket(ctx, network, address))
		},
		func(d net.Dialer, network string, from, to netip.AddrPort) (any, error) {
			return result(weirDialer(d).DialTCP(context.Background(), network, from, to))
		},
		func(d net.Dialer, network string, from, to netip.AddrPort) (any, error) {
			return result(weirDialer(d).DialUDP(context.Background(), network, from, to))
		},
		func(d net.Dialer, network string, from, to netip.AddrPort) (any, error) {
			return result(weirDialer(d).DialIP(context.Background(), network, from.Addr(), to.Addr()))
		},
	},
}

// same requires that both libraries do the same, and closes what they have opened.
func same(t *testing.T, what string, call func(l library) (any, error)) {
	t.Helper()
	var got [2]string
	for i, l := range libraries {
		got[i] = describeCall(call, l)
	}
	if got[0] != got[1] { // once more: another process may have taken a port
		for i, l := range libraries {
			got[i] = describeCall(call, l)
		}
	}
	if got[0] != got[1] {
		t.Errorf("%s\n net:  %s\n weir: %s", what, got[0], got[1])
	}
}

// describeCall describes what a call returns, and what it leaves in the working directory.
func describeCall(call func(l library) (any, error), l library) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("panic: %v", v)
		}
		left, _ := os.ReadDir(".")
		for _, e := range left {
			text += " left " + e.Name()
			_ = os.Remove(e.Name())
		}
	}()
	c, err := call(l)
	if err != nil {
		// A Dial of Weir's that takes too long is os.ErrDeadlineExceeded besides, as all that
		// takes too long is.
		text := strings.Replace(describe(err), "i/o timeout deadline", "i/o timeout", 1)
		return private.ReplaceAllString(text, "private") + " is" + kinds(err)
	}
	text = fmt.Sprintf("%T", c)
	var ends []net.Addr
	switch c := c.(type) {
	case net.Listener:
		defer c.Close()
		ends = []net.Addr{c.Addr()}
		if d, ok := c.(interface{ SetDeadline(time.Time) error }); ok {
			_ = d.SetDeadline(time.Unix(1, 0))
			_, err := c.Accept()
			text += " accept " + masked(describe(err), c.Addr())
		}
	case net.Conn:
		defer c.Close()
		ends = []net.Addr{c.LocalAddr(), c.RemoteAddr()}
	case net.PacketConn:
		defer c.Close()
		ends = []net.Addr{c.LocalAddr()}
	default:
		return text + fmt.Sprintf(" %v", c)
	}
	for _, a := range ends {
		text += fmt.Sprintf(" %T", a)
		if a != nil {
			text += " " + a.Network() + " " + masked(a.String(), a)
		}
	}
	return text
}

// kinds names the errors that programs ask for.
func kinds(err error) (text string) {
	for _, target := range []error{
		unix.EINVAL, unix.EACCES, unix.EPERM, unix.EADDRNOTAVAIL, unix.ENETUNREACH, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT,
		unix.ENOTCONN, unix.EOPNOTSUPP, unix.EDESTADDRREQ, unix.ENOTSOCK, os.ErrNotExist, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, target) {
			text += fmt.Sprintf(" %v,", target)
		}
	}
	for target := err; target != nil; target = errors.Unwrap(target) {
		if name := fmt.Sprintf("%T", target); !private.MatchString(name) {
			text += " " + name
		}
	}
	var e net.Error
	if errors.As(err, &e) {
		text += fmt.Sprintf(" timeout %v", e.Timeout())
	}
	return text
}

// private are the types that no program can name.
var private = regexp.MustCompile(`\*?(net|context|errors)\.[a-z]\w*`)

var autobound = regexp.MustCompile(`@[0-9a-f]{5}\b`)

// masked replaces what the kernel has chosen.
func masked(text string, a net.Addr) string {
	if p, err := netip.ParseAddrPort(a.String()); err == nil && p.Port() >= 1024 {
		text = strings.ReplaceAll(text, fmt.Sprintf(":%d", p.Port()), ":port")
	}
	return autobound.ReplaceAllString(text, "@auto")
}

var allNetworks = []string{
	"", "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram", "unixpacket",
	"ip", "ip4", "ip6", "ip4:icmp", "ip4:253", "ip6:253", "ip:253", "ip:", "ip4:nonesuch", "ip4:-1", "ip4:256", "ip4:99999999999999999999", "ip4:ICMP", "ip9:1",
	"TCP", "tcp5", "tcp:80", "udp4:1", "unix:", "unixgram:1", ":253", ":", "nonesuch", "tcp ", "unixgram4",
}

// hereOnly are addresses that name this machine, or nothing.
var hereOnly = []string{
	"", ":", ":0", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:", "[::1]:0", "[::1]", "::1", "::1:0", "[::]:0", "0.0.0.0:0", "::", "0.0.0.0",
	"localhost:0", "localhost", "localhost:nonesuch", "127.0.0.1:70000", "127.0.0.1:-1", "127.0.0.1:+0", "127.0.0.1: 0", "127.0.0.1:0x50", "127.0.0.1:99999999999999999999",
	"127.0.0.1:0:0", "[127.0.0.1:0", "127.0.0.1]:0", "[]:0", "[127.0.0.1]:0", "[::1%lo]:0", "[::1%nonesuch]:0", "[::ffff:127.0.0.1]:0", "::ffff:127.0.0.1",
	"@", "@weir-differential", "\x00weir", "a\x00b", "./s", "no/such/directory/s", ".", strings.Repeat("x", 107), strings.Repeat("x", 108), strings.Repeat("@", 108), strings.Repeat("x", 200),
}

// looksUp reports whether the address has a name that only a name server knows. An empty
// network means "ip" to ResolveIPAddr, and "tcp" or "udp" to others.
func looksUp(network, address string) bool {
	name := func(host string) bool {
		_, err := netip.ParseAddr(host)
		return err != nil && host != "" && host != "localhost"
	}
	if network == "" || strings.HasPrefix(network, "ip") {
		if name(address) {
			return true
		}
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && !strings.HasPrefix(network, "unix") && name(host)
}

// Both packages do the same for every network with every address, sensible or not: they
// return the same types and addresses, and errors of the same kinds and texts.
func TestSameAsNetByName(t *testing.T) {
	t.Chdir(t.TempDir())
	listenOnly := []string{"224.0.0.251:0", "[ff02::fb]:0", "255.255.255.255:0", "192.0.2.1:0", "192.0.2.1", "[2001:db8::1]:0", "[fe80::1]:0"}
	for _, network := range allNetworks {
		for _, address := range append(listenOnly, hereOnly...) {
			if looksUp(network, address) {
				continue
			}
			with := fmt.Sprintf("(%q, %.50q)", network, address)
			same(t, "Listen"+with, func(l library) (any, error) { return l.listen(network, address) })
			same(t, "ListenPacket"+with, func(l library) (any, error) { return l.listenPacket(network, address) })
		}
		for _, address := range append([]string{"127.0.0.1:1", "[::1]:1", "localhost:1", "255.255.255.255:1", "224.0.0.251:1", ":1"}, hereOnly...) {
			if looksUp(network, address) {
				continue
			}
			with := fmt.Sprintf("(%q, %.50q)", network, address)
			same(t, "Dial"+with, func(l library) (any, error) { return l.dial(network, address, time.Minute) })
			for i, name := range []string{"TCP", "UDP", "IP", "Unix"} {
				same(t, "Resolve"+name+"Addr"+with, func(l library) (any, error) { return l.resolve[i](network, address) })
			}
			if _, port, err := net.SplitHostPort(address); strings.Contains(address, "localhost") || err == nil && !decimal.MatchString(port) {
				continue // a look-up of a host or a service that has no time may end either way
			}
			same(t, "DialTimeout -1"+with, func(l library) (any, error) { return l.dial(network, address, -1) })
		}
	}
}
