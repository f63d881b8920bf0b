package loop

import (
	"runtime"
	"sync/atomic"
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
	came := make(chan struct{}, 100)
	sleeps := newRecorder(func(ev poller.Readiness) {
		if n, _ := unix.Read(ours, make([]byte, 8)); n > 0 { // not at the end, when the test closes the peer
			came <- struct{}{}
		}
	})
	require.NoError(t, sleeper.Handle(&sleeps.reg, ours, sleeps.handler()))

	fd, peer := handlerPair(t)
	computed := make(chan struct{}, 1)
	computes := newRecorder(func(ev poller.Readiness) {
		if n, _ := unix.Read(fd, make([]byte, 8)); n <= 0 {
			return
		}
		unix.Write(theirs, []byte("x"))
		for start := time.Now(); time.Since(start) < 2*lookEvery; {
		}
		computed <- struct{}{}
	})
	require.NoError(t, busy.Handle(&computes.reg, fd, computes.handler()))

	// The other P is busy, too. So the sleeping loop does not run before the look.
	var over atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !over.Load() {
		}
	}()
	for end := time.Now().Add(time.Minute); busy.Stats().Roused == 0; {
		require.True(t, time.Now().Before(end), "nobody looks around")
		unix.Write(peer, []byte("x"))
		<-computed
		<-came
	}
	over.Store(true)
	<-ended
}

// A loop reads the clock seldom if its handlers are quick, and after each handler if they
// are slow. It looks around when lookEvery has passed.
func TestLookoutStride(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration // of a handler
		most  int           // handlers between two readings
	}{
		{100 * time.Nanosecond, mostStride},
		{2 * lookEvery, 1},
	} {
		o := lookout{stride: 3}
		now, last := int64(0), int64(0)
		for range 10_000 {
			now += int64(c.takes)
			if o.left--; o.left > 0 {
				continue
			}
			if o.due(now) {
				require.GreaterOrEqual(t, now-last, int64(lookEvery))
				require.LessOrEqual(t, now-last, int64(lookEvery+mostStride*c.takes))
				last = now
			}
		}
		require.Equal(t, c.most, o.stride)
		require.NotZero(t, last)
	}
}

// Loops that have ended are not looked for.
func TestClosedLoopIsNotLookedFor(t *testing.T) {
	l, err := New(Options{})
	require.NoError(t, err)
	require.Contains(t, *loops.all.Load(), l)
	require.NoError(t, l.Close())
	require.NotContains(t, *loops.all.Load(), l)
}
