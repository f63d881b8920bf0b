package loop

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/seed-2334f180/weir/internal/procs"
	"github.com/stretchr/testify/require"
)

// Goroutines starve if they have not run for starvedAfter at least, however many have been
// woken since and have run.
func TestGoroutinesStarve(t *testing.T) {
	var b backlog
	var now int64
	look := func(passed int64) {
		now += passed
		b.look(func() int64 { return now })
	}
	const long = int64(starvedAfter)

	first := b.add()
	look(long) // a new period begins
	require.Equal(t, 1, b.old())
	second := b.add()
	look(long - 1)
	require.False(t, goroutinesStarve())
	look(1)
	require.True(t, goroutinesStarve())
	require.Equal(t, 2, b.size())

	first.Add(-1)
	require.False(t, goroutinesStarve(), "the second one is of the present period")
	require.Nil(t, starving.Load())
	look(0)
	require.Equal(t, 1, b.old(), "a new period begins")
	second.Add(-1)
	look(2 * long)
	require.False(t, goroutinesStarve())

	third := b.add()
	look(2 * long)
	look(2 * long)
	require.True(t, goroutinesStarve())
	b.leave() // the loop has ended
	require.False(t, goroutinesStarve())
	third.Add(-1)
	require.Zero(t, b.size())
}

// starve makes l a loop that has woken a goroutine long ago. The goroutine runs when
// runs is called.
func starve(t *testing.T, l *Loop) (runs func()) {
	t.Helper()
	var counter *atomic.Int64
	onLoop(t, l, func() {
		counter = l.backlog.add()
		for range 2 {
			l.backlog.began = -int64(starvedAfter)
			l.backlog.look(l.nanos)
		}
	})
	return func() { counter.Add(-1) }
}

// While goroutines that one loop has woken starve, every loop naps in its turns. It does
// not with one P, and not after they have run, although the loop that has woken them
// sleeps.
func TestLoopsNapWhileGoroutinesStarve(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	waker, other := handlerLoop(t), handlerLoop(t)
	naps := func(ps int) bool {
		runtime.GOMAXPROCS(ps)
		onLoop(t, other, func() { other.backlog.procs = procs.Count{} })
		before := other.Stats().Naps
		onLoop(t, other, func() {})
		return other.Stats().Naps != before
	}
	require.False(t, naps(2))
	runs := starve(t, waker)
	require.True(t, naps(2))
	require.False(t, naps(1))
	require.True(t, naps(2))
	runs()
	require.False(t, naps(2))
}

// A loop that has ended lets no loop nap.
func TestNobodyNapsForAClosedLoop(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	waker, other := handlerLoop(t), handlerLoop(t)
	runs := starve(t, waker)
	defer runs()
	require.NoError(t, waker.Close())
	onLoop(t, other, func() {})
	require.Zero(t, other.Stats().Naps)
}
