package builtins

import (
	"context"
	"math"
	"time"

	"github.com/seed-2334f180/weir"
)

// A Sets has the lists of a select builtin. The builtin appends what a call waits for to
// the lists of Want, calls Select, reads Ready, and calls Clear. A thread of the
// language keeps one Sets, so that a call allocates no lists.
type Sets struct{ Want, Ready weir.Set[weir.Selectable] }

// Select waits as weir.SelectContext does, and stores the result in Ready. It returns how
// many entries are ready. ctx is that of the thread: its end interrupts the wait.
func (s *Sets) Select(ctx context.Context, timeout time.Duration) (int, error) {
	return weir.SelectInto(ctx, &s.Ready, s.Want, timeout)
}

// Clear empties the lists, so that the collector can close the sockets that a program
// forgets. It keeps the memory of the lists.
func (s *Sets) Clear() {
	for _, set := range [...]*weir.Set[weir.Selectable]{&s.Want, &s.Ready} {
		for _, list := range [...]*[]weir.Selectable{&set.Read, &set.Write, &set.Except} {
			clear(*list)
			*list = (*list)[:0]
		}
	}
}

// Sleep waits for a time, or until ctx is done, whose error it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Duration converts a number of units, such as time.Second, to a time to wait. It rounds
// up, so that no wait ends early, and returns the longest Duration for a number that is
// too large. It returns false for a negative number and for NaN.
func Duration(n float64, unit time.Duration) (time.Duration, bool) {
	if !(n >= 0) {
		return 0, false
	}
	if n = math.Ceil(n * float64(unit)); n >= math.MaxInt64 {
		return math.MaxInt64, true
	}
	return time.Duration(n), true
}
