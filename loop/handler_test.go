package loop

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A recorder is a Handler that records its calls.
type recorder struct {
	ready   func(poller.Readiness)
	expired chan time.Duration
	closed  chan struct{}
	reg     Handled
}

func newRecorder(ready func(poller.Readiness)) *recorder {
	return &recorder{ready: ready, expired: make(chan time.Duration, 16), closed: make(chan struct{}, 1)}
}

func (h *recorder) Ready(ev poller.Readiness) { h.ready(ev) }
func (h *recorder) Expire()                   { h.expired <- h.reg.Loop().Elapsed() }
func (h *recorder) Closed()                   { h.closed <- struct{}{} }

func (h *recorder) handler() *Handler {
	var handler Handler = h
	return &handler
}

func handlerPair(t *testing.T) (ours, theirs int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// onLoop runs f on the loop and waits for it.
func onLoop(t *testing.T, l *Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	require.NoError(t, l.Post(func() { f(); close(done) }))
	<-done
}

func handlerLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := New(Options{})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestHandlerIsToldOfEvents(t *testing.T) {
	l := handlerLoop(t)
	ours, theirs := handlerPair(t)
	events := make(chan poller.Readiness, 16)
	h := newRecorder(func(ev poller.Readiness) { events <- ev })
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	_, err := unix.Write(theirs, []byte("x"))
	require.NoError(t, err)
	require.NotZero(t, <-events&poller.Readable)

	require.NoError(t, h.reg.WatchWrite(true))
	require.NotZero(t, <-events&poller.Writable, "room that there is already is reported")

	require.NoError(t, unix.Shutdown(theirs, unix.SHUT_WR))
	require.NotZero(t, <-events&poller.PeerClosed)
	require.NoError(t, h.reg.Close())
}

func TestPokesAreCoalescedAndNoneIsLost(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	var calls, seen atomic.Int64
	var done sync.WaitGroup
	var made atomic.Int64
	h := newRecorder(func(ev poller.Readiness) {
		if ev == 0 {
			calls.Add(1)
			seen.Store(made.Load())
		}
	})
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	const each = 1000
	for range 4 {
		done.Add(1)
		go func() {
			defer done.Done()
			for range each {
				made.Add(1)
				h.reg.Poke()
			}
		}()
	}
	done.Wait()
	require.Eventually(t, func() bool { return seen.Load() == 4*each }, time.Minute, time.Millisecond,
		"a call follows the last poke")

	// Several pokes before the next turn cause one call.
	before := calls.Load()
	onLoop(t, l, func() {
		for range 100 {
			h.reg.Poke()
		}
	})
	require.Eventually(t, func() bool { return calls.Load() > before }, time.Minute, time.Millisecond)
	onLoop(t, l, func() {})
	require.Equal(t, before+1, calls.Load())
}

func TestPokesBeyondATurnAreKept(t *testing.T) {
	l, err := New(Options{Events: 2})
	require.NoError(t, err)
	defer l.Close()
	const n = 9
	var called sync.WaitGroup
	called.Add(n)
	var hs [n]*recorder
	for i := range hs {
		ours, _ := handlerPair(t)
		hs[i] = newRecorder(func(ev poller.Readiness) {
			if ev == 0 {
				called.Done()
			}
		})
		require.NoError(t, l.Handle(&hs[i].reg, ours, hs[i].handler()))
	}
	onLoop(t, l, func() {
		for _, h := range hs {
			h.reg.Poke()
		}
	})
	called.Wait()
}

func TestPokeByItselfGivesOthersTheirTurn(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	quit, stopped := make(chan struct{}), make(chan struct{})
	var h *recorder
	h = newRecorder(func(ev poller.Readiness) {
		select {
		case <-quit:
			if ev == 0 {
				close(stopped)
			}
		default:
			h.reg.Poke()
		}
	})
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	h.reg.Poke()
	for range 10 {
		onLoop(t, l, func() {}) // this task runs, although the handler always has work
	}
	close(quit)
	<-stopped
}

func TestHandlerThatWasClosedIsNotCalled(t *testing.T) {
	t.Run("events", func(t *testing.T) { testClosedIsNotCalled(t, false) })
	t.Run("pokes", func(t *testing.T) { testClosedIsNotCalled(t, true) })
}

func testClosedIsNotCalled(t *testing.T, poke bool) {
	l := handlerLoop(t)
	const n = 8
	var hs [n]*recorder
	var fds [n]int
	var calls atomic.Int64
	for i := range hs {
		ours, theirs := handlerPair(t)
		fds[i] = theirs
		hs[i] = newRecorder(func(poller.Readiness) {
			calls.Add(1)
			for _, h := range hs {
				_ = h.reg.Close()
			}
		})
		require.NoError(t, l.Handle(&hs[i].reg, ours, hs[i].handler()))
	}
	onLoop(t, l, func() { // so that all are in one batch of events
		for _, fd := range fds {
			_, _ = unix.Write(fd, []byte("x"))
		}
		for _, h := range hs {
			if poke {
				h.reg.Poke()
			}
		}
	})
	require.Eventually(t, func() bool { return calls.Load() > 0 }, time.Minute, time.Millisecond)
	onLoop(t, l, func() {})
	require.EqualValues(t, 1, calls.Load())
	require.Zero(t, l.Registered())
}

func TestExpireAtIsNeverEarlyAndCanBeMoved(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	h := newRecorder(func(poller.Readiness) {})
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	var at time.Duration
	onLoop(t, l, func() {
		h.reg.ExpireAt(l.Now() + time.Hour)
		at = l.Now() + 5*time.Millisecond
		h.reg.ExpireAt(at)
	})
	require.GreaterOrEqual(t, <-h.expired, at)
	onLoop(t, l, func() {
		h.reg.ExpireAt(l.Now() + 5*time.Millisecond)
		h.reg.ExpireAt(0)
		at = l.Now() + 10*time.Millisecond
	})
	after := make(chan struct{})
	_, err := l.AfterFunc(10*time.Millisecond, func() { close(after) })
	require.NoError(t, err)
	<-after
	require.Empty(t, h.expired, "zero takes it back")
}

// ExpireBy moves the time to an earlier one only.
func TestExpireBy(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	h := newRecorder(func(poller.Readiness) {})
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	for _, later := range []bool{true, false} {
		var at time.Duration
		onLoop(t, l, func() {
			at = l.Now() + 5*time.Millisecond
			if later {
				h.reg.ExpireBy(at)
				h.reg.ExpireBy(l.Now() + time.Hour)
				h.reg.ExpireBy(-1)
			} else {
				h.reg.ExpireBy(l.Now() + time.Hour)
				h.reg.ExpireBy(at)
			}
		})
		require.GreaterOrEqual(t, <-h.expired, at)
	}
	require.Zero(t, l.Timers())
}

func TestExpireAtOfAClosedRegistrationIsNothing(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	h := newRecorder(func(poller.Readiness) {})
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	onLoop(t, l, func() {
		h.reg.ExpireAt(l.Now() + time.Hour)
		_ = h.reg.Close()
	})
	require.Zero(t, l.Timers())
	onLoop(t, l, func() { h.reg.ExpireAt(l.Now() + time.Hour) })
	require.Zero(t, l.Timers())
}

// Each time that WatchWrite is turned on, the handler gets a report if there is room.
func TestWatchWriteAgain(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	events := make(chan poller.Readiness, 16)
	h := newRecorder(func(ev poller.Readiness) { events <- ev })
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	for range 3 {
		require.NoError(t, h.reg.WatchWrite(true))
		require.Equal(t, poller.Writable, <-events)
		require.NoError(t, h.reg.WatchWrite(false))
	}
}

// If the loop is closed while Handle is about to watch the descriptor, the loop closes
// the descriptor, and Handle returns no error.
func TestHandleOfWhatTheLoopHasClosed(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	h := newRecorder(func(poller.Readiness) {})
	h.reg.mu.Lock()
	handled := make(chan error)
	go func() { handled <- l.Handle(&h.reg, ours, h.handler()) }()
	for l.Registered() == 0 {
		runtime.Gosched()
	}
	h.reg.state.Or(stateClosed)
	h.reg.release()
	h.reg.withdraw(ErrLoopClosed)
	require.NoError(t, <-handled)
	_, err := unix.FcntlInt(uintptr(ours), unix.F_GETFD, 0)
	require.ErrorIs(t, err, unix.EBADF)
}

// Now returns the same time within a turn, and a later time in the next turn.
func TestNowIsOfTheTurn(t *testing.T) {
	l := handlerLoop(t)
	var now [2][2]time.Duration
	for i := range now {
		onLoop(t, l, func() {
			now[i][0] = l.Now()
			for l.Elapsed() <= now[i][0] {
			}
			now[i][1] = l.Now()
		})
	}
	require.Equal(t, now[0][0], now[0][1])
	require.Greater(t, now[1][0], now[0][0])
}

// A spawned goroutine keeps the loop from sleeping until it runs, not until it ends.
func TestSpawnedThatBlocks(t *testing.T) {
	l := handlerLoop(t)
	running, leave := make(chan struct{}), make(chan struct{})
	l.Spawn(runs(func() { close(running); <-leave }))
	<-running
	defer close(leave)
	require.Zero(t, l.Backlog())
}

// A registration that a closed loop has refused works with another loop.
func TestRegisterAfterAClosedLoop(t *testing.T) {
	gone := handlerLoop(t)
	require.NoError(t, gone.Close())
	ours, _ := handlerPair(t)
	var r Blocking
	require.ErrorIs(t, gone.Register(&r.Registration, ours, DropWritable), ErrLoopClosed)
	require.NoError(t, handlerLoop(t).Register(&r.Registration, ours, DropWritable))
}

// Now plus a very long time overflows and is negative. ExpireAt treats it as a time far
// in the future, and the loop sleeps.
func TestExpireAtBeyondTheClock(t *testing.T) {
	for _, at := range []time.Duration{-1, -time.Second, math.MinInt64, math.MaxInt64} {
		l := handlerLoop(t)
		ours, _ := handlerPair(t)
		h := newRecorder(func(poller.Readiness) {})
		require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
		onLoop(t, l, func() { h.reg.ExpireAt(at) })
		require.Greater(t, sleepsFor(l), century, "%d", at)
	}
}

const century = 100 * 365 * 24 * time.Hour

// sleepsFor returns how long the loop sleeps for its timers when it has nothing else to
// do.
func sleepsFor(l *Loop) time.Duration {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	when, _ := l.wheel.Bound()
	return time.Until(l.at(when))
}

// A postponer is a Handler whose Expire moves another handler's time.
type postponer struct {
	other   *Handled
	to      func(*Loop) time.Duration
	expired int
	reg     Handled
}

func (*postponer) Ready(poller.Readiness) {}
func (*postponer) Closed()                {}

func (h *postponer) Expire() {
	h.expired++
	h.other.ExpireAt(h.to(h.reg.Loop()))
}

// The times of two handlers end in the same turn. The Expire of the first moves the time
// of the second. Then the loop does not call the second.
func TestExpireAtMovedInTheTurnItWouldExpire(t *testing.T) {
	for name, to := range map[string]func(*Loop) time.Duration{
		"later": func(l *Loop) time.Duration { return l.Now() + time.Hour },
		"never": func(*Loop) time.Duration { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			l := handlerLoop(t)
			var hs [2]postponer
			for i := range hs {
				hs[i].to, hs[i].other = to, &hs[1-i].reg
				ours, _ := handlerPair(t)
				var h Handler = &hs[i]
				require.NoError(t, l.Handle(&hs[i].reg, ours, &h))
			}
			onLoop(t, l, func() {
				for i := range hs {
					hs[i].reg.ExpireAt(l.Now() + 1)
				}
			})
			after := make(chan struct{})
			_, err := l.AfterFunc(time.Millisecond, func() { close(after) })
			require.NoError(t, err)
			<-after
			onLoop(t, l, func() {}) // the turn has ended
			require.Equal(t, 1, hs[0].expired+hs[1].expired)
		})
	}
}

