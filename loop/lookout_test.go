package loop

import (
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A loop whose handlers compute wakes a loop that sleeps over an event.
func TestComputingLoopWakesASleepingOne(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	busy, sleeper := handlerLoop(t), handlerLoop(t)

	ours, theirs := handlerPair(t)
	came := make(chan struct{}, 1)
	sleeps := newRecorder(func(ev poller.Readiness) {
		if ev != 0 {
			unix.Read(ours, make([]byte, 8))
			came <- struct{}{}
		}
	})
	require.NoError(t, sleeper.Handle(&sleeps.reg, ours, sleeps.handler()))

	fd, peer := handlerPair(t)
	computed := make(chan struct{}, 1)
	computes := newRecorder(func(ev poller.Readiness) {
		unix.Read(fd, make([]byte, 8))
		unix.Write(theirs, []byte("x"))
		for start := time.Now(); time.Since(start) < 2*lookEvery; {
		}
		computed <- struct{}{}
	})
	require.NoError(t, busy.Handle(&computes.reg, fd, computes.handler()))

	// The other P is busy, too. So the sleeping loop does not run before the look.
	over := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	for end := time.Now().Add(20 * time.Second); busy.Roused() == 0; {
		require.True(t, time.Now().Before(end), "nobody looks around")
		unix.Write(peer, []byte("x"))
		<-computed
		<-came
	}
	close(over)
	<-ended
}

// A loop reads the clock seldom if its handlers are quick.
func TestLookoutStride(t *testing.T) {
	l := handlerLoop(t)
	onLoop(t, l, func() {
		o := &l.lookout
		for range 1000 {
			l.lookAround()
		}
		require.Equal(t, mostStride, o.stride)
		for range 10 * mostStride {
			o.last -= int64(2 * lookEvery)
			l.lookAround()
		}
		require.Equal(t, 1, o.stride)
	})
}

// Loops that have ended are not looked for.
func TestClosedLoopIsDismissed(t *testing.T) {
	l, err := New(Options{})
	require.NoError(t, err)
	require.Contains(t, *loops.all.Load(), l)
	require.NoError(t, l.Close())
	require.NotContains(t, *loops.all.Load(), l)
}
