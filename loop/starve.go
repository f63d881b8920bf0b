package loop

import (
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/procs"
)

// When the kernel preempts a thread, for some milliseconds, the goroutines in the run
// queue of its P wait. Another P takes them over only if it has nothing else to do, and a
// P on which a loop always finds events never has nothing to do. So when goroutines that
// some loop has woken have not run for long, each loop naps before it hands out events:
// with its run queue empty, its P takes goroutines over from the other Ps.

// starvedAfter is how long goroutines that were woken may not run before loops nap.
const starvedAfter = 500 * time.Microsecond

// nap is how long a loop naps in a turn.
const nap = 20 * time.Microsecond

// starving is the backlog of a loop that has woken goroutines which have not run for
// long, or had when the loop last looked.
var starving atomic.Pointer[backlog]

// A backlog counts the goroutines that a loop has woken or started and that have not run
// since, by the period in which that was. A period ends when no goroutine of the one
// before is left, and starvedAfter has passed.
type backlog struct {
	counts [2]atomic.Int64
	period atomic.Uint32 // the index in counts of the present period

	// What follows is for the loop's goroutine, but naps is for all.
	began int64 // when the period began, on the loop's clock
	procs procs.Count
	naps  atomic.Uint64
}

// add counts a goroutine. When it runs, it subtracts 1 from the counter.
func (b *backlog) add() (counter *atomic.Int64) {
	counter = &b.counts[b.period.Load()]
	counter.Add(1)
	return counter
}

// size returns how many goroutines have not run.
func (b *backlog) size() int { return int(b.counts[0].Load() + b.counts[1].Load()) }

// old returns how many goroutines of earlier periods have not run.
func (b *backlog) old() int { return int(b.counts[1-b.period.Load()].Load()) }

// look finds out whether goroutines have not run for long. now reads the clock.
func (b *backlog) look(now func() int64) {
	if b.size() == 0 {
		return
	}
	t := now()
	switch {
	case t-b.began < int64(starvedAfter):
	case b.old() == 0:
		b.began = t
		b.period.Store(1 - b.period.Load())
	case starving.Load() == nil:
		starving.CompareAndSwap(nil, b)
	}
}

// leave takes b out of starving.
func (b *backlog) leave() { starving.CompareAndSwap(b, nil) }

// goroutinesStarve reports whether goroutines that some loop has woken have not run for
// long.
func goroutinesStarve() bool {
	b := starving.Load()
	if b == nil {
		return false
	}
	if b.old() == 0 {
		b.leave()
		return false
	}
	return true
}

// napIfStarving is called at the beginning of a turn.
func (l *Loop) napIfStarving() {
	l.backlog.look(l.nanos)
	if goroutinesStarve() && l.backlog.procs.Number() > 1 {
		l.backlog.naps.Add(1)
		time.Sleep(nap)
	}
}
