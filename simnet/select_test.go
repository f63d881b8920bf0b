package simnet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// udpPair makes a socket on each of two hosts. The first is bound to port 7.
func udpPair(t *testing.T, n *simnet.Network) (at, to *socket.Socket) {
	at, err := socket.Config{Group: n.Host("10.0.0.1").Group(1), Port: 7}.New(socket.Inet, socket.Dgram, 0)
	require.NoError(t, err)
	to, err = socket.Config{Group: n.Host("10.0.0.2").Group(1)}.New(socket.Inet, socket.Dgram, 0)
	require.NoError(t, err)
	require.NoError(t, to.Connect("10.0.0.1", "7"))
	return at, to
}

// Select and Selector wait in simulated time.
func TestSelect(t *testing.T) {
	for range 2 { // the second time with gates that were used
		synctest.Test(t, func(t *testing.T) {
			n := simnet.New(t, simnet.Options{Link: simnet.Link{Latency: time.Second}})
			a, b := udpPair(t, n)
			set := []*socket.Socket{a}
			begin := time.Now()
			got, err := weir.Select(set, nil, nil, time.Hour)
			require.NoError(t, err)
			require.Empty(t, got.Read)
			require.InDelta(t, time.Hour, time.Since(begin), float64(time.Millisecond))

			begin = time.Now()
			_, err = b.Send([]byte("x"), 0)
			require.NoError(t, err)
			got, err = weir.Select(set, nil, nil, -1)
			require.NoError(t, err)
			require.Equal(t, set, got.Read)
			require.InDelta(t, time.Second, time.Since(begin), float64(time.Millisecond))
			_, err = a.Recv(make([]byte, 9), 0)
			require.NoError(t, err)

			s := weir.NewSelector()
			defer s.Close()
			require.NoError(t, s.Register(a, weir.Readable, nil))
			begin = time.Now()
			events, err := s.Wait(t.Context(), time.Minute, nil)
			require.NoError(t, err)
			require.Empty(t, events)
			require.InDelta(t, time.Minute, time.Since(begin), float64(time.Millisecond))
			_, err = b.Send([]byte("x"), 0)
			require.NoError(t, err)
			events, err = s.Wait(t.Context(), time.Minute, nil)
			require.NoError(t, err)
			require.Len(t, events, 1)
		})
	}
}
