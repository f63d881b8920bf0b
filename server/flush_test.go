package server

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A goroutine sends, and its system call has returned EAGAIN. Before it notes that, the
// loop gets the kernel's report of room. The report must not be lost, because the kernel
// does not repeat it.
func TestRoomThatIsReportedDuringASendIsNotLost(t *testing.T) {
	srv := &Server{Loops: 1}
	c, _ := attached(t, srv)
	c.eng.do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, reported := range []bool{false, true} {
			_, err := c.beginSend(0)
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

// The loop closes a connection while a goroutine sends. It calls the completions and
// Closed only after the system call has returned, because until then the kernel reads
// the buffers.
func TestCloseWaitsForTheSender(t *testing.T) {
	var calls []string
	over := make(chan struct{})
	srv := &Server{Loops: 1}
	srv.Events.Closed = func(*Conn, error) { calls = append(calls, "close"); close(over) }
	c, _ := attached(t, srv)
	c.eng.do(func() {
		c.mu.Lock()
		_, err := c.beginSend(0)
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

// The queue passes HighWater and drains before the timer expires. The timeouts of reading
// begin anew all the same.
func TestReliefOfPressureRenewsTheIdleTime(t *testing.T) {
	srv := &Server{Loops: 1}
	c, _ := attached(t, srv)
	c.eng.do(func() {
		c.mu.Lock()
		c.output()
		c.mu.Unlock()
		c.signals.Or(outputHigh)
		c.highReported = true
		c.flush(true)
		require.Zero(t, c.signals.Load()&outputHigh)
		require.True(t, c.readStopped)
		before := c.active
		require.True(t, c.readTimesRun())
		require.Greater(t, c.active, before)
	})
}

// A goroutine's system call has returned EAGAIN, and meanwhile the loop has closed the
// descriptor. The write's error says that the connection is closed.
func TestSendThatIsRefusedAsTheLoopClosesTheConnection(t *testing.T) {
	c, _ := attached(t, &Server{Loops: 1})
	c.eng.do(func() {
		require.NoError(t, c.reg.Close())
		c.mu.Lock()
		defer c.mu.Unlock()
		require.ErrorIs(t, c.block(), net.ErrClosed)
		require.Zero(t, c.signals.Load()&writeFailed)
	})
}
