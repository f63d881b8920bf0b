package timers_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/timers"
	"github.com/stretchr/testify/require"
)

func TestNextAfterCancelOfTheEarliest(t *testing.T) {
	w := timers.New[struct{}](0)
	var early, middle, late timers.Timer[struct{}]
	w.Schedule(&late, 4500)
	w.Schedule(&early, 4200)
	w.Schedule(&middle, 4300)

	w.Cancel(&early)
	bound, _ := w.Bound()
	require.Equal(t, uint64(4200), bound, "stale, but constant time")
	next, _ := w.Next()
	require.Equal(t, uint64(4300), next)
	bound, _ = w.Bound()
	require.Equal(t, uint64(4300), bound, "Next repairs it")

	w.Schedule(&middle, 4600) // moved within the slot
	next, _ = w.Next()
	require.Equal(t, uint64(4500), next)

	w.Cancel(&late)
	w.Schedule(&early, 4400) // later than the stale minimum, earlier than the rest
	next, _ = w.Next()
	require.Equal(t, uint64(4400), next)
}

func TestBoundForgetsWhatAnEmptySlotHeld(t *testing.T) {
	w := timers.New[struct{}](0)
	var a, b timers.Timer[struct{}]
	w.Schedule(&a, 4200)
	w.Cancel(&a)
	w.Schedule(&b, 4300)
	bound, _ := w.Bound()
	require.Equal(t, uint64(4300), bound)
	w.Cancel(&b)
	_, ok := w.Bound()
	require.False(t, ok)
}

// Next walks a slot only while its minimum is stale, and then once.
func TestNextWalksOnlyForAnAnswer(t *testing.T) {
	w := timers.New[struct{}](0)
	var a, b, c timers.Timer[struct{}]
	spoil := func() {
		w.Schedule(&a, 4200)
		w.Schedule(&b, 4300)
		w.Schedule(&c, 4400)
		require.Zero(t, w.Stale())
		w.Cancel(&a)
		require.Equal(t, 1, w.Stale())
	}
	settles := map[string]func(){
		"asked":                        func() { w.Next() },
		"an earlier one comes":         func() { w.Schedule(&a, 4199) },
		"one as early comes":           func() { w.Schedule(&a, 4200) },
		"one moves to be the earliest": func() { w.Schedule(&c, 4200) },
		"emptied and used anew":        func() { w.Cancel(&b); w.Cancel(&c); w.Schedule(&a, 4500) },
	}
	for name, settle := range settles {
		spoil()
		settle()
		require.Zero(t, w.Stale(), name)
		require.NoError(t, w.Check(), name)
		for _, timer := range []*timers.Timer[struct{}]{&a, &b, &c} {
			w.Cancel(timer)
		}
	}
}

// Bound walks no slot, and Next walks none on the lowest level, where a slot is one tick. If they
// did, this test would take over twenty thousand million steps.
func TestConstantTimeInAFullSlot(t *testing.T) {
	for _, tick := range []uint64{50, 5000} {
		w := timers.New[struct{}](0)
		all := make([]timers.Timer[struct{}], 200_000)
		for i := range all {
			w.Schedule(&all[i], tick)
		}
		start := time.Now()
		for i := range all[1:] {
			w.Cancel(&all[i])
			w.Bound()
			if tick < 64 {
				w.Next()
			}
		}
		require.Less(t, time.Since(start), 10*time.Second)
	}
}

// A loop that sleeps until Bound wakes at the tick of every timer, and wakes without an expiry at most
// once for each level and timer.
func TestSleepUntilBound(t *testing.T) {
	const count = 2000
	random := rand.New(rand.NewPCG(3, 4))
	w := timers.New[struct{}](0)
	all := make([]timers.Timer[struct{}], count)
	buf := make([]*timers.Timer[struct{}], count)
	for i := range all {
		w.Schedule(&all[i], 1+random.Uint64N(1<<random.IntN(40)))
	}
	expired, cancelled, inVain := 0, 0, 0
	for w.Len() > 0 {
		// Cancelling the earliest timer makes the bounds stale.
		if i := random.IntN(count); w.Cancel(&all[i]) {
			cancelled++
		}
		now, ok := w.Bound()
		if !ok {
			break
		}
		n, more := w.Advance(now, buf)
		require.False(t, more)
		for _, timer := range buf[:n] {
			require.Equal(t, now, timer.When())
		}
		expired += n
		if n == 0 {
			inVain++
		}
	}
	require.Equal(t, count, expired+cancelled)
	require.LessOrEqual(t, inVain, int(w.Refiled()))
}
