package server

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// insertHolder keeps the largest ones, the largest first, as sorting all of them does.
func TestInsertHolder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var list []holder
		var all []int
		for range random.IntN(3 * largestPerEngine) {
			n := random.IntN(100)
			all = append(all, n)
			list = insertHolder(list, holder{bytes: n})
		}
		slices.SortFunc(all, func(a, b int) int { return b - a })
		want := all[:min(len(all), largestPerEngine)]
		got := []int{}
		for _, h := range list {
			got = append(got, h.bytes)
		}
		require.ElementsMatch(t, want, got)
		require.True(t, slices.IsSortedFunc(got, func(a, b int) int { return b - a }), got)
	}
}
