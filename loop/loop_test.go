package loop_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { machine.Main(m) }

// newLoop starts a loop that the test closes.
func newLoop(t *testing.T, opts loop.Options) *loop.Loop {
	l, err := loop.New(opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := l.Close(); !errors.Is(err, loop.ErrLoopClosed) {
			require.NoError(t, err)
		}
	})
	return l
}

// onBoth runs a test with each strategy.
func onBoth(t *testing.T, test func(t *testing.T, l *loop.Loop)) {
	for _, s := range []poller.Strategy{poller.Parked, poller.Blocking} {
		t.Run(s.String(), func(t *testing.T) { test(t, newLoop(t, loop.Options{Strategy: s})) })
	}
	t.Run("holding", func(t *testing.T) { test(t, newLoop(t, loop.Options{Hold: poller.HoldAlways})) })
	t.Run("locked", func(t *testing.T) {
		test(t, newLoop(t, loop.Options{Strategy: poller.Blocking, LockThread: true}))
	})
}

// settle waits until all tasks that were posted before have run.
func settle(t *testing.T, l *loop.Loop) {
	done := make(chan struct{})
	require.NoError(t, l.Post(func() { close(done) }))
	<-done
}

func TestTasksRunInOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		const count = 5000 // more than one turn runs
		var got []int
		done := make(chan struct{})
		for i := range count {
			require.NoError(t, l.Post(func() {
				got = append(got, i)
				if i == count-1 {
					close(done)
				}
			}))
		}
		<-done
		require.Len(t, got, count)
		for i, v := range got {
			require.Equal(t, i, v)
		}
	})
}

func TestTasksFromManyGoroutinesAreNotLost(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		var ran atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 500 {
					done := make(chan struct{})
					require.NoError(t, l.Post(func() { ran.Add(1); close(done) }))
					select {
					case <-done: // each Post wakes a loop that sleeps
					case <-time.After(time.Minute):
						t.Error("a task was lost")
						return
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 4000, ran.Load())
	})
}

func TestTaskMayPost(t *testing.T) {
	l := newLoop(t, loop.Options{})
	done := make(chan struct{})
	var again func(n int) func()
	again = func(n int) func() {
		return func() {
			if n == 0 {
				close(done)
				return
			}
			if err := l.Post(again(n - 1)); err != nil {
				t.Error(err)
			}
		}
	}
	require.NoError(t, l.Post(again(1000)))
	<-done
}

func TestTaskQueueIsBounded(t *testing.T) {
	l := newLoop(t, loop.Options{TaskQueue: 3})
	hold, held := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-hold }))
	<-held
	for range 3 {
		require.NoError(t, l.Post(func() {}))
	}
	require.ErrorIs(t, l.Post(func() {}), loop.ErrQueueFull)
	close(hold)
	require.Eventually(t, func() bool { return l.Post(func() {}) == nil }, time.Minute, time.Millisecond)
}

func TestPostUnboundedIsInOrderAndNotRefused(t *testing.T) {
	l := newLoop(t, loop.Options{TaskQueue: 1})
	hold, held := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-hold }))
	<-held
	var got []int
	require.NoError(t, l.Post(func() { got = append(got, 0) }))
	require.ErrorIs(t, l.Post(func() {}), loop.ErrQueueFull)
	for i := 1; i < 10; i++ {
		require.NoError(t, l.PostUnbounded(func() { got = append(got, i) }))
	}
	require.ErrorIs(t, l.Post(func() {}), loop.ErrQueueFull)
	require.ErrorContains(t, l.PostUnbounded(nil), "task is nil")
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	require.Eventually(t, func() bool { return errors.Is(l.Post(func() {}), loop.ErrLoopClosed) }, time.Minute, time.Millisecond)
	require.ErrorIs(t, l.PostUnbounded(func() {}), loop.ErrLoopClosed)
	close(hold)
	require.NoError(t, <-closed)
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, got)
}

// The bound also counts the tasks that a turn has left for the next one.
func TestTaskQueueIsBoundedOverTurns(t *testing.T) {
	l := newLoop(t, loop.Options{TaskQueue: 3, Tasks: 1})
	hold, held := make(chan struct{}), make(chan struct{}, 9)
	defer close(hold)
	task := func() { held <- struct{}{}; <-hold }
	require.NoError(t, l.Post(task))
	<-held
	for range 3 {
		require.NoError(t, l.Post(task))
	}
	hold <- struct{}{}
	<-held // one of the three runs
	require.NoError(t, l.Post(func() {}))
	require.ErrorIs(t, l.Post(func() {}), loop.ErrQueueFull)
	hold <- struct{}{}
	<-held
	require.NoError(t, l.Post(func() {}))
	require.ErrorIs(t, l.Post(func() {}), loop.ErrQueueFull)
}

