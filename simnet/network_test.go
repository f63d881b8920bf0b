package simnet_test

import (
	"testing"
	"testing/synctest"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/stretchr/testify/require"
)

// A host needs an address of its own. Without a test the Network panics.
func TestAddressesOfHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(nil, simnet.Options{})
		defer n.Close()
		for _, ip := range []string{"", "x", "0.0.0.0", "::", "127.0.0.1", "::1", "224.0.0.1", "ff02::1", "fe80::1%lo", "::ffff:10.0.0.1"} {
			require.PanicsWithValue(t, `simnet: "`+ip+`" is not the IP address of a host`, func() { n.Host(ip) })
			require.Panics(t, func() { n.Link("10.0.0.1", ip, simnet.Link{}) })
		}
		for _, ip := range []string{"10.0.0.1", "2001:db8::1"} {
			require.Same(t, n.Host(ip), n.Host(ip))
		}
		require.NotSame(t, n.Host("10.0.0.1"), n.Host("10.0.0.2"))
		require.Panics(t, func() { n.Host("10.0.0.1").Group(0) })
		require.Empty(t, n.Trace())
	})
}

// Each direction of a link is one of its own, Cut and Heal are for both, and Close ends the
// sockets of all hosts.
func TestLinksHaveDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(t, simnet.Options{Link: simnet.Link{Latency: time.Second}})
		a, b := n.Host("10.0.0.1"), n.Host("10.0.0.2")
		open := func(h *simnet.Host, ip string) weirnet.PacketConn {
			c, err := (&weirnet.ListenConfig{Group: h.Group(1)}).ListenPacket(t.Context(), "udp4", ip+":0")
			require.NoError(t, err)
			return c
		}
		x, y := open(a, "10.0.0.1"), open(b, "10.0.0.2")
		require.Equal(t, 1, a.Open())
		// took sends a datagram and returns how long it was on its way; an hour if it is lost.
		took := func(from, to weirnet.PacketConn) time.Duration {
			start := time.Now()
			_, err := from.WriteTo([]byte("x"), to.LocalAddr())
			require.NoError(t, err)
			require.NoError(t, to.SetReadDeadline(start.Add(time.Hour)))
			_, _, _ = to.ReadFrom(make([]byte, 9))
			return time.Since(start).Truncate(10 * time.Millisecond)
		}
		require.Equal(t, time.Second, took(x, y))
		n.Link("10.0.0.1", "10.0.0.2", simnet.Link{Latency: 2 * time.Second})
		require.Equal(t, 2*time.Second, took(x, y))
		require.Equal(t, time.Second, took(y, x))
		n.Cut("10.0.0.1", "10.0.0.2")
		require.Equal(t, time.Hour, took(x, y))
		require.Equal(t, time.Hour, took(y, x))
		n.Heal("10.0.0.2", "10.0.0.1")
		require.Equal(t, 2*time.Second, took(x, y))
		require.Equal(t, time.Second, took(y, x))
		require.Positive(t, n.Events())
		a.SetLimit(1)
		_, err := (&weirnet.ListenConfig{Group: a.Group(1)}).ListenPacket(t.Context(), "udp4", "10.0.0.1:0")
		require.ErrorContains(t, err, "too many open files")
		n.Close()
		n.Close()
		_, _, err = x.ReadFrom(make([]byte, 9))
		require.Error(t, err)
	})
}
