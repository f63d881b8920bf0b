package loop_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// stream returns the two ends of a non-blocking stream. The test gives the first to a
// registration, and closes the second.
func stream(t *testing.T) (mine, peer int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	return fds[0], fds[1]
}

// pair is stream for a test that needs few streams. It closes the second end at the end
// of the test.
func pair(t *testing.T) (mine, peer int) {
	mine, peer = stream(t)
	t.Cleanup(func() { unix.Close(peer) })
	return mine, peer
}

func register(t *testing.T, l *loop.Loop) (r *loop.Blocking, peer int) {
	fd, peer := pair(t)
	r = new(loop.Blocking)
	require.NoError(t, l.Register(&r.Registration, fd, loop.DropWritable))
	t.Cleanup(func() { r.Close() })
	return r, peer
}

// read is a blocking read that is made as packages make it over loop.
func read(r *loop.Blocking, buf []byte, c *loop.Call) (int, error) {
	ready, err := r.Begin(loop.Read, c)
	if err != nil {
		return 0, err
	}
	n := 0
	defer func() { r.End(loop.Read, n == len(buf) || r.Broken()) }()
	for {
		if ready {
			if n, err = unix.Read(r.FD(), buf); err != unix.EAGAIN {
				n = max(n, 0)
				return n, err
			}
			n = 0
		}
		if err := r.Wait(loop.Read, c); err != nil {
			return 0, err
		}
		ready = true
	}
}

// write is a blocking write of a message that the kernel takes as a whole.
func write(r *loop.Blocking, msg []byte, c *loop.Call) error {
	ready, err := r.Begin(loop.Write, c)
	if err != nil {
		return err
	}
	defer func() { r.End(loop.Write, err == nil) }()
	for {
		if ready {
			if _, err = unix.Write(r.FD(), msg); err != unix.EAGAIN {
				return err
			}
		}
		if err = r.Wait(loop.Write, c); err != nil {
			return err
		}
		ready = true
	}
}

// blocked starts f, waits until it is parked on r, and returns a channel for its
// result.
func blocked(t *testing.T, r *loop.Blocking, f func() error) chan error {
	before := r.Waiters()
	result := make(chan error, 1)
	go func() { result <- f() }()
	waitFor(t, func() bool { return r.Waiters() > before })
	return result
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
	}
}

func TestReadWaitsForData(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		r, peer := register(t, l)
		buf := make([]byte, 8)
		for range 3 {
			result := blocked(t, r, func() error { _, err := read(r, buf, &loop.Call{Timeout: loop.Forever}); return err })
			unix.Write(peer, []byte("hello"))
			require.NoError(t, <-result)
			require.Equal(t, "hello", string(buf[:5]))
		}
	})
}

func TestWaitTimesOutAndNeverEarly(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		r, _ := register(t, l)
		for _, d := range []time.Duration{1, 100 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 30 * time.Millisecond} {
			start := time.Now()
			_, err := read(r, make([]byte, 1), &loop.Call{Timeout: d})
			require.ErrorIs(t, err, loop.ErrTimeout)
			require.GreaterOrEqual(t, time.Since(start), d)
			require.Less(t, time.Since(start), d+30*time.Second)
		}
		start := time.Now()
		_, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.NoWait})
		require.ErrorIs(t, err, loop.ErrTimeout)
		require.Less(t, time.Since(start), 30*time.Second)
	})
}

// A later deadline does not move the timer. An earlier one does.
func TestDeadlinesOfFollowingWaits(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	for _, d := range []time.Duration{10, 60, 20, 40} {
		result := blocked(t, r, func() error {
			_, err := read(r, make([]byte, 1), &loop.Call{Timeout: d * time.Millisecond})
			return err
		})
		unix.Write(peer, []byte("x"))
		require.NoError(t, <-result)
		start := time.Now()
		_, err := read(r, make([]byte, 1), &loop.Call{Timeout: d * time.Millisecond})
		require.ErrorIs(t, err, loop.ErrTimeout)
		require.GreaterOrEqual(t, time.Since(start), d*time.Millisecond)
		require.Less(t, time.Since(start), d*time.Millisecond+30*time.Second)
	}
}

