package loop_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var longAgo = time.Unix(1, 0)

// readCall returns a function that reads one byte, without a timeout.
func readCall(r *loop.Blocking) func() error {
	return func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err }
}

// soon returns a result that must come within a moment.
func soon[T any](t *testing.T, result chan T) (got T) {
	t.Helper()
	select {
	case got = <-result:
	case <-time.After(time.Minute):
		require.Fail(t, "the call does not return")
	}
	return got
}

func TestPastDeadlineFailsReadyCallsAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		r, peer := register(t, l)
		unix.Write(peer, []byte("x"))
		for _, past := range []time.Time{longAgo, time.Now(), time.Now().Add(-time.Hour), time.Now().Round(0)} {
			require.NoError(t, r.SetDeadline(loop.Read, past))
			require.ErrorIs(t, readCall(r)(), loop.ErrTimeout)
			require.NoError(t, write(r, []byte("y"), &loop.Call{Timeout: loop.Forever}), "the other direction")
		}
		require.NoError(t, r.SetDeadline(loop.Read, time.Time{}))
		require.NoError(t, readCall(r)())
	})
}

// The deadline was in the future when it was set, and has passed when a call begins.
func TestDeadlineThatNobodyWaitedFor(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	unix.Write(peer, []byte("x"))
	end := time.Now().Add(time.Millisecond)
	require.NoError(t, r.SetDeadline(loop.Read, end))
	waitFor(t, func() bool { return time.Now().After(end) })
	require.ErrorIs(t, readCall(r)(), loop.ErrTimeout)
}

func TestDeadlineEndsWaitsAndIsNeverEarly(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		r, _ := register(t, l)
		for _, d := range []time.Duration{100 * time.Microsecond, time.Millisecond, 20 * time.Millisecond} {
			for _, clock := range []func(time.Time) time.Time{
				func(t time.Time) time.Time { return t },
				func(t time.Time) time.Time { return t.Round(0) }, // no monotonic reading
			} {
				end := time.Now().Add(d)
				require.NoError(t, r.SetDeadline(loop.Read, clock(end)))
				require.ErrorIs(t, readCall(r)(), loop.ErrTimeout)
				late := time.Since(end)
				require.GreaterOrEqual(t, late, time.Duration(0))
				require.Less(t, late, 30*time.Second)
			}
		}
	})
}

// A deadline that is set while calls wait ends both the call that waits for data and the
// calls that wait for the turn.
func TestDeadlineMovedUnderBlockedCalls(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		for _, c := range []struct {
			name   string
			before time.Duration // 0 if there is none
			after  time.Duration
		}{
			{"none to past", 0, -time.Hour},
			{"none to future", 0, 20 * time.Millisecond},
			{"far to past", time.Hour, -time.Hour},
			{"far to near", time.Hour, 20 * time.Millisecond},
			{"near to later", 300 * time.Millisecond, 350 * time.Millisecond}, // the calls must begin before the first
		} {
			t.Run(c.name, func(t *testing.T) {
				r, peer := register(t, l)
				if c.before != 0 {
					require.NoError(t, r.SetDeadline(loop.Read, time.Now().Add(c.before)))
				}
				var results []chan error
				for range 3 {
					results = append(results, blocked(t, r, readCall(r)))
				}
				end := time.Now().Add(c.after)
				require.NoError(t, r.SetDeadline(loop.Read, end))
				for _, result := range results {
					require.ErrorIs(t, soon(t, result), loop.ErrTimeout)
				}
				require.False(t, time.Now().Before(end))
				require.NoError(t, r.SetDeadline(loop.Read, time.Time{}))
				unix.Write(peer, []byte("x"))
				require.NoError(t, readCall(r)(), "the turn is free")
			})
		}
	})
}

func TestDeadlineClearedUnderBlockedCall(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	end := time.Now().Add(30 * time.Millisecond)
	require.NoError(t, r.SetDeadline(loop.Read, end))
	result := blocked(t, r, readCall(r))
	require.NoError(t, r.SetDeadline(loop.Read, time.Time{}))
	other, _ := register(t, l)
	require.NoError(t, other.SetDeadline(loop.Read, end.Add(10*time.Millisecond)))
	require.ErrorIs(t, readCall(other)(), loop.ErrTimeout) // the time has passed on the same loop
	require.Equal(t, 1, r.Waiters())
	unix.Write(peer, []byte("x"))
	require.NoError(t, soon(t, result))
}