// The processor time that a loop takes shows whether it polls.
func TestBusyPoll(t *testing.T) {
	l, err := loop.New(loop.Options{BusyPoll: time.Minute, Hold: poller.HoldAlways})
	require.NoError(t, err)
	used := func() time.Duration {
		var u unix.Rusage
		require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	require.Eventually(t, func() bool {
		start, before := time.Now(), used()
		time.Sleep(20 * time.Millisecond)
		return used()-before > time.Since(start)/2
	}, time.Minute, time.Millisecond)
	require.NoError(t, l.Close(), "which does not wait for the minute")
}

func TestIdleLoopDoesNotWakeUp(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		settle(t, l)
		// A timer that was stopped may cost one wake-up, and no more.
		timer, err := l.AfterFunc(10*time.Millisecond, func() { t.Error("it was stopped") })
		require.NoError(t, err)
		require.True(t, timer.Stop())
		later := make(chan struct{})
		_, err = l.AfterFunc(20*time.Millisecond, func() { close(later) })
		require.NoError(t, err)
		<-later // a loop that is slow on a busy machine has had that wake-up, too
		var before uint64
		require.Eventually(t, func() bool {
			was := before
			before = l.Turns()
			return was == before
		}, time.Minute, 200*time.Millisecond)
		time.Sleep(time.Second) // the test measures this time; it does not synchronise by it
		require.Equal(t, before, l.Turns(), "an idle loop woke up")
	})
}

func TestAfterFuncIsNeverEarly(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		var wg sync.WaitGroup
		for _, d := range []time.Duration{-time.Second, 0, 1, time.Millisecond, 1500 * time.Microsecond, 20 * time.Millisecond, 70 * time.Millisecond} {
			wg.Add(1)
			start := time.Now()
			_, err := l.AfterFunc(d, func() {
				defer wg.Done()
				if took := time.Since(start); took < d || took > d+30*time.Second {
					t.Errorf("%v took %v", d, took)
				}
			})
			require.NoError(t, err)
		}
		wg.Wait()
	})
}

// A timer that is due before the end of the sleep shortens the sleep.
func TestEarlierTimerEndsSleep(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		late, err := l.AfterFunc(time.Hour, func() {})
		require.NoError(t, err)
		settle(t, l)
		fired := make(chan struct{})
		_, err = l.AfterFunc(5*time.Millisecond, func() { close(fired) })
		require.NoError(t, err)
		select {
		case <-fired:
		case <-time.After(time.Minute):
			t.Fatal("the loop overslept")
		}
		require.True(t, late.Stop())
	})
}

func TestTimerStopAndReset(t *testing.T) {
	l := newLoop(t, loop.Options{})
	fired := make(chan time.Time, 10)
	start := time.Now()
	timer, err := l.AfterFunc(time.Hour, func() { fired <- time.Now() })
	require.NoError(t, err)
	require.True(t, timer.Reset(10*time.Millisecond))
	require.GreaterOrEqual(t, (<-fired).Sub(start), 10*time.Millisecond)
	require.False(t, timer.Stop())
	require.False(t, timer.Reset(1<<62), "it had fired")
	require.True(t, timer.Stop())
	require.False(t, timer.Stop())
	require.Empty(t, fired)
}

// A burst of timers with the same deadline does not hold tasks up: both make progress
// in each turn.
func TestExpiriesAreBudgeted(t *testing.T) {
	l := newLoop(t, loop.Options{Expiries: 10, Strategy: poller.Blocking})
	const count = 1000
	var fired atomic.Int64
	between := make(chan int64, 1)
	hold, held := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-hold }))
	<-held
	var wg sync.WaitGroup
	wg.Add(count)
	for range count {
		_, err := l.AfterFunc(time.Millisecond, func() {
			if fired.Add(1) == 1 {
				l.Post(func() { between <- fired.Load() })
			}
			wg.Done()
		})
		require.NoError(t, err)
	}
	time.Sleep(2 * time.Millisecond) // now all timers are due
	close(hold)
	require.LessOrEqual(t, <-between, int64(20), "timers that a turn fires before tasks get theirs")
	wg.Wait()
}

