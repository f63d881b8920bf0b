package loop_test

import (
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// told returns the observer's reports since the last call.
func (o observer) told() (all []loop.Notice) {
	for len(o) > 0 {
		all = append(all, <-o)
	}
	return all
}

var once = []loop.Notice{loop.NoticeReady}

// Removing any hook leaves the others. Each observer gets reports only of the conditions
// in its interest.
func TestHooksAreTakenOffInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		r := registerAs(t, loop.KeepWritable, false)
		require.NoError(t, r.Watch())
		hooks, seen := make([]loop.Hook, 3), make([]observer, 3)
		for i := range hooks {
			seen[i] = make(observer, 100)
			hooks[i].To = seen[i]
			require.NoError(t, hooks[i].Hang(&r.Registration, loop.Readable))
			require.Same(t, r.Loop(), hooks[i].Loop())
		}
		for left, off := range order {
			r.Arrive(poller.Readable, 1)
			r.Arrive(poller.Writable, 1)
			require.Equal(t, len(hooks)-left, len(r.Observers()))
			for _, i := range order[left:] {
				require.Equal(t, once, seen[i].told(), "%v without %v", order, order[:left])
			}
			hooks[off].Unhang()
		}
		r.Arrive(poller.Readable, 1)
		r.Stir(loop.Readable)
		for i := range seen {
			require.Empty(t, seen[i])
		}
	}
}

// Unhang of a hook that is not hung does nothing.
func TestHookIsTakenOffTwice(t *testing.T) {
	r := registerAs(t, loop.KeepWritable, false)
	seen := make(observer, 100)
	a, b := &loop.Hook{To: make(observer, 100)}, &loop.Hook{To: seen}
	for _, h := range []*loop.Hook{a, b} {
		require.NoError(t, h.Hang(&r.Registration, loop.Exceptional))
	}
	a.Unhang()
	a.Unhang()
	require.Equal(t, 1, len(r.Observers()))
	r.Arrive(poller.Priority, 1)
	require.Equal(t, once, seen.told())
}

// Interrupt of a closed registration does nothing, even if a hook still hangs on it.
func TestInterruptOfClosedRegistration(t *testing.T) {
	r := registerAs(t, loop.KeepWritable, false)
	seen := make(observer, 100)
	h := &loop.Hook{To: seen}
	require.NoError(t, h.Hang(&r.Registration, loop.Exceptional))
	require.NoError(t, r.Close())
	require.Zero(t, r.Interrupt())
	require.Equal(t, []loop.Notice{loop.NoticeClosed}, seen.told())
}

// Observers also get reports without an event: of Doubt, in both directions, and of Stir,
// if the condition is in their interest.
func TestObserversOfDoubtAndStir(t *testing.T) {
	r := registerAs(t, loop.KeepWritable, false)
	reading, writing := make(observer, 100), make(observer, 100)
	a, b := &loop.Hook{To: reading}, &loop.Hook{To: writing}
	require.NoError(t, a.Hang(&r.Registration, loop.Readable))
	require.NoError(t, b.Hang(&r.Registration, loop.Writable))
	defer a.Unhang()
	defer b.Unhang()
	settle(t, r.Loop())
	reading.told()
	writing.told()
	r.Stir(loop.Readable)
	require.Equal(t, once, reading.told())
	require.Empty(t, writing)
	r.Doubt()
	require.Equal(t, once, reading.told())
	require.Equal(t, once, writing.told())
	require.NoError(t, a.Change(loop.Exceptional))
	r.Stir(loop.Readable)
	require.Empty(t, reading)
}

// Doubt wakes the calls that wait, so that they try again.
func TestDoubtWakesWaiters(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	fill(t, r.FD())
	for _, d := range []loop.Direction{loop.Read, loop.Write} {
		woken := blocked(t, r, func() error { return waitOnce(r, d, &loop.Call{Timeout: loop.Forever}) })
		r.Doubt()
		require.NoError(t, <-woken)
	}
}

// If a hook's interest changes, its observer gets a report of a condition that holds
// already.
func TestChangedHookIsTold(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	seen := make(observer, 100)
	h := &loop.Hook{To: seen}
	require.NoError(t, h.Hang(&r.Registration, loop.Readable))
	settle(t, l)
	require.Empty(t, seen)
	require.False(t, r.WatchesWrite())
	require.NoError(t, h.Change(loop.Writable))
	waitFor(t, func() bool { return len(seen) > 0 })
	require.NoError(t, r.Close())
	require.ErrorIs(t, h.Change(loop.Readable), loop.ErrClosed)
	require.ErrorIs(t, r.Watch(), loop.ErrClosed)
	h.Unhang()
}

// A file that epoll refuses is always ready.
func TestWatchOfWhatNeverWaits(t *testing.T) {
	l := newLoop(t, loop.Options{})
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	r := new(loop.Blocking)
	require.NoError(t, l.Register(&r.Registration, fd, loop.DropWritable))
	defer r.Close()
	h := &loop.Hook{To: make(observer, 9)}
	require.ErrorIs(t, h.Hang(&r.Registration, loop.Readable), unix.EPERM)
	require.ErrorIs(t, h.Hang(&r.Registration, loop.Writable), unix.EPERM)
	require.Zero(t, len(r.Observers()))
	require.NoError(t, r.Watch())
	require.NoError(t, h.Hang(&r.Registration, loop.Readable|loop.Writable))
	defer h.Unhang()
	for _, want := range []loop.Interest{loop.Readable, loop.Writable} {
		require.Equal(t, loop.Ready, r.Look(want))
	}
	require.Equal(t, loop.Unready, r.Look(loop.Exceptional))
}
