package server

import (
	"io"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The loop wants to flush while a goroutine sends. It does so when the goroutine has done:
// nothing else would end the pressure.
func TestFlushFollowsTheSendThatWasInItsWay(t *testing.T) {
	c, _ := attached(t, &Server{Loops: 1})
	c.eng.do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, err := c.beginSend(0)
		require.NoError(t, err)
		c.signals.Or(outputHigh)
		c.highReported = true
		c.flush(false)
		require.NotZero(t, c.signals.Load()&outputHigh)
		require.NoError(t, c.endSend(0))
	})
	c.eng.do(func() { require.Zero(t, c.signals.Load()&outputHigh) })
}

// A goroutine sends what is queued. A callback that finds Queued above HighWater meanwhile
// may wait for the end of the pressure.
func TestQueuedAboveHighWaterIsPressure(t *testing.T) {
	srv := &Server{Loops: 1, HighWater: 100}
	pressed := make(chan bool, 2)
	srv.Events.Pressure = func(_ *Conn, on bool) { pressed <- on }
	c, _ := attached(t, srv)
	c.eng.do(func() {
		c.mu.Lock()
		c.output().append(make([]byte, 101))
		_, err := c.beginSend(0)
		require.NoError(t, err)
		require.Equal(t, 101, c.Queued())
		require.NotZero(t, c.signals.Load()&outputHigh)
		require.NoError(t, c.endSend(0))
		c.out.take(101)
		c.mu.Unlock()
	})
	require.True(t, weirtest.Take(t, pressed))
	require.False(t, weirtest.Take(t, pressed))
}

// A callback runs while a goroutine sends bytes that the queue does not have. They count for
// MaxOutput until they have left.
func TestCallbackLeavesTheCountOfASenderAlone(t *testing.T) {
	c, _ := attached(t, &Server{Loops: 1, HighWater: 1000, MaxOutput: 1000})
	c.eng.do(func() {
		c.mu.Lock()
		_, err := c.beginSend(1000)
		require.NoError(t, err)
		require.NoError(t, c.call(nothing))
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, ErrOutputFull)
		require.NoError(t, c.endSend(0))
		c.mu.Unlock()
	})
}

// Data leaves input, and something is bound to present it again. The end of the stream,
// which the kernel has already, comes after that: without End it closes the connection.
func TestEndComesAfterWhatDataHasLeft(t *testing.T) {
	const count, chunk = 20, 8 << 10
	big := make([]byte, 2*chunk)
	for name, data := range map[string]func(*Conn) error{
		"pause": func(c *Conn) error {
			c.PauseRead()
			c.ResumeRead()
			_, err := c.Write(c.Next(1))
			return err
		},
		"wake": func(c *Conn) error {
			c.Wake()
			_, err := c.Write(c.Next(1))
			return err
		},
		"pressure": func(c *Conn) error {
			for c.Queued() <= chunk/2 && c.Discard(1) == 1 {
				if err := c.WriteAsync(big, func(error) {}); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &Server{Loops: 1, Chunk: chunk, HighWater: chunk / 2, Events: Events{Data: data}}
			defer srv.Close()
			a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
			require.NoError(t, err)
			defer b.Close()
			require.NoError(t, b.SetRecvTimeout(weirtest.Patience))
			_, err = b.Write(make([]byte, count))
			require.NoError(t, err)
			require.NoError(t, b.Shutdown(unix.SHUT_WR))
			require.NoError(t, srv.Attach(a, nil))
			want := count
			if name == "pressure" {
				want = count * len(big)
			}
			n, err := io.Copy(io.Discard, b)
			require.NoError(t, err)
			require.EqualValues(t, want, n)
		})
	}
}

// Data is not called any more after End, even if the pressure ends and End has left input.
func TestDataIsNotCalledAfterEnd(t *testing.T) {
	pressed, ends := make(chan bool, 2), 0
	srv := &Server{Loops: 1, HighWater: 4 << 10, Chunk: 4 << 10}
	srv.Events.Data = func(*Conn) error {
		if ends > 0 {
			t.Error("Data is called after End")
		}
		return nil
	}
	srv.Events.End = func(c *Conn) error {
		ends++
		return c.WriteAsync(make([]byte, 64<<10), func(error) {})
	}
	srv.Events.Pressure = func(_ *Conn, on bool) { pressed <- on }
	c, peer := attached(t, srv)
	_, err := peer.Write([]byte("left"))
	require.NoError(t, err)
	require.NoError(t, peer.Shutdown(unix.SHUT_WR))
	_, err = io.ReadFull(peer, make([]byte, 64<<10))
	require.NoError(t, err)
	require.True(t, weirtest.Take(t, pressed))
	require.False(t, weirtest.Take(t, pressed))
	for range 3 {
		c.eng.do(func() {})
	}
}

// Shutdown presents what Data has left for a later turn, because there is no later turn.
func TestShutdownPresentsWhatDataHasLeft(t *testing.T) {
	const count = 20
	asked := 0
	srv := &Server{Loops: 1}
	srv.Events.Data = func(c *Conn) error {
		c.PauseRead()
		c.ResumeRead()
		asked += c.Discard(1)
		return nil
	}
	c, peer := attached(t, srv)
	c.eng.do(func() {
		_, err := peer.Write(make([]byte, count))
		require.NoError(t, err)
		c.catchUp()
		require.Equal(t, count, asked)
	})
}

