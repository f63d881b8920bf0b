package net_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
)

// Listening at a multicast address binds the wildcard. Any number of sockets may bind it.
func TestListenPacketOnMulticastAddresses(t *testing.T) {
	for _, host := range []string{"224.0.0.251", "[ff02::fb]"} {
		if strings.Contains(host, ":") && !nettest.SupportsIPv6() {
			t.Logf("%s is left out: the machine has no IPv6", host)
			continue
		}
		onFaces(t, func(t *testing.T, f face) {
			a, err := f.ListenPacket("udp", host+":0")
			require.NoError(t, err)
			defer a.Close()
			at := a.LocalAddr().(*net.UDPAddr)
			require.True(t, at.IP.IsUnspecified(), "%v", at)
			b, err := f.ListenPacket("udp", fmt.Sprintf("%s:%d", host, at.Port))
			require.NoError(t, err)
			require.NoError(t, b.Close())
		})
	}
}

// A socket that joins a group receives its datagrams, and both packages set the same
// options.
func TestListenMulticastUDP(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	require.NoError(t, err)
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 254)}
	theirs, err := net.ListenMulticastUDP("udp4", lo, group)
	if err != nil {
		machine.Missing(t, "net cannot join a group here: %v", err)
	}
	defer theirs.Close()
	ours, err := weirnet.ListenMulticastUDP("udp4", lo, group)
	require.NoError(t, err)
	defer ours.Close()
	for _, option := range []int{unix.IP_MULTICAST_LOOP, unix.IP_MULTICAST_TTL} {
		require.Equal(t, sockoptOf(t, theirs, unix.IPPROTO_IP, option), sockoptOf(t, ours, unix.IPPROTO_IP, option))
	}
	require.NoError(t, ours.SetDeadline(time.Now().Add(time.Minute)))
	sender, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer sender.Close()
	raw, err := sender.SyscallConn()
	require.NoError(t, err)
	raw.Control(func(fd uintptr) {
		err = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(lo.Index)})
	})
	require.NoError(t, err)
	_, err = sender.WriteTo([]byte("hello"), &net.UDPAddr{IP: group.IP, Port: ours.LocalAddr().(*net.UDPAddr).Port})
	require.NoError(t, err)
	buf := make([]byte, 8)
	n, _, err := ours.ReadFrom(buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))

	for _, bad := range []*net.UDPAddr{nil, {}, {IP: net.IPv4(127, 0, 0, 1)}} {
		_, want := net.ListenMulticastUDP("udp4", lo, bad)
		_, got := weirnet.ListenMulticastUDP("udp4", lo, bad)
		require.Equal(t, describe(want), describe(got))
	}
}

func sockoptOf(t *testing.T, c any, level, option int) (value int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, option) }))
	require.NoError(t, err)
	return value
}

// The kernel refuses some of the settings in keepAlives. For these, both packages keep
// the kernel's own values.
var keepAlives = map[string]net.KeepAliveConfig{
	"default":       {},
	"long idle":     {Enable: true, Idle: 40000 * time.Second},
	"long interval": {Enable: true, Interval: 40000 * time.Second},
	"great count":   {Enable: true, Count: 1000},
	"usual":         {Enable: true, Idle: 3 * time.Second, Interval: 1500 * time.Millisecond, Count: 4},
	"unchanged":     {Enable: true, Idle: -1, Interval: -1, Count: -1},
}

