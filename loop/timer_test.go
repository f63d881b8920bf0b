package loop

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// A deadline between two ticks belongs to the later one, so that no timer is early. One on a
// tick belongs to that tick.
func TestTicksAreRoundedUp(t *testing.T) {
	for ns, want := range map[int64]uint64{
		0: 0, 1: 1, int64(tick) - 1: 1, int64(tick): 1, int64(tick) + 1: 2, 10*int64(tick) - 1: 10, 10 * int64(tick): 10,
		math.MaxInt64: math.MaxInt64/uint64(tick) + 1,
	} {
		require.Equal(t, want, ticksUp(ns), "%d ns", ns)
	}
}
