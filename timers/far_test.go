package timers_test

import (
	"math"
	"slices"
	"testing"

	"github.com/seed-2334f180/weir/timers"
	"github.com/stretchr/testify/require"
)

// horizon is the reach of the six levels, in ticks.
const horizon = 1 << 36

func TestBeyondTheHorizon(t *testing.T) {
	ticks := []uint64{
		5, horizon - 1, horizon, horizon + 1, 2*horizon - 1, 2 * horizon, 3*horizon + 7,
		100 * horizon, 1<<63 - 1, 1 << 63, 1<<63 + 1, math.MaxUint64 - 1, math.MaxUint64,
	}
	for _, start := range []uint64{0, 4, horizon - 1, horizon, 2*horizon - 1, 1<<63 - 1, math.MaxUint64} {
		w := timers.New[struct{}](start)
		all := make([]timers.Timer[struct{}], len(ticks))
		var want []uint64
		for i, when := range ticks {
			w.Schedule(&all[len(ticks)-1-i], when) // any order of scheduling gives the same result
			want = append(want, max(when, start))
		}
		var got []uint64
		for {
			next, ok := w.Next()
			if !ok {
				break
			}
			bound, _ := w.Bound()
			require.Equal(t, next, bound)
			if next > start {
				early, _ := advance(w, next-1, 1)
				require.Empty(t, early)
				require.NoError(t, w.Check())
			}
			some, _ := advance(w, next, 1)
			got = append(got, some...)
		}
		require.Equal(t, want, got)
	}
}

// Timers of one far tick cascade within the budget, as those of any level do.
func TestFarCascadeIsBudgeted(t *testing.T) {
	w := timers.New[struct{}](horizon - 1)
	all := make([]timers.Timer[struct{}], 1000)
	for i := range all {
		w.Schedule(&all[i], 5*horizon+uint64(i%3)*horizon)
	}
	var got []uint64
	for more := true; more; {
		var some []uint64
		before := w.Refiled()
		some, more = advance(w, math.MaxUint64, 3)
		require.LessOrEqual(t, w.Refiled()-before, uint64(4*3+64))
		require.NoError(t, w.Check())
		got = append(got, some...)
	}
	require.Len(t, got, len(all))
	require.True(t, slices.IsSorted(got))
}
