package server

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// insertHolder keeps the largest ones, the largest first, as sorting all of them does.
func TestInsertHolder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var list []holder
		var all []int
		for range random.IntN(3 * largestPerEngine) {
			n := random.IntN(100)
			all = append(all, n)
			list = insertHolder(list, holder{bytes: n})
		}
		slices.SortFunc(all, func(a, b int) int { return b - a })
		want := all[:min(len(all), largestPerEngine)]
		got := []int{}
		for _, h := range list {
			got = append(got, h.bytes)
		}
		require.ElementsMatch(t, want, got)
		require.True(t, slices.IsSortedFunc(got, func(a, b int) int { return b - a }), got)
	}
}

// The largest connection of all engines ends, in whatever order the engines have listed
// them, and no other.
func TestEndLargestOfAllEngines(t *testing.T) {
	t.Parallel()
	srv := &Server{Loops: 1, Log: slog.New(slog.DiscardHandler)}
	small, _ := attached(t, srv)
	var large *Conn
	srv.Events.Open = nil
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer b.Close()
	require.NoError(t, srv.Attach(a, nil))
	small.eng.do(func() {
		for c := small.eng.conns; c != nil; c = c.next {
			if c != small {
				large = c
			}
		}
		srv.memory.wanted.Store(srv.memory.most + 10)
		srv.endLargest([]holder{{c: small, bytes: 10}, {c: large, bytes: 1000}})
	})
	require.NotZero(t, large.signals.Load()&(memoryAsked|gone))
	require.Zero(t, small.signals.Load()&memoryAsked)
	require.EqualValues(t, 1, srv.Stats().Ended)
}

// The memory becomes full while the engines look for the largest connections, and after
// they have looked at the one that fills it. No later event would end that connection.
func TestMemoryThatFillsDuringTheSearch(t *testing.T) {
	t.Parallel()
	over := make(chan error, 1)
	srv := &Server{Loops: 1, MaxMemory: 4 << 20, Log: slog.New(slog.DiscardHandler), Events: Events{Closed: func(_ *Conn, err error) { over <- err }}}
	c, _ := attached(t, srv)
	c.eng.do(func() { srv.memory.seeking.Store(true) })
	for srv.memory.total.Load() <= srv.memory.high {
		_, err := c.Write(make([]byte, 64<<10))
		require.NoError(t, err)
		c.eng.do(func() {})
	}
	c.eng.do(func() { srv.endLargest(nil) })
	select {
	case err := <-over:
		require.ErrorIs(t, err, ErrMemoryFull)
	case <-time.After(time.Minute):
		require.Fail(t, "it holds the memory for ever")
	}
}