// A connection whose writes fail waits for ResumeRead, because it has input. The program may
// call ResumeRead when the pressure ends: the output is lost, so it does not press any more.
func TestPressureEndsOnABrokenConnection(t *testing.T) {
	calls := make(chan string, 10)
	srv := &Server{Loops: 1, HighWater: 4 << 10}
	srv.Events.Pressure = func(c *Conn, on bool) {
		if on {
			c.PauseRead()
			calls <- "high"
		} else {
			calls <- "low"
			c.ResumeRead()
		}
	}
	srv.Events.Data = func(c *Conn) error { calls <- string(c.Next(-1)); return nil }
	srv.Events.Closed = func(*Conn, error) { calls <- "closed" }
	c, peer := attached(t, srv)
	for c.Queued() <= srv.HighWater {
		_, err := c.Write(make([]byte, 64<<10))
		require.NoError(t, err)
	}
	require.Equal(t, "high", weirtest.Take(t, calls))
	_, err := peer.Write([]byte("input"))
	require.NoError(t, err)
	require.NoError(t, peer.Close())
	for _, want := range []string{"low", "input", "closed"} {
		require.Equal(t, want, weirtest.Take(t, calls))
	}
}

// The engines count memory that was freed, and have not added it to the total. It does not
// keep connections from being read for ever.
func TestFreedMemoryCountsSoonerOrLater(t *testing.T) {
	got := make(chan string, 1)
	srv := &Server{Loops: 1, MaxMemory: leastMemory, MemoryPolicy: PauseReading}
	srv.Events.Data = func(c *Conn) error { got <- string(c.Next(-1)); return nil }
	c, peer := attached(t, srv)
	idle := newEngine(srv, c.eng.loop, c.eng.service)
	srv.mu.Lock()
	srv.allEngines = append(srv.allEngines[:1:1], idle)
	srv.mu.Unlock()
	idle.held.Store(-leastMemory) // as that of many engines that have nothing to do
	srv.memory.total.Store(leastMemory)
	_, err := peer.Write([]byte("x"))
	require.NoError(t, err)
	require.Equal(t, "x", weirtest.Take(t, got))
}

// The timer of a session expires as its handshake ends, and there is no limit from then on.
func TestTimerThatExpiresAsTheHandshakeEnds(t *testing.T) {
	c, _ := attached(t, &Server{Loops: 1})
	x := new(Session)
	x.place.Store(&c.eng.place)
	x.state.Store(sessionRunning)
	require.Positive(t, x.shortest(x.place.Load()), "otherwise the test shows nothing")
	require.NotPanics(t, x.checkIdle)
}

// Pressure is called twice, even if the kernel has taken the output before the first call: a
// program that has found Queued above HighWater waits for the second one.
func TestPressureIsToldAlthoughItIsOver(t *testing.T) {
	const chunk = 8 << 10
	pressed := make(chan bool, 10)
	srv := &Server{Loops: 1, Chunk: chunk, HighWater: chunk / 2}
	srv.Events.Data = func(c *Conn) error {
		c.Next(-1)
		err := c.WriteAsync(make([]byte, 2*chunk), func(error) {})
		if c.Queued() <= chunk/2 {
			t.Error("the test shows nothing")
		}
		return err
	}
	srv.Events.Pressure = func(_ *Conn, on bool) { pressed <- on }
	c, peer := attached(t, srv)
	_, err := peer.Write([]byte("x"))
	require.NoError(t, err)
	require.True(t, weirtest.Take(t, pressed))
	require.False(t, weirtest.Take(t, pressed))
	c.eng.do(func() { require.Empty(t, pressed) })
}

// What Data has left is presented before more is received. Otherwise the input of a peer
// that is answered slowly could grow up to MaxInput, which ends the connection.
func TestNothingIsReadBeforeDataHasWhatItHasLeft(t *testing.T) {
	got := make(chan string, 2)
	srv := &Server{Loops: 1}
	srv.Events.Data = func(c *Conn) error { got <- string(c.Next(-1)); return nil }
	c, peer := attached(t, srv)
	c.eng.do(func() {
		_, err := peer.Write([]byte("new"))
		require.NoError(t, err)
		require.NoError(t, c.keep([]byte("left"), false))
		c.readable = true
		c.ask(resumed)
		require.Zero(t, c.read(100))
	})
	require.Equal(t, "left", weirtest.Take(t, got))
	require.Equal(t, "new", weirtest.Take(t, got))
}

// More connections have output at the end of a turn than may send then. The others send at
// the end of the next turns.
func TestOutputBeyondTheTurnsShareLeavesLater(t *testing.T) {
	c, peer := attached(t, &Server{Loops: 1})
	c.eng.do(func() {
		c.eng.lateMu.Lock()
		for range latePerTurn {
			c.eng.late = append(c.eng.late, &output{conn: c, scheduled: true})
		}
		c.eng.lateMu.Unlock()
		_, err := c.Write([]byte("x"))
		require.NoError(t, err)
	})
	_, err := io.ReadFull(peer, make([]byte, 1))
	require.NoError(t, err)
}

// Rates.Write stops a goroutine's send while the loop sleeps. The loop goes on when it is time.
func TestRateThatStopsAGoroutinesSendEnds(t *testing.T) {
	srv := &Server{Loops: 1, HighWater: 1 << 20, Rates: Rates{Write: 10 << 20, WriteBurst: 1000}}
	c, peer := attached(t, srv)
	const size = gatherSize + 1000
	_, err := c.Write(make([]byte, size))
	require.NoError(t, err)
	_, err = io.ReadFull(peer, make([]byte, size))
	require.NoError(t, err)
}
