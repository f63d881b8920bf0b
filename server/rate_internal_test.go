package server

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A peer that moves enough in each window goes on for ever. The first window in which it
// does not ends the connection.
func TestRateWindows(t *testing.T) {
	srv := &Server{Loops: 1, Timeouts: Timeouts{MinRate: 100, Grace: 2 * time.Second}}
	srv.Events.Data = func(*Conn) error { return nil }
	c, peer := attached(t, srv)
	_, err := peer.WriteString("part")
	require.NoError(t, err)
	for c.eng.srv.Stats().Memory == 0 { // until Data has left it
		c.eng.do(func() {})
	}
	c.eng.do(func() {
		require.EqualValues(t, 200, c.timeouts.leastBytes())
		at, of, limit := c.due()
		require.Equal(t, ofRate, of)
		require.Equal(t, 2*time.Second, limit)
		for range 3 {
			c.in.rate.bytes = 1000
			c.rateWindows(at - 1) // too early
			require.Equal(t, at-2*time.Second, c.in.rate.since)
			c.rateWindows(at)
			next, _, _ := c.due()
			require.Equal(t, at+2*time.Second, next)
			require.Zero(t, c.in.rate.bytes)
			at = next
		}
		c.in.rate.bytes = 199
		c.rateWindows(at)
		next, _, _ := c.due()
		require.Equal(t, at, next)

		c.in.rate = window{}
		c.mu.Lock()
		c.output().append(make([]byte, 10))
		c.mu.Unlock()
		c.due()
		require.NotZero(t, c.out.rate.since)
		c.out.rate.bytes = 200
		since := c.out.rate.since + 2*time.Second
		c.rateWindows(since)
		require.Equal(t, window{since: since}, c.out.rate)
		c.mu.Lock()
		c.out.take(10)
		c.mu.Unlock()
	})
}

// When the time of a window is over, what has arrived or left since then counts. The loop
// may have been busy, or the process stopped.
func TestRateLooksBeforeItJudges(t *testing.T) {
	const least = 16 << 10
	timeouts := Timeouts{MinRate: least, Grace: time.Second}
	piece := make([]byte, 64<<10)
	over := func(w *window) { w.since -= time.Hour }

	t.Run("input", func(t *testing.T) {
		srv := &Server{Loops: 1, Timeouts: timeouts}
		srv.Events.Data = func(*Conn) error { return nil }
		c, peer := attached(t, srv)
		_, err := peer.WriteString("part")
		require.NoError(t, err)
		for c.eng.srv.Stats().Memory == 0 {
			c.eng.do(func() {})
		}
		var states []connState
		c.eng.do(func() {
			for _, n := range []int{least, least - 1} {
				over(&c.in.rate)
				_, _ = peer.Write(piece[:n])
				c.timeUp()
				states = append(states, c.state)
			}
		})
		require.Equal(t, []connState{stateOpen, stateClosed}, states)
	})
	t.Run("output", func(t *testing.T) {
		c, peer := attached(t, &Server{Loops: 1, Timeouts: timeouts})
		for c.Queued() < 2<<20 {
			_, err := c.Write(piece)
			require.NoError(t, err)
		}
		var states []connState
		c.eng.do(func() {
			c.due()
			for _, n := range []int{100 << 10, 0} {
				c.out.rate.bytes = 0
				over(&c.out.rate)
				_, _ = io.CopyN(io.Discard, peer, int64(n))
				c.timeUp()
				states = append(states, c.state)
			}
		})
		require.Equal(t, []connState{stateOpen, stateClosed}, states)
	})
}