func TestCloseWakesAllWaiters(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		r, peer := register(t, l)
		fill(t, r.FD())
		var results []chan error
		for range 3 {
			results = append(results, blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err }))
			results = append(results, blocked(t, r, func() error { return waitOnce(r, loop.Write, &loop.Call{Timeout: time.Hour}) }))
		}
		require.NoError(t, r.Close())
		for _, c := range results {
			require.ErrorIs(t, <-c, loop.ErrClosed)
		}
		require.ErrorIs(t, r.Close(), loop.ErrClosed)
		require.ErrorIs(t, r.Use(), loop.ErrClosed)
		drain(peer)
		n, err := unix.Read(peer, make([]byte, 1))
		require.NoError(t, err)
		require.Zero(t, n, "the descriptor is closed: its peer reads the end")
		require.Zero(t, l.Registered())
	})
}

// CloseWait returns when the last call has ended and the descriptor is closed.
func TestCloseWaitReturnsWhenTheDescriptorIsClosed(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		r, peer := register(t, l)
		waiting := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
		require.NoError(t, r.Use())
		closed := make(chan error, 1)
		go func() { closed <- r.CloseWait() }()
		require.ErrorIs(t, <-waiting, loop.ErrClosed)
		require.ErrorIs(t, r.CloseWait(), loop.ErrClosed, "a second one does not wait")
		_, err := unix.Read(peer, make([]byte, 1))
		require.ErrorIs(t, err, unix.EAGAIN, "it is still open")
		select {
		case <-closed:
			t.Fatal("CloseWait has returned during a call")
		default:
		}
		r.Done()
		require.NoError(t, <-closed)
		n, err := unix.Read(peer, make([]byte, 1))
		require.NoError(t, err)
		require.Zero(t, n)

		idle, _ := register(t, l)
		require.NoError(t, idle.CloseWait())
		require.ErrorIs(t, idle.Close(), loop.ErrClosed)
	})
}

func TestLoopCloseWakesWaitersAndClosesDescriptors(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	result := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: time.Hour}); return err })
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-result, loop.ErrLoopClosed)
	n, err := unix.Read(peer, make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n)
	require.ErrorIs(t, r.Use(), loop.ErrLoopClosed)
}

// While a call uses a descriptor, no other file gets its number.
func TestDescriptorOutlivesCloseUntilTheLastCallEnds(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	require.NoError(t, r.Use())
	_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	fd := r.FD()
	require.NoError(t, r.Close())
	_, err = unix.Write(fd, []byte("still mine"))
	require.NoError(t, err)
	r.End(loop.Read, true)
	_, err = unix.Write(fd, []byte("!"))
	require.NoError(t, err)
	r.Done()
	buf := make([]byte, 32)
	n, err := unix.Read(peer, buf)
	require.NoError(t, err)
	require.Equal(t, "still mine!", string(buf[:n]))
	n, err = unix.Read(peer, buf)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestInterruptEndsWaitsAndNothingElse(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	require.Zero(t, r.Interrupt(), "nobody waits, and the next wait is not affected")
	buf := make([]byte, 1)
	first := blocked(t, r, func() error { _, err := read(r, buf, &loop.Call{Timeout: time.Hour}); return err })
	queued := blocked(t, r, func() error { _, err := read(r, buf, &loop.Call{Timeout: loop.Forever}); return err })
	require.Equal(t, 2, r.Interrupt())
	require.ErrorIs(t, <-first, loop.ErrInterrupted)
	require.ErrorIs(t, <-queued, loop.ErrInterrupted)
	unix.Write(peer, []byte("x"))
	_, err := read(r, buf, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
}

func TestContextEndsWait(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	why := errors.New("the user is gone")
	ctx, cancel := context.WithCancelCause(context.Background())
	first := blocked(t, r, func() error {
		_, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever, Context: ctx})
		return err
	})
	queued := blocked(t, r, func() error {
		_, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever, Context: ctx})
		return err
	})
	other := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
	cancel(why)
	require.ErrorIs(t, <-first, why)
	require.ErrorIs(t, <-queued, why)
	_, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever, Context: ctx})
	require.ErrorIs(t, err, why)
	unix.Write(peer, []byte("x"))
	require.NoError(t, <-other, "the turn went on to the call without a context")
}

