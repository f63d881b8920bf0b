package net_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// localAddress returns a free address of a network, for Listen.
func localAddress(t testing.TB, network string) string {
	t.Helper()
	switch network {
	case "tcp6", "udp6":
		machine.NeedIPv6(t)
		return "[::1]:0"
	case "unix", "unixgram", "unixpacket":
		return filepath.Join(t.TempDir(), "s")
	}
	return "127.0.0.1:0"
}

// connPair returns two connected ends, made by Listen and Dial.
func connPair(t testing.TB, network string) (client, server net.Conn) {
	t.Helper()
	l, err := weirnet.Listen(network, localAddress(t, network))
	require.NoError(t, err)
	defer l.Close()
	client, err = weirnet.Dial(network, l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return client, server
}

func TestConn(t *testing.T) {
	for _, network := range []string{"tcp", "tcp6", "unix"} {
		t.Run(network, func(t *testing.T) {
			if network == "tcp6" {
				machine.NeedIPv6(t) // here, because a subtest cannot skip this test
			}
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				c1, c2 = connPair(t, network)
				return c1, c2, func() { c1.Close(); c2.Close() }, nil
			})
		})
	}
	t.Run("socketpair", func(t *testing.T) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
			if err != nil {
				return nil, nil, nil, err
			}
			c1, c2 = mustConn(a), mustConn(b)
			return c1, c2, func() { c1.Close(); c2.Close() }, nil
		})
	})
}