func TestReleaseGivesTheDescriptorBackOpen(t *testing.T) {
	l := handlerLoop(t)
	ours, theirs := handlerPair(t)
	h := newRecorder(func(poller.Readiness) {})
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	require.NoError(t, h.reg.Use())
	_, err := h.reg.Release()
	require.ErrorIs(t, err, unix.EBUSY)
	h.reg.Done()
	fd, err := h.reg.Release()
	require.NoError(t, err)
	require.Equal(t, ours, fd)
	require.Zero(t, l.Registered())
	_, err = h.reg.Release()
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, h.reg.Close(), ErrClosed)

	// The descriptor still works, and a program can register it again.
	h = newRecorder(func(poller.Readiness) {})
	require.NoError(t, l.Handle(&h.reg, fd, h.handler()))
	_, err = unix.Write(theirs, []byte("x"))
	require.NoError(t, err)
	var buf [1]byte
	n, err := unix.Read(fd, buf[:])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, h.reg.Close())
}

func TestReleaseOfACallInProgressIsRefused(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	var r Blocking
	require.NoError(t, l.Register(&r.Registration, ours, DropWritable))
	call := Call{Timeout: Forever}
	_, err := r.Begin(Read, &call)
	require.NoError(t, err)
	ended := make(chan error)
	go func() {
		var err error
		for err == nil { // a wake-up may come without data
			err = r.Wait(Read, &call)
		}
		r.End(Read, false)
		ended <- err
	}()
	_, err = r.Release()
	require.ErrorIs(t, err, unix.EBUSY)
	require.NoError(t, r.Close())
	require.ErrorIs(t, <-ended, ErrClosed)
}

