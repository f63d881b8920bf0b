package loop

import (
	"math"
	"math/bits"
)

// HistogramBuckets is the number of buckets of a Histogram.
const HistogramBuckets = 40

// A Histogram counts values in fixed buckets, each of which reaches twice as far as the
// one before. Its unit is that of the field of Stats that it is in: nanoseconds, or
// events. A Histogram is a copy, which nothing changes. It is for one goroutine at a time.
//
// The loop records in arrays of its own because package loop depends on nothing but
// golang.org/x/sys, and because recording has to cost less than reading a clock: one
// bits.Len64 and three additions, without a lock or an atomic operation of its own. The
// bounds are inclusive, as those of Prometheus' classic histograms, so HistogramBound
// and Counts are what prometheus.NewConstHistogram needs, after adding the counts up.
// HdrHistogram takes them by RecordValues(HistogramBound(i), Counts[i]).
type Histogram struct {
	// Counts has the number of values in each bucket. Bucket i has the values above
	// HistogramBound(i-1) and up to HistogramBound(i); bucket 0 has 0 and 1. The last
	// bucket has all larger values, too.
	Counts [HistogramBuckets]uint64
	Sum    uint64 // of all values
	Max    uint64 // the largest value
}

// HistogramBound returns the largest value that belongs in bucket i: 2 to the power of i.
// The last bucket has no bound, so there it returns math.MaxUint64.
func HistogramBound(i int) uint64 {
	if i >= HistogramBuckets-1 {
		return math.MaxUint64
	}
	return 1 << max(i, 0)
}

// Count returns the number of values.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile returns a value that at least the part q of all values does not exceed: with
// a q of 0.99, 99 in 100. It is the bound of a bucket, or Max, and so at most twice the
// exact value. Without any value it returns 0.
func (h *Histogram) Quantile(q float64) uint64 {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(total)))
	var seen uint64
	for i, c := range h.Counts {
		if seen += c; seen >= rank && c > 0 {
			return min(HistogramBound(i), h.Max)
		}
	}
	return h.Max
}

// Mean returns the mean of all values, or 0 without any value.
func (h *Histogram) Mean() float64 {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return float64(h.Sum) / float64(n)
}

// Since returns the values that were recorded after before, an earlier copy. Max stays the
// largest value of all.
func (h *Histogram) Since(before *Histogram) Histogram {
	since := *h
	for i, c := range before.Counts {
		since.Counts[i] -= c
	}
	since.Sum -= before.Sum
	return since
}

// add records one value.
func (h *Histogram) add(v uint64) {
	h.Counts[bucket(v)]++
	h.Sum += v
	h.Max = max(h.Max, v)
}

// bucket returns the index of the bucket of a value.
func bucket(v uint64) int {
	return min(bits.Len64(v-min(v, 1)), HistogramBuckets-1)
}

// merge adds the values of another histogram.
func (h *Histogram) merge(other *Histogram) {
	for i, c := range other.Counts {
		h.Counts[i] += c
	}
	h.Sum += other.Sum
	h.Max = max(h.Max, other.Max)
}
