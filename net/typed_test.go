package net_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
)

// A typedFace dials and listens by the functions with typed addresses of one of the packages.
type typedFace struct {
	tcp        func(network string, l, r *net.TCPAddr) (net.Conn, error)
	udp        func(network string, l, r *net.UDPAddr) (net.Conn, error)
	unix       func(network string, l, r *net.UnixAddr) (net.Conn, error)
	dialerTCP  func(ctx context.Context, network string, l, r netip.AddrPort) (net.Conn, error)
	dialerUDP  func(ctx context.Context, network string, l, r netip.AddrPort) (net.Conn, error)
	dialerUnix func(ctx context.Context, network string, l, r *net.UnixAddr) (net.Conn, error)
}

func asConn[C net.Conn](c C, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

func typedFaces() [2]typedFace {
	var std net.Dialer
	var own weirnet.Dialer
	return [2]typedFace{
		{
			func(n string, l, r *net.TCPAddr) (net.Conn, error) { return asConn(net.DialTCP(n, l, r)) },
			func(n string, l, r *net.UDPAddr) (net.Conn, error) { return asConn(net.DialUDP(n, l, r)) },
			func(n string, l, r *net.UnixAddr) (net.Conn, error) { return asConn(net.DialUnix(n, l, r)) },
			func(ctx context.Context, n string, l, r netip.AddrPort) (net.Conn, error) {
				return asConn(std.DialTCP(ctx, n, l, r))
			},
			func(ctx context.Context, n string, l, r netip.AddrPort) (net.Conn, error) {
				return asConn(std.DialUDP(ctx, n, l, r))
			},
			func(ctx context.Context, n string, l, r *net.UnixAddr) (net.Conn, error) {
				return asConn(std.DialUnix(ctx, n, l, r))
			},
		},
		{
			func(n string, l, r *net.TCPAddr) (net.Conn, error) { return asConn(weirnet.DialTCP(n, l, r)) },
			func(n string, l, r *net.UDPAddr) (net.Conn, error) { return asConn(weirnet.DialUDP(n, l, r)) },
			func(n string, l, r *net.UnixAddr) (net.Conn, error) { return asConn(weirnet.DialUnix(n, l, r)) },
			func(ctx context.Context, n string, l, r netip.AddrPort) (net.Conn, error) {
				return asConn(own.DialTCP(ctx, n, l, r))
			},
			func(ctx context.Context, n string, l, r netip.AddrPort) (net.Conn, error) {
				return asConn(own.DialUDP(ctx, n, l, r))
			},
			func(ctx context.Context, n string, l, r *net.UnixAddr) (net.Conn, error) {
				return asConn(own.DialUnix(ctx, n, l, r))
			},
		},
	}
}

// outcome describes a connection, or the error.
func outcome(c net.Conn, err error) string {
	if err != nil {
		return describe(err)
	}
	defer c.Close()
	host := func(a net.Addr) string {
		switch a := a.(type) {
		case nil:
			return "none"
		case *net.TCPAddr:
			return a.IP.String()
		case *net.UDPAddr:
			return a.IP.String()
		}
		return a.String()
	}
	return fmt.Sprintf("%s %s -> %s", c.LocalAddr().Network(), host(c.LocalAddr()), host(c.RemoteAddr()))
}

// The functions that take typed addresses connect, and fail, as those of net do.
func TestTypedDialsAsNetHasThem(t *testing.T) {
	tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer tcp.Close()
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer udp.Close()
	dir := t.TempDir()
	stream, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "stream"), Net: "unix"})
	require.NoError(t, err)
	defer stream.Close()
	gram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "gram"), Net: "unixgram"})
	require.NoError(t, err)
	defer gram.Close()
	toTCP, toUDP := tcp.Addr().(*net.TCPAddr), udp.LocalAddr().(*net.UDPAddr)
	other := net.IPv4(127, 0, 0, 2)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	cases := map[string]func(f typedFace) string{}
	for _, network := range []string{"tcp", "tcp4", "tcp6", "udp", "unix", "ip", "nonesuch", ""} {
		for name, l := range map[string]*net.TCPAddr{"nil": nil, "other": {IP: other}} {
			for to, r := range map[string]*net.TCPAddr{"nil": nil, "listener": toTCP} {
				if network != "tcp6" {
					cases[fmt.Sprintf("DialTCP %q %s %s", network, name, to)] = func(f typedFace) string { return outcome(f.tcp(network, l, r)) }
				}
			}
		}
		if network != "tcp6" {
			cases[fmt.Sprintf("Dialer.DialTCP %q", network)] = func(f typedFace) string {
				return outcome(f.dialerTCP(t.Context(), network, netip.AddrPort{}, toTCP.AddrPort()))
			}
		}
	}
	for _, network := range []string{"udp", "udp4", "tcp", "unix", "ip", "nonesuch"} {
		for name, l := range map[string]*net.UDPAddr{"nil": nil, "other": {IP: other}} {
			for to, r := range map[string]*net.UDPAddr{"nil": nil, "listener": toUDP} {
				cases[fmt.Sprintf("DialUDP %q %s %s", network, name, to)] = func(f typedFace) string { return outcome(f.udp(network, l, r)) }
			}
		}
		cases[fmt.Sprintf("Dialer.DialUDP %q", network)] = func(f typedFace) string {
			return outcome(f.dialerUDP(t.Context(), network, netip.MustParseAddrPort("127.0.0.2:0"), toUDP.AddrPort()))
		}
	}
	for _, network := range []string{"unix", "unixgram", "tcp", "nonesuch"} {
		for to, r := range map[string]*net.UnixAddr{"nil": nil, "stream": stream.Addr().(*net.UnixAddr), "gram": gram.LocalAddr().(*net.UnixAddr), "none": {Name: filepath.Join(dir, "nobody"), Net: network}} {
			cases[fmt.Sprintf("DialUnix %q %s", network, to)] = func(f typedFace) string { return outcome(f.unix(network, nil, r)) }
			cases[fmt.Sprintf("Dialer.DialUnix %q %s", network, to)] = func(f typedFace) string {
				return outcome(f.dialerUnix(t.Context(), network, nil, r))
			}
		}
	}
	text := func(c net.Conn, err error) string { return fmt.Sprint(c != nil, err) } // the types of the causes differ
	cases["Dialer.DialTCP that is cancelled"] = func(f typedFace) string {
		return text(f.dialerTCP(cancelled, "tcp", netip.AddrPort{}, toTCP.AddrPort()))
	}
	cases["Dialer.DialUnix that is cancelled"] = func(f typedFace) string {
		return text(f.dialerUnix(cancelled, "unix", nil, stream.Addr().(*net.UnixAddr)))
	}
	faces := typedFaces()
	for name, f := range cases {
		require.Equal(t, f(faces[0]), f(faces[1]), name)
	}

	// A datagram socket with an address of its own needs no peer.
	for i, f := range faces {
		own := &net.UnixAddr{Name: filepath.Join(dir, fmt.Sprint("own", i)), Net: "unixgram"}
		c, err := f.unix("unixgram", own, nil)
		require.NoError(t, err)
		require.Equal(t, own.Name, c.LocalAddr().String())
		require.Nil(t, c.RemoteAddr())
		require.NoError(t, c.Close())
	}
}

