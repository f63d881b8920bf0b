package server_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestStatsOfTraffic(t *testing.T) {
	srv := &server.Server{Loops: 1, Events: server.Events{Data: echo}}
	addr := serve(t, srv)
	c := client(t, addr)
	for range 10 {
		send(t, c, "12345")
		expect(t, c, "12345")
	}
	weirtest.Eventually(t, func() bool {
		n := srv.Stats()
		return n.BytesIn == 50 && n.BytesOut == 50
	}, "both directions are counted")
	loops := srv.LoopStats()
	require.Len(t, loops, 1)
	require.GreaterOrEqual(t, loops[0].Events, uint64(10))

	// Output that does not leave at once counts when it has left.
	const size = 8 << 20
	weirtest.Take(t, srv.Each(func(c *server.Conn) {
		_, err := c.Write(make([]byte, size))
		require.NoError(t, err)
		require.NotZero(t, c.Queued())
	}))
	require.Less(t, srv.Stats().BytesOut, uint64(50+size))
	_, err := io.CopyN(io.Discard, c, size)
	require.NoError(t, err)
	weirtest.Eventually(t, func() bool { return srv.Stats().BytesOut == 50+size }, "all has left")
}

func TestStatsOfASessionCountAtItsEnd(t *testing.T) {
	srv := &server.Server{Loops: 1, Handler: func(s *server.Session) error {
		line, err := s.ReadLine()
		if err == nil {
			_, err = s.WriteLine(line)
		}
		return err
	}}
	c := client(t, serve(t, srv))
	send(t, c, "abcd\n")
	expect(t, c, "abcd\n")
	require.NoError(t, c.Close())
	weirtest.Eventually(t, func() bool { n := srv.Stats(); return n.BytesIn == 5 && n.BytesOut == 5 }, "the kernel has counted")
}

func TestStatsOfPackets(t *testing.T) {
	srv := &server.Server{Loops: 1, Events: server.Events{Packet: echoPackets}}
	c := udpClient(t, serveOn(t, srv, "udp4", "127.0.0.1:0"))
	for range 3 {
		send(t, c, "123456")
		expect(t, c, "123456")
	}
	weirtest.Eventually(t, func() bool {
		n := srv.Stats()
		return n.PacketsIn == 3 && n.PacketsOut == 3 && n.BytesIn == 18 && n.BytesOut == 18
	}, "datagrams are counted")
}

func TestStatsOfListeners(t *testing.T) {
	var refuse atomic.Bool
	srv := &server.Server{Loops: 2, ReusePort: true, Events: server.Events{Data: echo}, Control: func(int) error {
		if refuse.Load() {
			return unix.EPERM
		}
		return nil
	}}
	one := serve(t, srv)
	two := serve(t, srv)
	for range 5 {
		c := client(t, one)
		send(t, c, "x")
		expect(t, c, "x")
	}
	list := srv.ListenerStats()
	require.Len(t, list, 2, "the listeners of one address count together")
	require.Equal(t, server.ListenerStats{Addr: one, Accepted: 5}, list[0])
	require.Equal(t, server.ListenerStats{Addr: two}, list[1])

	refuse.Store(true)
	c := client(t, two)
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err)
	require.Equal(t, uint64(1), srv.Stats().Refused)
	require.Equal(t, uint64(1), srv.ListenerStats()[1].Refused)
}

func TestStatsOfDialAttachAndFull(t *testing.T) {
	srv := &server.Server{Loops: 1, MaxConns: 1, Events: server.Events{Data: echo}}
	addr := serve(t, srv)
	c := client(t, addr)
	send(t, c, "x")
	expect(t, c, "x")
	client(t, addr) // it waits
	weirtest.Eventually(t, func() bool { return srv.Stats().Full > 0 }, "the listener waits for room")

	other := &server.Server{Loops: 1, Events: server.Events{Data: echo}}
	_, err := srv.Dial(context.Background(), weirnet.Dialer{}, "tcp", serve(t, other).String(), nil)
	require.NoError(t, err)
	a, b := weirtest.Pair(t, socket.Stream)
	require.NoError(t, srv.Attach(a, nil))
	_, err = b.Write([]byte("y"))
	require.NoError(t, err)
	n := srv.Stats()
	require.Equal(t, []uint64{1, 1, 1}, []uint64{n.Accepted, n.Dialed, n.Attached})
}

func TestStallsAreRemembered(t *testing.T) {
	const limit = 10 * time.Millisecond
	release := make(chan struct{})
	var log journal
	srv := &server.Server{Loops: 1, StallAfter: limit, Log: log.logger(), Events: server.Events{Data: func(c *server.Conn) error {
		stallsHere(release)
		return echo(c)
	}}}
	require.Empty(t, srv.Stalls())
	c := client(t, serve(t, srv))
	defer close(release) // before the server closes, which waits for the callback
	const stalls = 34
	for range stalls {
		send(t, c, "x")
		// On a busy machine there may be others, which are soon over.
		weirtest.Eventually(t, func() bool {
			list := srv.Stalls()
			return len(list) > 0 && !list[0].Over && strings.Contains(list[0].Stack, "stallsHere")
		}, "it is found")
		release <- struct{}{}
		expect(t, c, "x")
		weirtest.Eventually(t, func() bool { return srv.Stalls()[0].Over }, "it is over")
	}
	list := srv.Stalls()
	require.Len(t, list, 32, "not more")
	require.True(t, slices.ContainsFunc(list, func(s server.Stall) bool { return strings.Contains(s.Stack, "stallsHere") }))
	require.False(t, list[0].Began.Before(list[31].Began), "the latest first")
	require.GreaterOrEqual(t, srv.Stats().LongestStall, list[0].For)
	require.GreaterOrEqual(t, list[0].For, limit)
}
