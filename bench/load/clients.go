package load

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/seed-2334f180/weir/bench/machine"
)

// Latencies counts latencies for one client of a process that has many: it is smaller and less
// exact than a generator's. It is not safe for use by several goroutines.
type Latencies struct{ histogram *hdrhistogram.Histogram }

// NewLatencies makes an empty one.
func NewLatencies() Latencies { return Latencies{hdrhistogram.New(1, int64(longest), 2)} }

// Count counts one latency.
func (l Latencies) Count(latency time.Duration) error {
	return l.histogram.RecordValue(int64(min(latency, longest)))
}

// Total makes a result of what the clients counted in a window.
func Total(clients []Latencies, usage machine.Usage) (Result, error) {
	all := NewLatencies().histogram
	for _, l := range clients {
		all.Merge(l.histogram)
	}
	if all.TotalCount() == 0 {
		return Result{}, fmt.Errorf("no answer came within %v", usage.Elapsed)
	}
	at := func(percent float64) time.Duration { return time.Duration(all.ValueAtPercentile(percent)) }
	return Result{Requests: all.TotalCount(), Usage: usage, P50: at(50), P99: at(99), P999: at(99.9)}, nil
}