// ip is what the connections of raw sockets have in both packages.
type ipConn interface {
	net.Conn
	net.PacketConn
	ReadFromIP(b []byte) (int, *net.IPAddr, error)
	ReadMsgIP(b, oob []byte) (n, oobn, flags int, addr *net.IPAddr, err error)
	WriteToIP(b []byte, addr *net.IPAddr) (int, error)
	WriteMsgIP(b, oob []byte, addr *net.IPAddr) (n, oobn int, err error)
}

// Raw sockets send, receive and fail as those of net do.
func TestIPConnsAsNetHasThem(t *testing.T) {
	probe, err := net.ListenIP("ip4:253", &net.IPAddr{IP: net.IPv4(127, 0, 0, 3)})
	if errors.Is(err, unix.EPERM) {
		machine.Missing(t, "there is no right to open raw sockets")
	}
	require.NoError(t, err)
	probe.Close()
	type face struct {
		listen func(network string, l *net.IPAddr) (ipConn, error)
		dial   func(network string, l, r *net.IPAddr) (ipConn, error)
		dialer func(network string, l, r netip.Addr) (ipConn, error)
	}
	var std net.Dialer
	var own weirnet.Dialer
	faces := [2]face{
		{
			func(n string, l *net.IPAddr) (ipConn, error) { return net.ListenIP(n, l) },
			func(n string, l, r *net.IPAddr) (ipConn, error) { return net.DialIP(n, l, r) },
			func(n string, l, r netip.Addr) (ipConn, error) { return std.DialIP(t.Context(), n, l, r) },
		},
		{
			func(n string, l *net.IPAddr) (ipConn, error) { return weirnet.ListenIP(n, l) },
			func(n string, l, r *net.IPAddr) (ipConn, error) { return weirnet.DialIP(n, l, r) },
			func(n string, l, r netip.Addr) (ipConn, error) { return own.DialIP(t.Context(), n, l, r) },
		},
	}
	networks := map[string]string{"ip4:253": "127.0.0.3"}
	if nettest.SupportsIPv6() {
		networks["ip6:253"] = "::1"
	} else {
		t.Log("without ip6: the machine has no IPv6")
	}
	for network, host := range networks {
		var notes [2]string
		for i, f := range faces {
			note := func(what string, args ...any) { notes[i] += what + ": " + fmt.Sprintln(args...) }
			to := &net.IPAddr{IP: net.ParseIP(host)}
			l, err := f.listen(network, to)
			require.NoError(t, err)
			require.NoError(t, l.SetDeadline(time.Now().Add(time.Minute)))
			dialers := map[string]func() (ipConn, error){
				"dial":   func() (ipConn, error) { return f.dial(network, nil, to) },
				"dialer": func() (ipConn, error) { return f.dialer(network, netip.Addr{}, netip.MustParseAddr(host)) },
			}
			for _, name := range []string{"dial", "dialer"} {
				c, err := dialers[name]()
				require.NoError(t, err)
				note(name, c.LocalAddr(), c.RemoteAddr())
				buf, oob := make([]byte, 64), make([]byte, 64)
				_, err = c.Write([]byte("hello"))
				require.NoError(t, err)
				n, from, err := l.ReadFromIP(buf)
				note("ReadFromIP", string(buf[:n]), from, describe(err))
				_, err = c.Write([]byte("again"))
				require.NoError(t, err)
				n, any, err := l.ReadFrom(buf)
				note("ReadFrom", string(buf[:n]), any, describe(err))
				n, err = l.WriteToIP([]byte("x"), to)
				note("WriteToIP", n, describe(err))
				n, oobn, flags, from, err := l.ReadMsgIP(buf, oob)
				note("ReadMsgIP", n > 0, oobn, flags, from, describe(err))
				n, err = l.WriteTo([]byte("xy"), to)
				note("WriteTo", n, describe(err))
				_, _, err = l.ReadFromIP(buf)
				require.NoError(t, err)
				n, oobn, err = l.WriteMsgIP([]byte("xyz"), nil, to)
				note("WriteMsgIP", n, oobn, describe(err))
				_, _, err = l.ReadFromIP(buf)
				require.NoError(t, err)

				n, err = c.WriteToIP([]byte("x"), to)
				note("connected WriteToIP", n, describe(err))
				n, oobn, err = c.WriteMsgIP([]byte("x"), nil, to)
				note("connected WriteMsgIP", n, oobn, describe(err))
				n, err = l.WriteToIP([]byte("x"), nil)
				note("WriteToIP nil", n, describe(err))
				n, oobn, err = l.WriteMsgIP([]byte("x"), nil, nil)
				note("WriteMsgIP nil", n, oobn, describe(err))
				n, err = l.WriteTo([]byte("x"), &net.UDPAddr{})
				note("WriteTo of another kind", n, describe(err))
				require.NoError(t, c.Close())
			}
			require.NoError(t, l.SetReadDeadline(time.Now().Add(-time.Second)))
			n, from, err := l.ReadFromIP(make([]byte, 8))
			note("late", n, from, describe(err))
			n, any, err := l.ReadFrom(make([]byte, 8))
			note("late", n, any, describe(err))
			require.NoError(t, l.Close())
		}
		require.Equal(t, notes[0], notes[1], network)
	}
	for _, bad := range []string{"ip4:nonesuch", "udp", "ip4:", "ip"} {
		var errs [2]string
		for i, f := range faces {
			_, err := f.dial(bad, nil, &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)})
			_, late := f.listen(bad, nil)
			errs[i] = describe(err) + describe(late)
		}
		require.Equal(t, errs[0], errs[1], bad)
	}
}

