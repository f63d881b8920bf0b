package loop_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A call finds that another has the turn. That one ends before the call takes the lock to
// queue. The call then takes the turn itself: nobody is left who would hand it over.
func TestTurnThatIsFreedBeforeQueueing(t *testing.T) {
	for _, d := range []loop.Direction{loop.Read, loop.Write} {
		r, peer := register(t, newLoop(t, loop.Options{}))
		first := &loop.Call{Timeout: loop.Forever}
		result := make(chan error, 1)
		for _, marked := range []bool{true, false} {
			ready, err := r.Begin(d, first)
			require.NoError(t, err)
			require.True(t, ready, "nothing is known yet, or the first call has left its mark")
			r.End(d, marked)
			go func() {
				ready, err := r.QueueUp(d, &loop.Call{Timeout: loop.Forever})
				if err == nil && ready != marked {
					err = unix.EINVAL
				}
				result <- err
			}()
			waitFor(t, func() bool { return len(result)+r.Waiters() > 0 })
			require.Zero(t, r.Waiters(), "it waits for a turn that is free")
			require.NoError(t, <-result)

			// It has the turn, and so the next one queues.
			_, err = r.Begin(d, &loop.Call{})
			require.ErrorIs(t, err, loop.ErrTimeout)
			r.End(d, true)
		}
		// It counts as one call. When it has ended, Close closes the descriptor.
		require.NoError(t, r.Close())
		n, err := unix.Read(peer, make([]byte, 1))
		require.NoError(t, err)
		require.Zero(t, n)
	}
}

// The registration closes before the call takes the lock to queue.
func TestCloseBeforeQueueing(t *testing.T) {
	r, peer := register(t, newLoop(t, loop.Options{}))
	_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = r.QueueUp(loop.Read, &loop.Call{Timeout: loop.Forever})
	require.ErrorIs(t, err, loop.ErrClosed)
	r.End(loop.Read, false)
	n, err := unix.Read(peer, make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n, "the last call has closed the descriptor")
}

// An error and a hang-up wake a writer, also when the kernel does not report room with
// them. A call that reads is woken by all that ends a stream.
func TestEndsWakeTheirDirections(t *testing.T) {
	for _, c := range []struct {
		event       poller.Readiness
		read, write bool
	}{
		{poller.HungUp, true, true},
		{poller.Failed, true, true},
		{poller.PeerClosed, true, false},
		{poller.Priority, true, false},
		{poller.Readable, true, false},
		{poller.Writable, false, true},
	} {
		for d, want := range map[loop.Direction]bool{loop.Read: c.read, loop.Write: c.write} {
			r, _ := register(t, newLoop(t, loop.Options{}))
			fill(t, r.FD())
			result := blocked(t, r, func() error { return waitOnce(r, d, &loop.Call{Timeout: loop.Forever}) })
			require.NoError(t, r.Loop().Post(func() { r.Arrive(c.event, 0) }))
			settle(t, r.Loop())
			if want {
				require.NoError(t, <-result)
				continue
			}
			require.Equal(t, 1, r.Waiters(), "%v wakes direction %v", c.event, d)
			require.NoError(t, r.Close())
			require.ErrorIs(t, <-result, loop.ErrClosed)
		}
	}
}

// A call that does not wait takes a turn that is free.
func TestCallThatDoesNotWaitTakesAFreeTurn(t *testing.T) {
	r, _ := register(t, newLoop(t, loop.Options{}))
	for _, d := range []loop.Direction{loop.Read, loop.Write} {
		ready, err := r.Begin(d, &loop.Call{Timeout: loop.NoWait})
		require.NoError(t, err)
		require.True(t, ready)
		r.End(d, false)
	}
}

// With Options.Crash, which lets a panic end the program, a task runs once, as without.
func TestCrashRunsTasksOnce(t *testing.T) {
	l := newLoop(t, loop.Options{Crash: true})
	ran := 0
	require.NoError(t, l.Post(func() { ran++ }))
	settle(t, l)
	require.NoError(t, l.Post(func() {}))
	settle(t, l)
	require.Equal(t, 1, ran)
}

// A panic that nobody has asked to be told of is logged.
func TestPanicIsLogged(t *testing.T) {
	var text bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	l := newLoop(t, loop.Options{})
	require.NoError(t, l.Post(func() { panic("on purpose") }))
	settle(t, l)
	require.NoError(t, l.Close())
	require.Contains(t, text.String(), "on purpose")
}
