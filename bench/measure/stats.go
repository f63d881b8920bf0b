package measure

import (
	"math"
	"slices"
)

// A Sample is what one run of one subject gave: a value for each metric.
type Sample map[string]float64

// A Round has a sample of every subject, taken one right after the other.
type Round map[string]Sample

// A Spread has the median of some values, the least and the greatest.
type Spread struct{ Median, Min, Max float64 }

// SpreadOf needs at least one value. The median of an even number is the mean of the middle two.
func SpreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{
		Median: (sorted[(n-1)/2] + sorted[n/2]) / 2,
		Min:    sorted[0],
		Max:    sorted[n-1],
	}
}

// Percentile returns the nearest rank: the least value that p per cent of the values do not
// exceed.
func Percentile[T any](sorted []T, p float64) T {
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
