package server

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
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
				for c.flush(true); !c.out.blocked; c.flush(true) { // until the kernel is full
				}
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

// A call of Handler is too slow if it waits for the peer now and has waited at the last
// check, too. One look is not enough.
func TestSessionRateLooksTwice(t *testing.T) {
	for name, direction := range map[string]loop.Direction{"reads": loop.Read, "writes": loop.Write} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sessions := make(chan *Session, 1)
			srv := &Server{Loops: 1, Timeouts: Timeouts{MinRate: 1000, Grace: time.Hour}, Handler: func(s *Session) error {
				sessions <- s
				for {
					b, err := make([]byte, 1<<20), error(nil)
					if direction == loop.Read {
						_, err = io.ReadFull(s, b)
					} else {
						_, err = s.Write(b)
					}
					if err != nil {
						return err
					}
				}
			}}
			defer srv.Close()
			addr, err := srv.Listen("tcp4", "127.0.0.1:0")
			require.NoError(t, err)
			peer, err := net.Dial("tcp4", addr.String())
			require.NoError(t, err)
			defer peer.Close()
			_, err = peer.Write([]byte("x"))
			require.NoError(t, err)
			x := <-sessions
			require.Eventually(t, func() bool { return x.Registration().Waits(direction) }, time.Minute, time.Millisecond)
			check := func() bool {
				x.engine().do(x.checkRate)
				return x.rate.slow.Load()
			}
			x.engine().do(func() { x.rate.call = x.calls.Load() }) // it has worked when the last check came
			require.False(t, check())
			require.True(t, check())

			// A session that is idle in between begins anew.
			x.engine().do(func() {
				x.rate.slow.Store(false)
				state := x.state.Load()
				x.state.Store(state&^sessionStates | sessionOver)
				x.checkRate()
				x.state.Store(state)
			})
			require.False(t, x.rate.reads || x.rate.writes)
		})
	}
}
