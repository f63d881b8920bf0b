package loop

import (
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGateSleepsUntilAnyTime(t *testing.T) {
	l := handlerLoop(t)
	g := NewGate()
	for _, past := range []time.Duration{0, time.Hour, math.MaxInt64} { // before the loop's start, too
		g.Arm()
		require.NoError(t, g.Sleep(l, time.Now().Add(-past)))
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

// A gate whose loop was closed is open: nobody wakes who does not sleep.
func TestGateIsOpenAfterItsLoopWasClosed(t *testing.T) {
	l := handlerLoop(t)
	g := NewGate()
	g.Arm()
	require.NoError(t, l.Close())
	require.ErrorIs(t, g.Sleep(l, time.Time{}), ErrLoopClosed)
	g.Wake(nil)
	require.Empty(t, g.token)
}

// Of two who wake at once only one does; and who was interrupted knows it.
func TestGateIsWokenOnce(t *testing.T) {
	g := NewGate()
	g.token = make(chan struct{}, 2) // a second one does not block
	const rounds = 20_000
	var begun, ended atomic.Int32
	go func() {
		for i := range int32(rounds) {
			Until(func() bool { return begun.Load() > i })
			g.Interrupt()
			ended.Add(1)
		}
	}()
	for i := range int32(rounds) {
		g.Arm()
		begun.Add(1)
		told := true
		if i%2 == 0 {
			for range i % 128 { // so that they meet in all ways
				begun.Load()
			}
			g.Wake(nil)
		} else {
			Until(func() bool { return len(g.token) > 0 })
			told = g.Interrupted()
		}
		Until(func() bool { return ended.Load() > i })
		require.True(t, told)
		g.Disarm()
		require.Empty(t, g.token)
		g.Interrupted()
	}
}
