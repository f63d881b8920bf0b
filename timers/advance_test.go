package timers_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed-2334f180/weir/timers"
	"github.com/stretchr/testify/require"
)

// million is a million, or a little of it under -short.
func million() int {
	if testing.Short() {
		return 20_000
	}
	return 1_000_000
}

// A million equal timeouts are in one slot of a high level. No single call cascades all
// of them.
func TestCascadeIsBudgeted(t *testing.T) {
	const budget, when = 256, 3<<18 + 2<<12 + 1<<6 + 5 // the tick falls from level 3 to each level below
	w := timers.New[struct{}](0)
	all := make([]timers.Timer[struct{}], million())
	for i := range all {
		w.Schedule(&all[i], when)
	}
	buf := make([]*timers.Timer[struct{}], budget)
	expired := 0
	for more := true; more; {
		var n int
		before := w.Refiled()
		n, more = w.Advance(when, buf)
		expired += n
		if refiled := w.Refiled() - before; refiled > 4*budget+64 {
			require.Failf(t, "over budget", "%d filed in one call", refiled)
		}
		// Halfway through, all methods still return the right answer.
		if next, ok := w.Next(); ok && next != when {
			require.Failf(t, "wrong Next", "%d", next)
		}
		require.Equal(t, len(all)-expired, w.Len())
		require.Equal(t, w.Len() > 0, more)
	}
	require.Equal(t, len(all), expired)
	require.Equal(t, uint64(3*len(all)), w.Refiled(), "one fall a level")
}

// In a new wheel, and after an Advance over nothing, the cursor is at the present: a tick of the same
// 64 then goes to the lowest level at once.
func TestNearTimerIsNotCascaded(t *testing.T) {
	const present = 100_000
	made, come := timers.New[struct{}](present), timers.New[struct{}](0)
	advance(come, present, 0)
	for _, w := range []*timers.Wheel[struct{}]{made, come} {
		var timer timers.Timer[struct{}]
		w.Schedule(&timer, present+1)
		expired, _ := advance(w, present+1, 1)
		require.Len(t, expired, 1)
		require.Zero(t, w.Refiled())
	}
}

func TestTimerFallsOnceALevel(t *testing.T) {
	for level := range 6 {
		w := timers.New[struct{}](0)
		var timer timers.Timer[struct{}]
		w.Schedule(&timer, 1<<(6*(level+1))-1) // the digits of all levels are 63
		expired, _ := advance(w, timer.When(), 1)
		require.Len(t, expired, 1)
		require.Equal(t, uint64(level), w.Refiled())
	}
}

// cascadeHalfway returns a wheel at tick 4096 that has entered the slot of its 500 timers and has
// cascaded only some of them. Their ticks are 4096+5, 4096+7 and so on.
func cascadeHalfway(t *testing.T) (*timers.Wheel[struct{}], []timers.Timer[struct{}]) {
	w := timers.New[struct{}](0)
	all := make([]timers.Timer[struct{}], 500)
	for i := range all {
		w.Schedule(&all[i], 4096+5+2*uint64(i))
	}
	expired, more := advance(w, 4096, 1)
	require.Empty(t, expired)
	require.True(t, more)
	require.True(t, w.Cascading())
	return w, all
}

func TestScheduleDuringCascade(t *testing.T) {
	w, all := cascadeHalfway(t)
	var early, late, first timers.Timer[struct{}]
	w.Schedule(&early, 4096+6)
	w.Schedule(&late, 8192)
	w.Schedule(&first, 0)
	w.Schedule(&all[499], 4096+8) // has not cascaded yet
	w.Schedule(&all[0], 4096+1000)
	require.NoError(t, w.Check())

	var got []uint64
	for more := true; more; {
		var some []uint64
		some, more = advance(w, 8192, 1)
		got = append(got, some...)
		require.NoError(t, w.Check())
	}
	require.Len(t, got, 503)
	require.True(t, slices.IsSorted(got))
	require.Equal(t, []uint64{4096, 4096 + 6, 4096 + 7, 4096 + 8, 4096 + 9}, got[:5])
}