func TestWaitOnAClosedRegistrationDoesNotWatchAgain(t *testing.T) {
	l, err := New(Options{})
	require.NoError(t, err)
	ours, _ := handlerPair(t)
	var r Blocking
	require.NoError(t, l.Register(&r.Registration, ours, DropWritable))
	call := Call{Timeout: Forever}
	_, err = r.Begin(Read, &call)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.ErrorIs(t, r.Wait(Read, &call), ErrClosed)
	require.Zero(t, r.interest)
	require.NoError(t, l.Close())
	require.ErrorIs(t, r.Wait(Read, &call), ErrClosed, "not the poller's error")
	r.End(Read, false)
}

func TestHandlerIsToldThatTheLoopWasClosed(t *testing.T) {
	l, err := New(Options{})
	require.NoError(t, err)
	ours, _ := handlerPair(t)
	h := newRecorder(func(poller.Readiness) {})
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	require.NoError(t, l.Close())
	<-h.closed
	require.ErrorIs(t, h.reg.WatchWrite(true), ErrLoopClosed)
	_, err = unix.FcntlInt(uintptr(ours), unix.F_GETFD, 0)
	require.ErrorIs(t, err, unix.EBADF)
}

func TestHandleRefusesWhatCannotBeWatched(t *testing.T) {
	l := handlerLoop(t)
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	h := newRecorder(func(poller.Readiness) {})
	require.ErrorIs(t, l.Handle(&h.reg, fd, h.handler()), unix.EPERM)
	require.Zero(t, l.Registered())
	require.NoError(t, unix.Close(fd), "it stays the caller's")
}

