package net_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
)

func TestDialFromLocalAddress(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		var from net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
		to := ""
		if network == "udp" {
			from = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}
			p, err := weirnet.ListenPacket("udp", "127.0.0.1:0")
			require.NoError(t, err)
			defer p.Close()
			to = p.LocalAddr().String()
		} else {
			l, err := weirnet.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			to = l.Addr().String()
		}
		d := weirnet.Dialer{LocalAddr: from}
		c, err := d.Dial(network, to)
		require.NoError(t, err)
		host, _, err := net.SplitHostPort(c.LocalAddr().String())
		require.NoError(t, err)
		require.Equal(t, "127.0.0.2", host)
		require.NoError(t, c.Close())
	}
	for _, c := range []struct {
		from        net.Addr
		network, to string
	}{
		{&net.UDPAddr{}, "tcp", "127.0.0.1:80"},
		{&net.UnixAddr{Name: "/x", Net: "unix"}, "tcp", "127.0.0.1:80"},
		{&net.TCPAddr{}, "unix", "/no/such/path"},
	} {
		_, err := (&weirnet.Dialer{LocalAddr: c.from}).Dial(c.network, c.to)
		require.ErrorContains(t, err, "mismatched local address type")
	}
	_, err := (&weirnet.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}).Dial("tcp", "[::1]:80")
	require.ErrorContains(t, err, "no suitable address found")
}

func TestDialUnixFromAPath(t *testing.T) {
	dir := t.TempDir()
	server, err := weirnet.ListenPacket("unixgram", dir+"/server")
	require.NoError(t, err)
	defer server.Close()
	d := weirnet.Dialer{LocalAddr: &net.UnixAddr{Name: dir + "/client", Net: "unixgram"}}
	c, err := d.Dial("unixgram", dir+"/server")
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	n, from, err := server.ReadFrom(make([]byte, 8))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, &net.UnixAddr{Name: dir + "/client", Net: "unixgram"}, from)
}

// An empty host and the unspecified address mean the local system.
func TestDialLocalSystem(t *testing.T) {
	l, err := weirnet.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	for _, host := range []string{"", "0.0.0.0", "::"} {
		c, err := weirnet.Dial("tcp", net.JoinHostPort(host, port))
		require.NoError(t, err)
		require.Equal(t, l.Addr(), c.RemoteAddr())
		c.Close()
	}
	if nettest.SupportsIPv6() {
		_, err = weirnet.Dial("tcp6", net.JoinHostPort("", port))
		require.ErrorIs(t, err, unix.ECONNREFUSED)
		require.ErrorContains(t, err, "dial tcp6 :"+port)
	}
}

// TCP connects a socket with itself if it is given the port that it dials.
func TestDialNeverConnectsWithItself(t *testing.T) {
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		to := l.Addr().(*net.TCPAddr).AddrPort()
		require.NoError(t, l.Close()) // the port is free again
		attempts := 0
		d := weirnet.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
			attempts++
			c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, int(to.Port())<<16|int(to.Port()))
			})
			return err
		}}
		fds := openFDs(t)
		_, err = d.Dial("tcp", to.String())
		if errors.Is(err, unix.ENOPROTOOPT) {
			machine.Missing(t, "the kernel has no IP_LOCAL_PORT_RANGE")
		}
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			continue // the kernel gave the port to another program
		}
		require.ErrorIs(t, err, unix.ECONNREFUSED)
		require.Greater(t, attempts, 1)
		require.LessOrEqual(t, openFDs(t), fds)
		return
	}
	t.Fatal("no port stays free")
}
