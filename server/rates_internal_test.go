package server

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/stretchr/testify/require"
)

// Loops that accept at the same moment share the tokens. An accept that finds nothing takes
// none.
func TestAcceptRateCountsLoopsTogether(t *testing.T) {
	const burst = 4
	r := &acceptRate{bucket: rate.NewBucket(1, burst), clock: func() time.Duration { return time.Hour }}
	var accepted, refused atomic.Int32
	var loops sync.WaitGroup
	for i := range 100 {
		loops.Go(func() {
			wait := r.take(func() bool {
				runtime.Gosched()
				if i%2 == 0 {
					return false
				}
				accepted.Add(1)
				return true
			})
			if wait != 0 {
				refused.Add(1)
			}
		})
	}
	loops.Wait()
	require.EqualValues(t, burst, accepted.Load())
	require.NotZero(t, refused.Load())
	require.Equal(t, time.Second, r.take(func() bool { return true }))
}
