package timers_test

import (
	"math"
	"testing"
	"unsafe"

	"github.com/seed-2334f180/weir/timers"
	"github.com/stretchr/testify/require"
)

// advance makes one call with a budget, and returns the ticks of the timers that expired.
func advance[T any](w *timers.Wheel[T], now uint64, budget int) (expired []uint64, more bool) {
	buf := make([]*timers.Timer[T], budget)
	n, more := w.Advance(now, buf)
	for _, timer := range buf[:n] {
		expired = append(expired, timer.When())
	}
	return expired, more
}

func TestZeroWheelIsReadyAtTickZero(t *testing.T) {
	var w timers.Wheel[struct{}]
	var timer timers.Timer[struct{}]
	require.Zero(t, w.Len())
	_, ok := w.Next()
	require.False(t, ok)
	_, ok = w.Bound()
	require.False(t, ok)
	require.False(t, w.Cancel(&timer))

	w.Schedule(&timer, 1)
	expired, _ := advance(&w, 0, 1)
	require.Empty(t, expired)
	expired, _ = advance(&w, 1, 1)
	require.Equal(t, []uint64{1}, expired)
}

func TestTimerIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(timers.Timer[*int]{}), uintptr(40))
}

func TestScheduleMoves(t *testing.T) {
	w := timers.New[struct{}](100)
	var timer, other timers.Timer[struct{}]
	w.Schedule(&other, 5000)
	for _, when := range []uint64{5000, 5001, 4999, 101, 1 << 50, 4096, 130, 131} {
		w.Schedule(&timer, when)
		require.NoError(t, w.Check())
		require.Equal(t, 2, w.Len())
		require.Equal(t, when, timer.When())
		next, _ := w.Next()
		require.Equal(t, min(when, 5000), next)
	}
	expired, _ := advance(w, math.MaxUint64, 8)
	require.Equal(t, []uint64{131, 5000}, expired, "each once, at its last tick")
}

func TestPastCountsAsPresent(t *testing.T) {
	w := timers.New[struct{}](1000)
	var past, present timers.Timer[struct{}]
	w.Schedule(&past, 3)
	w.Schedule(&present, 1000)
	require.Equal(t, uint64(1000), past.When())
	next, _ := w.Next()
	require.Equal(t, uint64(1000), next)
	expired, more := advance(w, 1000, 8)
	require.Equal(t, []uint64{1000, 1000}, expired)
	require.False(t, more)
}

// A timer that is scheduled at a past tick each time it expires does not hold the others up.
func TestPastDoesNotStarve(t *testing.T) {
	w := timers.New[*string](0)
	greedy, patient := "greedy", "patient"
	a, b := timers.Timer[*string]{Owner: &greedy}, timers.Timer[*string]{Owner: &patient}
	w.Schedule(&a, 10)
	w.Schedule(&b, 20)
	var order []string
	buf := make([]*timers.Timer[*string], 1)
	for range 3 {
		n, more := w.Advance(30, buf)
		require.Equal(t, 1, n)
		order = append(order, *buf[0].Owner)
		if buf[0] == &a {
			w.Schedule(&a, 0)
			require.Equal(t, uint64(30), a.When())
		} else {
			require.True(t, more)
		}
	}
	require.Equal(t, []string{"greedy", "patient", "greedy"}, order)
}

// The timers of one tick take turns, even if each is scheduled at that tick again.
func TestOneTickTakesTurns(t *testing.T) {
	w := timers.New[*int](0)
	var all [5]timers.Timer[*int]
	var turns [5]int
	for i := range all {
		all[i].Owner = &turns[i]
		w.Schedule(&all[i], 7)
	}
	buf := make([]*timers.Timer[*int], 2)
	for range 50 {
		n, _ := w.Advance(7, buf)
		for _, timer := range buf[:n] {
			*timer.Owner++
			w.Schedule(timer, 7)
		}
	}
	require.Equal(t, [5]int{20, 20, 20, 20, 20}, turns)
}

func TestCancel(t *testing.T) {
	w := timers.New[struct{}](0)
	var all [3]timers.Timer[struct{}]
	for i := range all {
		w.Schedule(&all[i], 70)
	}
	for i, middleFirst := range []int{1, 0, 2} {
		require.True(t, w.Cancel(&all[middleFirst]))
		require.False(t, w.Cancel(&all[middleFirst]))
		require.False(t, all[middleFirst].Scheduled())
		require.Equal(t, 2-i, w.Len())
		require.NoError(t, w.Check())
	}
	_, ok := w.Next()
	require.False(t, ok)
	expired, more := advance(w, 1000, 4)
	require.Empty(t, expired)
	require.False(t, more)
}

func TestNothingAllocates(t *testing.T) {
	const delay = 5000 // two levels up, so that cascades are measured too
	w := timers.New[struct{}](0)
	var all [100]timers.Timer[struct{}]
	buf := make([]*timers.Timer[struct{}], 8)
	now := uint64(0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range all {
			w.Schedule(&all[i], now+delay)
			w.Schedule(&all[i], now+delay+uint64(i))
		}
		w.Cancel(&all[0])
		w.Next()
		w.Bound()
		now += 2 * delay
		for more := true; more; {
			_, more = w.Advance(now, buf)
		}
	}))
	require.Zero(t, w.Len())
}