func TestDeadlineOfOneDirection(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	reader := blocked(t, r, readCall(r))
	_, err := r.Begin(loop.Write, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	require.NoError(t, r.SetDeadline(loop.Write, longAgo))
	r.End(loop.Write, true)
	require.ErrorIs(t, write(r, []byte("x"), &loop.Call{Timeout: loop.Forever}), loop.ErrTimeout)
	require.Equal(t, 1, r.Waiters())
	unix.Write(peer, []byte("x"))
	require.NoError(t, soon(t, reader))
}

// A deadline may change while the call that has the turn does not wait.
func TestDeadlineSetUnderQueue(t *testing.T) {
	r, _ := register(t, newLoop(t, loop.Options{}))
	_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	defer r.End(loop.Read, false)
	queued := blocked(t, r, readCall(r))
	require.NoError(t, r.SetDeadline(loop.Read, time.Now().Add(time.Millisecond)))
	require.ErrorIs(t, soon(t, queued), loop.ErrTimeout)
}

// A call that waits for the turn times out although the call that has it does not wait.
func TestDeadlineOfCallThatQueues(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	defer r.End(loop.Read, false)
	end := time.Now().Add(20 * time.Millisecond)
	require.NoError(t, r.SetDeadline(loop.Read, end))
	result := make(chan error, 1)
	go func() { result <- readCall(r)() }()
	require.ErrorIs(t, soon(t, result), loop.ErrTimeout)
	require.False(t, time.Now().Before(end))
}

// The earlier of the call's deadline and the direction's ends the call.
func TestDeadlineBesideTimeout(t *testing.T) {
	l := newLoop(t, loop.Options{})
	for _, c := range []struct{ timeout, deadline time.Duration }{
		{20 * time.Millisecond, time.Hour},
		{time.Hour, 20 * time.Millisecond},
	} {
		r, _ := register(t, l)
		start := time.Now()
		require.NoError(t, r.SetDeadline(loop.Read, start.Add(c.deadline)))
		_, err := read(r, make([]byte, 1), &loop.Call{Timeout: c.timeout})
		require.ErrorIs(t, err, loop.ErrTimeout)
		require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
		require.Less(t, time.Since(start), 30*time.Second)
	}
}

// The deadline ends every kind of wait, and each returns ErrTimeout.
func TestDeadlineEndsEveryKindOfWait(t *testing.T) {
	l := newLoop(t, loop.Options{})
	for name, wait := range map[string]func(*loop.Blocking, *loop.Call) error{
		"Pause":      func(r *loop.Blocking, c *loop.Call) error { return r.Pause(loop.Read, c, time.Hour) },
		"WaitAtMost": func(r *loop.Blocking, c *loop.Call) error { return r.WaitAtMost(loop.Read, c, time.Hour) },
		"Await":      func(r *loop.Blocking, c *loop.Call) error { return r.Await(loop.Read, c, untilDone) },
		"Wait":       func(r *loop.Blocking, c *loop.Call) error { return r.Wait(loop.Read, c) },
		"with context": func(r *loop.Blocking, c *loop.Call) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			c.Context = ctx
			return r.Wait(loop.Read, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := register(t, l)
			call := &loop.Call{Timeout: loop.Forever}
			_, err := r.Begin(loop.Read, call)
			require.NoError(t, err)
			defer r.End(loop.Read, false)
			_ = r.WaitAtMost(loop.Read, call, 1) // uses up the first readiness

			again := blocked(t, r, func() error { return wait(r, call) })
			require.NoError(t, r.SetDeadline(loop.Read, longAgo))
			require.ErrorIs(t, soon(t, again), loop.ErrTimeout)
			require.ErrorIs(t, wait(r, call), loop.ErrTimeout, "passed before the wait")

			require.NoError(t, r.SetDeadline(loop.Read, time.Now().Add(5*time.Millisecond)))
			require.ErrorIs(t, wait(r, call), loop.ErrTimeout, "passed during the wait")
		})
	}
}

func untilDone(ctx context.Context) { <-ctx.Done() }

func TestDeadlineOfClosedRegistration(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	require.NoError(t, r.SetDeadline(loop.Read, longAgo))
	require.NoError(t, r.Close())
	require.ErrorIs(t, r.SetDeadline(loop.Read, time.Time{}), loop.ErrClosed)
	require.ErrorIs(t, readCall(r)(), loop.ErrClosed, "that it is closed goes before")
}

// One goroutine moves the deadline again and again while others read: the last
// deadline ends all blocked calls.
func TestDeadlineMovedWhileCallsComeAndGo(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		r, peer := register(t, l)
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_ = readCall(r)()
					}
				}
			})
		}
		for i := range 2000 {
			switch rand.IntN(4) {
			case 0:
				require.NoError(t, r.SetDeadline(loop.Read, time.Time{}))
			case 1:
				require.NoError(t, r.SetDeadline(loop.Read, time.Now().Add(rand.N(200*time.Microsecond))))
			case 2:
				require.NoError(t, r.SetDeadline(loop.Read, time.Now().Add(time.Hour)))
			case 3:
				unix.Write(peer, []byte("x"))
			}
			if i%100 == 0 {
				require.NoError(t, r.SetDeadline(loop.Read, longAgo))
				waitFor(t, func() bool { return r.Waiters() == 0 })
			}
		}
		close(stop)
		require.NoError(t, r.SetDeadline(loop.Read, longAgo))
		readers.Wait()
	})
}

// A closed registration returns ErrClosed, even if a context or a deadline has ended the
// call, too.
func TestClosedGoesBeforeCancelled(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	call := &loop.Call{Timeout: loop.Forever, Context: ctx}
	_, err := r.Begin(loop.Read, call)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
	_, err = r.Begin(loop.Read, call)
	require.ErrorIs(t, err, loop.ErrClosed)
}
