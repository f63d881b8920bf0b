package loop

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/stretchr/testify/require"
)

func TestGateSleepsUntilAnyTime(t *testing.T) {
	l := handlerLoop(t)
	g := NewGate()
	for _, past := range []time.Duration{0, time.Hour, math.MaxInt64} { // also a time before the loop's start
		g.Arm()
		require.NoError(t, g.Sleep(l, time.Now().Add(-past)))
		require.Same(t, l, g.host.Load(), "whose timer wakes the gate")
	}
	g.Arm()
	ended := make(chan error)
	go func() { ended <- g.Sleep(l, time.Now().Add(math.MaxInt64)) }()
	for l.Timers() == 0 {
		runtime.Gosched()
	}
	require.Greater(t, sleepsFor(l), century)
	g.Wake(nil)
	require.NoError(t, <-ended)
}

// A gate whose loop is closed is open. A Wake has no effect on the next Sleep.
func TestGateIsOpenAfterItsLoopWasClosed(t *testing.T) {
	l := handlerLoop(t)
	g := NewGate()
	g.Arm()
	require.NoError(t, l.Close())
	require.ErrorIs(t, g.Sleep(l, time.Time{}), ErrLoopClosed)
	g.Wake(nil)
	require.False(t, g.woken())
}

// Of two simultaneous calls of Wake one has an effect. If Interrupt has woken a
// goroutine, Sleep returns that.
func TestGateIsWokenOnce(t *testing.T) {
	g := NewGate()
	const rounds = 20_000
	var begun, ended atomic.Int32
	go func() {
		for i := range int32(rounds) {
			Until(func() bool { return begun.Load() > i })
			g.Interrupt()
			ended.Add(1)
		}
	}()
	for i, start := int32(0), time.Now(); i < rounds && time.Since(start) < MeetingTime; i++ {
		g.Arm()
		begun.Add(1)
		told := true
		if i%2 == 0 {
			for range i % 128 { // so that the two meet in all orders
				begun.Load()
			}
			g.Wake(nil)
		} else {
			Until(g.woken)
			told = g.Interrupted()
		}
		Until(func() bool { return ended.Load() > i })
		require.True(t, told)
		g.Disarm()
		require.False(t, g.woken())
		g.Interrupted()
	}
	begun.Store(rounds) // this ends the other
	Until(func() bool { return ended.Load() == rounds })
}

// Sleep returns when its time has come, never early, or after a Wake. It leaves no timer.
// A goroutine that the loop has woken is in the backlog until it runs.
func TestGateSleeps(t *testing.T) {
	l := handlerLoop(t)
	g := NewGate()
	for _, d := range []time.Duration{time.Nanosecond, 3 * time.Millisecond} {
		g.Arm()
		began := time.Now()
		require.NoError(t, g.Sleep(l, began.Add(d)))
		require.GreaterOrEqual(t, time.Since(began), d)
		Until(func() bool { return l.Backlog() == 0 })
	}
	for _, end := range []func() error{
		func() error { return g.Sleep(l, time.Now().Add(time.Hour)) },
		func() error { g.Disarm(); return nil },
	} {
		g.Arm()
		g.Wake(l)
		require.Equal(t, 1, l.Backlog())
		g.Wake(l)
		require.Equal(t, 1, l.Backlog(), "it is woken already")
		require.NoError(t, end())
		require.Zero(t, l.Backlog())
		require.Zero(t, l.Timers())
	}
}

// An earlier use of a gate has no effect on the next one.
func TestGateIsReused(t *testing.T) {
	g := NewGate()
	for range 3 {
		g.Wake(nil) // no goroutine has armed it
		g.Arm()
		g.Wake(nil)
		g.Wake(nil)
		g.Disarm()
		g.Arm()
		g.Disarm()
	}
	l := handlerLoop(t)
	g.Arm()
	g.Interrupt()
	require.NoError(t, g.Sleep(l, time.Time{}))
	require.True(t, g.Interrupted())
	require.False(t, g.Interrupted())
	g.Arm()
	require.NoError(t, l.Close())
	require.ErrorIs(t, g.Sleep(l, time.Time{}), ErrLoopClosed)
}

// Closing the loop wakes every goroutine that sleeps in a gate of the loop, with or
// without a time. It does not affect the gates of other loops.
func TestGatesOpenWhenTheLoopIsClosed(t *testing.T) {
	l, other := handlerLoop(t), handlerLoop(t)
	const sleepers = 10
	ended := make(chan error)
	for i := range sleepers {
		go func() {
			g := NewGate()
			g.Arm()
			var until time.Time
			if i%2 == 0 {
				until = time.Now().Add(time.Hour)
			}
			ended <- g.Sleep(l, until)
		}()
	}
	stays := NewGate()
	stays.Arm()
	left := make(chan error)
	go func() { left <- stays.Sleep(other, time.Time{}) }()
	Until(func() bool { return l.Gates() == sleepers && other.Gates() == 1 })
	require.NoError(t, l.Close())
	for range sleepers {
		require.ErrorIs(t, <-ended, ErrLoopClosed)
	}
	require.Zero(t, l.Gates())
	require.False(t, stays.woken())
	stays.Wake(nil)
	require.NoError(t, <-left)
	require.Zero(t, other.Gates())
}

// A gate that goes from a real loop to a simulated one, or back, is changed while the last
// Wake may not have returned: the race detector sees what both use.
func TestGateAdaptsWhileWakeReturns(t *testing.T) {
	real, simulated := handlerLoop(t), &Loop{options: Options{Kernel: struct{ sys.Kernel }{}}}
	g := NewGate()
	var wakes sync.WaitGroup
	for i := range 100 {
		g.Adapt([]*Loop{real, simulated}[i%2])
		g.Arm()
		wakes.Go(func() { g.Wake(nil) })
		require.NoError(t, g.Sleep(real, time.Time{}))
	}
	wakes.Wait()
}