func TestKeepAliveAsNetSetsIt(t *testing.T) {
	type listener func(config net.KeepAliveConfig, idle time.Duration) (net.Listener, error)
	type dialer func(config net.KeepAliveConfig, idle time.Duration, to string) (net.Conn, error)
	listens := []listener{
		func(k net.KeepAliveConfig, idle time.Duration) (net.Listener, error) {
			return (&net.ListenConfig{KeepAlive: idle, KeepAliveConfig: k}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		},
		func(k net.KeepAliveConfig, idle time.Duration) (net.Listener, error) {
			return (&weirnet.ListenConfig{KeepAlive: idle, KeepAliveConfig: k}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		},
	}
	dials := []dialer{
		func(k net.KeepAliveConfig, idle time.Duration, to string) (net.Conn, error) {
			return (&net.Dialer{KeepAlive: idle, KeepAliveConfig: k}).Dial("tcp", to)
		},
		func(k net.KeepAliveConfig, idle time.Duration, to string) (net.Conn, error) {
			return (&weirnet.Dialer{KeepAlive: idle, KeepAliveConfig: k}).Dial("tcp", to)
		},
	}
	options := func(c net.Conn) string {
		return fmt.Sprint(
			sockoptOf(t, c, unix.SOL_SOCKET, unix.SO_KEEPALIVE), sockoptOf(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
			sockoptOf(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), sockoptOf(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
			sockoptOf(t, c, unix.IPPROTO_TCP, unix.TCP_NODELAY))
	}
	for name, config := range keepAlives {
		for _, idle := range []time.Duration{0, -1, 40000 * time.Second, 7 * time.Second} {
			var got [2]string
			for i := range got {
				l, err := listens[i](config, idle)
				require.NoError(t, err)
				c, err := dials[i](config, idle, l.Addr().String())
				require.NoError(t, err)
				s, err := l.Accept()
				require.NoError(t, err)
				got[i] = options(c) + ", accepted " + options(s)
				c.Close()
				s.Close()
				l.Close()
			}
			require.Equal(t, got[0], got[1], "%s, idle %v", name, idle)
		}
	}
}

// Listening at an empty address binds all addresses at any port. A unix socket gets a
// name that the kernel chooses.
func TestListenOnEmptyAddresses(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		for _, network := range []string{"tcp", "tcp4", "unix", "unixpacket"} {
			l, err := f.Listen(network, "")
			require.NoError(t, err, network)
			c, err := f.Dial(network, dialable(l.Addr()))
			require.NoError(t, err, network)
			c.Close()
			l.Close()
		}
		for _, network := range []string{"udp", "udp4", "unixgram"} {
			c, err := f.ListenPacket(network, "")
			require.NoError(t, err, network)
			require.NotEmpty(t, c.LocalAddr().String())
			c.Close()
		}
	})
}

func dialable(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return a.String()
}

// A wildcard listener serves both families.
func TestWildcardListenerServesBothFamilies(t *testing.T) {
	machine.NeedIPv6(t)
	onFaces(t, func(t *testing.T, f face) {
		l, err := f.Listen("tcp", ":0")
		require.NoError(t, err)
		defer l.Close()
		at := l.Addr().(*net.TCPAddr)
		require.True(t, at.IP.Equal(net.IPv6unspecified), "%v", at)
		for _, host := range []string{"127.0.0.1", "::1"} {
			c, err := f.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(at.Port)))
			require.NoError(t, err)
			c.Close()
		}
	})
}

// A listener and its connections use MPTCP where those of net do.
func TestMultipathAsNetHasIt(t *testing.T) {
	protocol := func(l net.Listener) int { return sockoptOf(t, l, unix.SOL_SOCKET, unix.SO_PROTOCOL) }
	for _, use := range []bool{false, true} {
		var got [2]string
		for i := range got {
			var listen func(context.Context, string, string) (net.Listener, error)
			var dial func(network, address string) (net.Conn, error)
			if i == 0 {
				lc, d := new(net.ListenConfig), new(net.Dialer)
				lc.SetMultipathTCP(use)
				d.SetMultipathTCP(use)
				listen, dial = lc.Listen, d.Dial
			} else {
				lc, d := new(weirnet.ListenConfig), new(weirnet.Dialer)
				lc.SetMultipathTCP(use)
				d.SetMultipathTCP(use)
				require.Equal(t, use, lc.MultipathTCP() && d.MultipathTCP())
				listen, dial = lc.Listen, d.Dial
			}
			l, err := listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			c, err := dial("tcp", l.Addr().String())
			require.NoError(t, err)
			s, err := l.Accept()
			require.NoError(t, err)
			got[i] = fmt.Sprint(protocol(l), multipath(t, c), multipath(t, s))
			c.Close()
			s.Close()
			l.Close()
		}
		require.Equal(t, got[0], got[1])
	}
	require.Equal(t, new(net.ListenConfig).MultipathTCP(), new(weirnet.ListenConfig).MultipathTCP())
	require.Equal(t, new(net.Dialer).MultipathTCP(), new(weirnet.Dialer).MultipathTCP())
}

func multipath(t *testing.T, c net.Conn) bool {
	uses, err := c.(interface{ MultipathTCP() (bool, error) }).MultipathTCP()
	require.NoError(t, err)
	return uses
}

// On a closed listener, the error of File names the address if net's error does.
func TestFileOfAClosedListener(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		var got []string
		for _, f := range faces {
			l, err := f.Listen(network, localAddress(t, network))
			require.NoError(t, err)
			l.Close()
			_, err = l.(interface{ File() (*os.File, error) }).File()
			got = append(got, describe(err, l.Addr()))
		}
		require.Equal(t, got[0], got[1])
	}
}