// runtime.Goexit in a task ends the loop: the loop logs that, and still calls the tasks
// that were posted.
func TestGoexitEndsTheLoop(t *testing.T) {
	l := newLoop(t, loop.Options{})
	var r loop.Blocking
	mine, _ := pair(t)
	require.NoError(t, l.Register(&r.Registration, mine, loop.DropWritable))
	waiting := make(chan error, 1)
	go func() {
		c := loop.Call{Timeout: loop.Forever}
		_, err := r.Begin(loop.Read, &c)
		if err == nil {
			err = r.Wait(loop.Read, &c)
			r.End(loop.Read, false)
		}
		waiting <- err
	}()
	ran := make(chan int, 2)
	hold, held := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-hold }))
	<-held
	require.NoError(t, l.Post(func() {
		if err := l.Post(func() { ran <- 2 }); err != nil {
			t.Error(err)
		}
		runtime.Goexit()
	}))
	require.NoError(t, l.Post(func() { ran <- 1 }))
	close(hold)
	require.Equal(t, 1, <-ran)
	require.Equal(t, 2, <-ran)
	require.ErrorIs(t, <-waiting, loop.ErrLoopClosed)
	require.ErrorContains(t, l.Close(), "Goexit")
}

func TestPanicIsReportedAndTheLoopGoesOn(t *testing.T) {
	var reported atomic.Value
	l := newLoop(t, loop.Options{PanicReport: func(v any, stack []byte) {
		reported.Store(v)
		if len(stack) == 0 {
			t.Error("no stack")
		}
	}})
	require.NoError(t, l.Post(func() { panic("task") }))
	settle(t, l)
	require.Equal(t, "task", reported.Load())
	fired := make(chan struct{})
	_, err := l.AfterFunc(0, func() { defer close(fired); panic("timer") })
	require.NoError(t, err)
	<-fired
	settle(t, l)
	require.Equal(t, "timer", reported.Load())
	require.EqualValues(t, 2, l.Panics())
}

func TestCloseRunsWhatWasPosted(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		var ran atomic.Int64
		hold, held := make(chan struct{}), make(chan struct{})
		require.NoError(t, l.Post(func() { close(held); <-hold }))
		<-held
		for range 3000 {
			require.NoError(t, l.Post(func() { ran.Add(1) }))
		}
		closed := make(chan error)
		go func() { closed <- l.Close() }()
		require.Eventually(t, func() bool { return errors.Is(l.Post(func() {}), loop.ErrLoopClosed) }, time.Minute, time.Millisecond)
		close(hold)
		require.NoError(t, <-closed)
		require.EqualValues(t, 3000, ran.Load())

		require.ErrorIs(t, l.Close(), loop.ErrLoopClosed)
		_, err := l.AfterFunc(time.Second, func() {})
		require.ErrorIs(t, err, loop.ErrLoopClosed)
		require.ErrorIs(t, l.Register(new(loop.Registration), 0, loop.KeepWritable), loop.ErrLoopClosed)
	})
}

// Close runs all tasks that were posted before: those of the turn, those left for the
// next one, and those that were posted while the turn ran.
func TestCloseRunsWhatWasPostedInBetween(t *testing.T) {
	l := newLoop(t, loop.Options{Tasks: 2})
	var ran atomic.Int64
	hold, held := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-hold }))
	<-held
	count := func() { ran.Add(1) }
	again, waiting := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(waiting); <-again }))
	for range 5 {
		require.NoError(t, l.Post(count))
	}
	close(hold)
	<-waiting // the queue no longer has the others, which exceed this turn's budget
	for range 5 {
		require.NoError(t, l.Post(count))
	}
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	require.Eventually(t, func() bool { return errors.Is(l.Post(func() {}), loop.ErrLoopClosed) }, time.Minute, time.Millisecond)
	close(again)
	require.NoError(t, <-closed)
	require.EqualValues(t, 10, ran.Load())
}

func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		opts loop.Options
		want string
	}{
		{loop.Options{Events: -1}, "loop: Options.Events is -1"},
		{loop.Options{Expiries: -1}, "Options.Expiries is -1"},
		{loop.Options{Tasks: -2}, "Options.Tasks is -2"},
		{loop.Options{TaskQueue: -1}, "Options.TaskQueue is -1"},
		{loop.Options{Strategy: 77}, "unknown strategy 77"},
		{loop.Options{Strategy: -1}, "unknown strategy -1"},
	} {
		_, err := loop.New(c.opts)
		require.ErrorContains(t, err, c.want)
	}
	l := newLoop(t, loop.Options{})
	require.ErrorContains(t, l.Post(nil), "task is nil")
	_, err := l.AfterFunc(0, nil)
	require.ErrorContains(t, err, "function is nil")
	require.ErrorContains(t, l.Register(new(loop.Registration), -1, loop.KeepWritable), "descriptor -1")
	r, _ := register(t, l)
	require.ErrorContains(t, l.Register(&r.Registration, 0, loop.KeepWritable), "in use")
}
