package measure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{4, 1}, Spread{2.5, 1, 4}},
		{[]float64{9, 1, 2}, Spread{2, 1, 9}},
		{[]float64{8, 1, 4, 2}, Spread{3, 1, 8}},
	} {
		require.Equal(t, c.want, SpreadOf(c.values))
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	sorted := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	require.Equal(t, 5, Percentile(sorted, 50))
	require.Equal(t, 10, Percentile(sorted, 99))
	require.Equal(t, 1, Percentile(sorted, 0))
	require.Equal(t, 7, Percentile([]int{7}, 50))
}