func TestBusyTellsOfATurnThatDoesNotEnd(t *testing.T) {
	l := handlerLoop(t)
	held, free := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-free }))
	<-held
	turn, busy := l.Busy()
	require.True(t, busy)
	again, busy := l.Busy()
	require.True(t, busy)
	require.Equal(t, turn, again)
	close(free)
	require.Eventually(t, func() bool { _, busy := l.Busy(); return !busy }, time.Minute, time.Millisecond)
}

// If its poller fails, a loop ends. It runs the posted tasks, because a program may wait
// for one.
func TestFailedLoopRunsWhatWasPosted(t *testing.T) {
	l, err := New(Options{})
	require.NoError(t, err)
	ran := false
	require.NoError(t, l.Post(func() {
		go l.poller.Close()
		for l.poller.Hasten(time.Time{}) == nil {
			runtime.Gosched()
		}
		if err := l.Post(func() { ran = true }); err != nil {
			t.Error(err)
		}
	}))
	<-l.done
	require.True(t, ran)
	require.ErrorIs(t, l.Post(func() {}), ErrLoopClosed)
}

// The loop does not keep what it has handed events to: it may be closed, and collected.
func TestNoRegistrationStaysInTheBatch(t *testing.T) {
	l := handlerLoop(t)
	ours, theirs := handlerPair(t)
	events := make(chan poller.Readiness, 16)
	h := newRecorder(func(ev poller.Readiness) { events <- ev })
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	_, err := unix.Write(theirs, []byte("x"))
	require.NoError(t, err)
	<-events
	onLoop(t, l, func() {
		for _, r := range l.batch {
			if r != nil {
				t.Error("it stays")
			}
		}
	})
}
