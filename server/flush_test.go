package server

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The loop is told of room while another goroutine sends, after the system call of that
// has said EAGAIN: the report must not be lost, as the kernel does not repeat it.
func TestRoomThatIsReportedDuringASendIsNotLost(t *testing.T) {
	srv := &Server{Loops: 1}
	c, _ := attached(t, srv)
	c.eng.do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, reported := range []bool{false, true} {
			_, err := c.beginSend()
			require.NoError(t, err)
			if reported {
				c.flush(true)
			}
			require.NoError(t, c.endSend(unix.EAGAIN))
			require.Equal(t, reported, c.out == nil || !c.out.blocked)
			if c.out != nil {
				c.out.blocked = false
			}
		}
	})
}

// A connection that is closed while a goroutine sends calls its completions and Close
// when the system call has returned: until then the kernel reads the buffers.
func TestCloseWaitsForTheSender(t *testing.T) {
	var calls []string
	over := make(chan struct{})
	srv := &Server{Loops: 1}
	srv.Events.Closed = func(*Conn, error) { calls = append(calls, "close"); close(over) }
	c, _ := attached(t, srv)
	c.eng.do(func() {
		c.mu.Lock()
		_, err := c.beginSend()
		if err != nil {
			panic(err)
		}
		if err := c.WriteAsync([]byte("x"), func(err error) { calls = append(calls, "done") }); err != nil {
			panic(err)
		}
		c.finish(ErrAborted)
		calls = append(calls, "closed")
		_ = c.endSend(0)
		c.mu.Unlock()
	})
	<-over
	c.eng.do(func() { require.Equal(t, []string{"closed", "done", "close"}, calls) })
}

// Too much was queued, and leaves before the timers have noticed: their time begins anew
// all the same.
func TestReliefOfPressureRenewsTheIdleTime(t *testing.T) {
	srv := &Server{Loops: 1}
	c, _ := attached(t, srv)
	c.eng.do(func() {
		c.mu.Lock()
		c.output()
		c.mu.Unlock()
		c.signals.Or(outputHigh)
		c.flush(true)
		require.Zero(t, c.signals.Load()&outputHigh)
		require.True(t, c.readStopped)
		before := c.active
		require.True(t, c.readTimesRun())
		require.Greater(t, c.active, before)
	})
}
