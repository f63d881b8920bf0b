package net

import (
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir/internal/simkernel"
	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
)

// Of several addresses that do not answer each gets an equal part of the time that is left.
// The test runs in simulated time.
func TestAddressesInTurnShareTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := simkernel.New(1, simkernel.Link{Cut: true}, nil)
		defer w.Close()
		own, err := w.Host(netip.MustParseAddr("10.0.0.1"))
		require.NoError(t, err)
		var to []net.Addr
		for _, ip := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.4"} {
			_, err := w.Host(netip.MustParseAddr(ip))
			require.NoError(t, err)
			to = append(to, &net.TCPAddr{IP: net.ParseIP(ip), Port: 80})
		}
		g, err := loop.NewGroup(1, nil, loop.Options{Kernel: own})
		require.NoError(t, err)
		defer g.Close()
		start := time.Now()
		var begun []time.Duration
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{ConnectStart: func(string, string) {
			begun = append(begun, time.Since(start).Round(10*time.Millisecond))
		}})
		d := &Dialer{Group: g, Timeout: 12 * time.Second}
		d.SetMultipathTCP(false)
		a, err := d.begin(ctx, "tcp")
		require.NoError(t, err)
		defer a.end()
		s, err := a.inTurn(to)
		require.Nil(t, s)
		require.ErrorContains(t, err, "dial tcp 10.0.0.2:80: i/o timeout")
		require.Equal(t, []time.Duration{0, 4 * time.Second, 8 * time.Second}, begun)
		require.Equal(t, 12*time.Second, time.Since(start).Round(10*time.Millisecond))
	})
}