// A socket of a family that net does not have is refused as net refuses it.
func TestFilesOfOtherFamilies(t *testing.T) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	require.NoError(t, err)
	f := os.NewFile(uintptr(fd), "netlink")
	defer f.Close()
	for _, open := range [][2]func() error{
		{func() error { _, err := net.FileConn(f); return err }, func() error { _, err := weirnet.FileConn(f); return err }},
		{func() error { _, err := net.FilePacketConn(f); return err }, func() error { _, err := weirnet.FilePacketConn(f); return err }},
		{func() error { _, err := net.FileListener(f); return err }, func() error { _, err := weirnet.FileListener(f); return err }},
	} {
		require.Equal(t, open[0]().Error(), open[1]().Error())
	}
}

// The groups of IPv6 are joined on the interface that is given.
func TestListenMulticastUDPOfIPv6(t *testing.T) {
	machine.NeedIPv6(t)
	lo, err := net.InterfaceByName("lo")
	require.NoError(t, err)
	group := net.ParseIP("ff01::114") // the host's own: RFC 4291
	c, err := weirnet.ListenMulticastUDP("udp6", lo, &net.UDPAddr{IP: group})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		machine.Missing(t, "the loopback has no multicast of IPv6")
	}
	require.NoError(t, err)
	defer c.Close()
	get := func(option int) int {
		v, err := c.Socket().GetsockoptInt(unix.IPPROTO_IPV6, option)
		require.NoError(t, err)
		return v
	}
	require.Equal(t, lo.Index, get(unix.IPV6_MULTICAST_IF))
	require.Zero(t, get(unix.IPV6_MULTICAST_LOOP))
	_, err = weirnet.ListenMulticastUDP("udp6", &net.Interface{Index: 1 << 20}, &net.UDPAddr{IP: group})
	require.ErrorIs(t, err, unix.ENODEV)
	_, err = weirnet.ListenMulticastUDP("udp6", nil, nil)
	require.ErrorContains(t, err, "missing address")
	_, err = weirnet.ListenMulticastUDP("udp4", &net.Interface{Index: 1 << 20}, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 114)})
	require.Error(t, err)
}