// If the end of a stream comes together with its last data, no later edge follows. The
// read after a short one still finds the end.
func TestEndTogetherWithLastData(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	result := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
	unix.Write(peer, []byte("x"))
	require.NoError(t, <-result) // now the kernel watches the descriptor
	done := make(chan struct{})
	require.NoError(t, l.Post(func() {
		defer close(done)
		unix.Write(peer, []byte("last"))
		unix.Shutdown(peer, unix.SHUT_WR) // both happen before the loop takes in the events
	}))
	<-done
	waitFor(t, r.Broken)
	buf := make([]byte, 64)
	n, err := read(r, buf, &loop.Call{Timeout: time.Minute})
	require.NoError(t, err)
	require.Equal(t, "last", string(buf[:n]))
	n, err = read(r, buf, &loop.Call{Timeout: time.Minute})
	require.NoError(t, err, "the end, not a timeout")
	require.Zero(t, n)
}

// A stale event reaches neither the next registration in the same slot nor one with the
// same descriptor number.
func TestStaleEventsAreDropped(t *testing.T) {
	l := newLoop(t, loop.Options{})
	hold, held := make(chan struct{}), make(chan struct{})
	old, oldPeer := register(t, l)
	result := blocked(t, old, func() error { _, err := read(old, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
	require.NoError(t, l.Post(func() { close(held); <-hold }))
	<-held
	unix.Write(oldPeer, []byte("x")) // an event that the loop has not taken yet
	number := old.FD()
	dup, err := unix.Dup(number) // keeps the open file, and so its readiness, alive
	require.NoError(t, err)
	defer unix.Close(dup)
	require.NoError(t, old.Close())
	require.ErrorIs(t, <-result, loop.ErrClosed)
	fresh, freshPeer := register(t, l)
	waiting := blocked(t, fresh, func() error {
		_, err := fresh.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
		if err == nil {
			err = fresh.Wait(loop.Read, &loop.Call{Timeout: 50 * time.Millisecond})
			if err == nil { // the first may come from the mark of a new registration
				err = fresh.Wait(loop.Read, &loop.Call{Timeout: 50 * time.Millisecond})
			}
			fresh.End(loop.Read, true)
		}
		return err
	})
	close(hold)
	require.ErrorIs(t, <-waiting, loop.ErrTimeout, "the old event woke the new registration")
	unix.Write(freshPeer, []byte("y"))
	_, err = read(fresh, make([]byte, 1), &loop.Call{Timeout: time.Minute})
	require.NoError(t, err)
}

func TestPauseIsNotEndedByEvents(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	unix.Write(peer, []byte("x"))
	_, err := r.Begin(loop.Write, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	start := time.Now()
	require.NoError(t, r.Pause(loop.Write, &loop.Call{Timeout: loop.Forever}, 20*time.Millisecond))
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
	require.ErrorIs(t, r.Pause(loop.Write, &loop.Call{Timeout: 5 * time.Millisecond}, time.Hour), loop.ErrTimeout)
	require.ErrorIs(t, r.Pause(loop.Write, &loop.Call{Timeout: loop.NoWait}, time.Hour), loop.ErrTimeout)
	r.End(loop.Write, true)
}

func TestWaitAtMostIsEndedByEventsOrItsTime(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	start := time.Now()
	require.NoError(t, r.WaitAtMost(loop.Read, &loop.Call{Timeout: loop.Forever}, 20*time.Millisecond))
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
	require.ErrorIs(t, r.WaitAtMost(loop.Read, &loop.Call{Timeout: 5 * time.Millisecond}, time.Hour), loop.ErrTimeout)
	require.ErrorIs(t, r.WaitAtMost(loop.Read, &loop.Call{Timeout: loop.NoWait}, time.Hour), loop.ErrTimeout)
	unix.Write(peer, []byte("x"))
	require.NoError(t, r.WaitAtMost(loop.Read, &loop.Call{Timeout: loop.Forever}, time.Hour))
	r.End(loop.Read, true)
}

func TestAwait(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	call := &loop.Call{Timeout: time.Minute}
	_, err := r.Begin(loop.Write, call)
	require.NoError(t, err)
	x := 0
	require.NoError(t, r.Await(loop.Write, call, func(context.Context) { x = 1 }))
	require.Equal(t, 1, x)
	call.Timeout = loop.NoWait
	require.ErrorIs(t, r.Await(loop.Write, call, func(context.Context) { x = 2 }), loop.ErrTimeout)
	require.Equal(t, 1, x)
	r.End(loop.Write, true)

	ended := make(chan struct{})
	result := blocked(t, r, func() error {
		call := &loop.Call{Timeout: loop.Forever}
		if _, err := r.Begin(loop.Write, call); err != nil {
			return err
		}
		defer r.End(loop.Write, true)
		return r.Await(loop.Write, call, func(ctx context.Context) { <-ctx.Done(); close(ended) })
	})
	require.NoError(t, r.Close())
	require.ErrorIs(t, <-result, loop.ErrClosed)
	<-ended
}

// When no writer waits any more, the loop gets no events of writability, although the
// kernel reports every packet that leaves a unix socket.
func TestWritabilityThatNobodyWaitsForIsDropped(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	fill(t, r.FD())
	result := blocked(t, r, func() error { return waitOnce(r, loop.Write, &loop.Call{Timeout: loop.Forever}) })
	drain(peer)
	require.NoError(t, <-result)
	unix.Write(r.FD(), []byte("x"))
	drain(peer) // causes one more event, after which the loop ignores writability
	settle(t, l)
	waitFor(t, func() bool { return !r.WatchesWrite() })
	settle(t, l)
	before := l.Turns()
	for range 100 {
		unix.Write(r.FD(), []byte("x"))
		drain(peer)
	}
	settle(t, l)
	require.LessOrEqual(t, l.Turns(), before+3)
	fill(t, r.FD())
	result = blocked(t, r, func() error { return waitOnce(r, loop.Write, &loop.Call{Timeout: loop.Forever}) })
	drain(peer)
	require.NoError(t, <-result, "and listens again when one does")
}

// waitOnce treats the direction as not ready, and waits until it is ready.
func waitOnce(r *loop.Blocking, d loop.Direction, c *loop.Call) error {
	if _, err := r.Begin(d, c); err != nil {
		return err
	}
	defer r.End(d, false)
	return r.Wait(d, c)
}

func fill(t *testing.T, fd int) {
	buf := make([]byte, 1<<16)
	for {
		if _, err := unix.Write(fd, buf); err != nil {
			require.Equal(t, unix.EAGAIN, err)
			return
		}
	}
}

func drain(fd int) {
	buf := make([]byte, 1<<16)
	for {
		if n, err := unix.Read(fd, buf); n <= 0 || err != nil {
			return
		}
	}
}

// Readers, writers, interrupts and a close use many registrations at once. No wake-up is
// lost, and every wait ends at the close.
func TestStress(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		const conns, messages = 20, 300
		var wg sync.WaitGroup
		var got atomic.Int64
		for range conns {
			r, peer := register(t, l)
			other, err := unix.Dup(peer)
			require.NoError(t, err)
			p := new(loop.Blocking)
			require.NoError(t, l.Register(&p.Registration, other, loop.DropWritable))
			t.Cleanup(func() { p.Close() })
			for range 3 { // the readers take turns
				wg.Go(func() {
					buf := make([]byte, 3)
					for {
						n, err := read(r, buf, &loop.Call{Timeout: 5 * time.Millisecond})
						got.Add(int64(n))
						if errors.Is(err, loop.ErrLoopClosed) || err == nil && n == 0 {
							return
						}
						if err != nil && !errors.Is(err, loop.ErrTimeout) && !errors.Is(err, loop.ErrInterrupted) {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Go(func() {
				for i := range messages {
					if err := write(p, []byte("abcde"), &loop.Call{Timeout: loop.Forever}); err != nil {
						t.Error(err)
						return
					}
					if i%16 == 0 {
						r.Interrupt()
					}
				}
				waitFor(t, func() bool { return r.Waiters() == 3 || r.Waiters() == 0 })
			})
		}
		waitFor(t, func() bool { return got.Load() == conns*messages*5 })
		require.NoError(t, l.Close()) // closes each registration
		wg.Wait()
	})
}

func TestNoDescriptorLeaks(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(entries)
	}
	before := count()
	for range 20 {
		l, err := loop.New(loop.Options{})
		require.NoError(t, err)
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		r := new(loop.Blocking)
		require.NoError(t, l.Register(&r.Registration, fds[0], loop.KeepWritable))
		result := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
		require.NoError(t, l.Close())
		require.Error(t, <-result)
		unix.Close(fds[1])
	}
	require.Equal(t, before, count())
}

// With Options.Crash a panic in a task ends the program, as any panic would.
func TestCrashOption(t *testing.T) {
	if os.Getenv("WEIR_TEST_CRASH") != "" {
		l, _ := loop.New(loop.Options{Crash: true})
		l.Post(func() { panic("as loud as it gets") })
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestCrashOption$")
	cmd.Env = append(os.Environ(), "WEIR_TEST_CRASH=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "as loud as it gets")
}

// When the context is done, Await returns the context's cause, not the result of f.
func TestAwaitEndsByContext(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	why := errors.New("the user is gone")
	for range 200 {
		ctx, cancel := context.WithCancelCause(context.Background())
		left := make(chan struct{})
		result := blocked(t, r, func() error {
			return r.Await(loop.Write, &loop.Call{Timeout: loop.Forever, Context: ctx}, func(ctx context.Context) {
				<-ctx.Done()
				close(left)
			})
		})
		cancel(why)
		require.ErrorIs(t, <-result, why)
		<-left
	}
}

// If a call is interrupted between two waits, it does not wait again. It still gets data
// that is there, and the next call is not affected.
func TestInterruptBetweenWaits(t *testing.T) {
	l := newLoop(t, loop.Options{})
	waits := map[string]func(r *loop.Blocking, c *loop.Call) error{
		"wait":  func(r *loop.Blocking, c *loop.Call) error { return r.Wait(loop.Read, c) },
		"pause": func(r *loop.Blocking, c *loop.Call) error { return r.Pause(loop.Read, c, time.Hour) },
		"await": func(r *loop.Blocking, c *loop.Call) error {
			return r.Await(loop.Read, c, func(ctx context.Context) { <-ctx.Done() })
		},
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			r, peer := register(t, l)
			call := &loop.Call{Timeout: loop.Forever}
			begin := func() {
				_, err := r.Begin(loop.Read, call)
				require.NoError(t, err)
			}
			begin()
			queued := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
			require.Equal(t, 1, r.Interrupt())
			require.ErrorIs(t, <-queued, loop.ErrInterrupted)
			require.ErrorIs(t, wait(r, call), loop.ErrInterrupted)
			require.ErrorIs(t, wait(r, &loop.Call{Timeout: 1}), loop.ErrTimeout, "it is over with that")
			r.End(loop.Read, false)

			begin()
			require.Zero(t, r.Interrupt())
			r.End(loop.Read, false)
			next := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
			unix.Write(peer, []byte("x"))
			require.NoError(t, <-next, "it began after")

			begin()
			r.Interrupt()
			next = blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
			r.End(loop.Read, false)
			waitFor(t, func() bool { return r.Waiters() > 0 }) // the call has the turn, and found nothing
			unix.Write(peer, []byte("x"))
			require.NoError(t, <-next, "it was not interrupted, but the one before it")
		})
	}
}

// An event that another call waits for does not end Pause or Await either.
func TestEventsPassByPauseAndAwait(t *testing.T) {
	for name, wait := range map[string]func(r *loop.Blocking, c *loop.Call, leave chan struct{}) error{
		"pause": func(r *loop.Blocking, c *loop.Call, leave chan struct{}) error {
			return r.Pause(loop.Write, c, time.Hour)
		},
		"await": func(r *loop.Blocking, c *loop.Call, leave chan struct{}) error {
			return r.Await(loop.Write, c, func(context.Context) { <-leave })
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, peer := register(t, newLoop(t, loop.Options{}))
			leave := make(chan struct{})
			waiting := blocked(t, r, func() error {
				call := &loop.Call{Timeout: loop.Forever}
				if _, err := r.Begin(loop.Write, call); err != nil {
					return err
				}
				defer r.End(loop.Write, true)
				return wait(r, call, leave)
			})
			reading := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
			require.NoError(t, unix.Shutdown(peer, unix.SHUT_RDWR)) // wakes both directions
			require.NoError(t, <-reading)
			require.Equal(t, 1, r.Waiters())
			require.Empty(t, waiting)
			close(leave)
			r.Interrupt()
			<-waiting
		})
	}
}