func TestCancelDuringCascade(t *testing.T) {
	w, all := cascadeHalfway(t)
	for i := range all {
		require.True(t, w.Cancel(&all[i]))
		require.NoError(t, w.Check())
		next, ok := w.Next()
		if i < len(all)-1 {
			require.Equal(t, all[i+1].When(), next)
		}
		require.Equal(t, i < len(all)-1, ok)
	}
	require.False(t, w.Cascading(), "the slot was emptied under the cascade")
	_, more := advance(w, 4096, 1)
	require.False(t, more)
}

// The earliest timer is one of those that have not cascaded yet; the wheel's first slot is later.
func TestNextDuringCascade(t *testing.T) {
	w := timers.New[struct{}](0)
	all := make([]timers.Timer[struct{}], 500)
	for i := range all {
		w.Schedule(&all[i], 4096+2000-2*uint64(i))
	}
	_, more := advance(w, 4096, 1)
	require.True(t, more)
	for i := len(all) - 1; i >= 0; i-- {
		next, _ := w.Next()
		require.Equal(t, all[i].When(), next)
		bound, _ := w.Bound()
		require.Equal(t, next, bound)
		w.Cancel(&all[i])
	}
}

func TestMillionExpireInOrder(t *testing.T) {
	const horizon = 3_000_000
	random := rand.New(rand.NewPCG(1, 2))
	w := timers.New[struct{}](12345)
	all := make([]timers.Timer[struct{}], million())
	for i := range all {
		w.Schedule(&all[i], 12345+random.Uint64N(horizon))
	}
	buf := make([]*timers.Timer[struct{}], 1024)
	expired, last := 0, uint64(0)
	for now := uint64(12345); w.Len() > 0; now += random.Uint64N(50_000) {
		for more := true; more; {
			var n int
			n, more = w.Advance(now, buf)
			for _, timer := range buf[:n] {
				if when := timer.When(); when < last || when > now || timer.Scheduled() {
					require.Failf(t, "out of order", "tick %d at %d, after %d", when, now, last)
				}
				last = timer.When()
			}
			expired += n
		}
		if next, ok := w.Next(); ok && next <= now {
			require.Failf(t, "late", "next %d at %d", next, now)
		}
	}
	require.Equal(t, len(all), expired)
}

func TestBudgetOfNothing(t *testing.T) {
	w := timers.New[struct{}](0)
	var timer timers.Timer[struct{}]
	w.Schedule(&timer, 70)
	n, more := w.Advance(69, nil)
	require.Zero(t, n)
	require.False(t, more)
	for range 3 {
		n, more = w.Advance(70, nil)
		require.Zero(t, n)
		require.True(t, more)
		require.True(t, timer.Scheduled())
	}
	expired, more := advance(w, 70, 1)
	require.Equal(t, []uint64{70}, expired)
	require.False(t, more, "the budget was just enough")
}

func TestTimeDoesNotGoBack(t *testing.T) {
	w := timers.New[struct{}](1000)
	var timer timers.Timer[struct{}]
	w.Schedule(&timer, 1010)
	for _, now := range []uint64{0, 999, 1005, 3, 1009} {
		expired, more := advance(w, now, 1)
		require.Empty(t, expired)
		require.False(t, more)
	}
	// The present is still 1009, so 1007 is past.
	var past timers.Timer[struct{}]
	advance(w, 5, 1)
	w.Schedule(&past, 1007)
	expired, _ := advance(w, 0, 8)
	require.Equal(t, []uint64{1009}, expired)
}

// A timer that has expired may be scheduled again before the caller looks at the next one.
func TestExpiredTimerSchedulesItself(t *testing.T) {
	const period, rounds = 97, 1000
	w := timers.New[struct{}](0)
	var timer timers.Timer[struct{}]
	w.Schedule(&timer, period)
	buf := make([]*timers.Timer[struct{}], 4)
	var got []uint64
	for now := uint64(0); now <= period*rounds; now++ {
		n, more := w.Advance(now, buf)
		require.False(t, more)
		for _, timer := range buf[:n] {
			require.Equal(t, now, timer.When())
			got = append(got, now)
			w.Schedule(timer, now+period)
		}
	}
	require.Len(t, got, rounds)
	require.Equal(t, 1, w.Len())
}
