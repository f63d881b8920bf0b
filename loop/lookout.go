package loop

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/procs"
	"github.com/seed-2334f180/weir/poller"
)

// While handlers compute, the loop does not return to the scheduler. If it is the only
// goroutine that runs, no thread may be waiting for the events of the other loops: the
// scheduler found this loop ready when it had just parked another one, and thus started
// no second thread. Then the other loops sleep on, and the other processors idle, until
// this loop parks or the scheduler's monitor looks, up to ten milliseconds later. So a
// loop whose handlers compute looks for other loops that sleep over events, and wakes
// them. From then on, a second thread waits for events when it has nothing to run.

// lookEvery is how long handlers compute before the loop looks around.
const lookEvery = 50 * time.Microsecond

// mostStride bounds the events between two readings of the clock.
const mostStride = 16

// A lookout decides when a loop looks around.
type lookout struct {
	pollers poller.Lookout
	procs   procs.Count
	last    int64         // when the loop last looked
	stride  int           // events between two readings of the clock
	left    int           // events until the next one
	next    int           // where in the list of loops the next look begins
	woken   atomic.Uint64 // loops that looks have woken
}

// loops are the loops of the process that have not ended.
var loops struct {
	mu  sync.Mutex
	all atomic.Pointer[[]*Loop] // is replaced, and never changed
}

func enlist(l *Loop) {
	changeLoops(func(all []*Loop) []*Loop { return append(all, l) })
}

func delist(l *Loop) {
	changeLoops(func(all []*Loop) []*Loop {
		return slices.DeleteFunc(all, func(x *Loop) bool { return x == l })
	})
}

func changeLoops(change func([]*Loop) []*Loop) {
	loops.mu.Lock()
	defer loops.mu.Unlock()
	var all []*Loop
	if old := loops.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = change(all)
	loops.all.Store(&all)
}

// lookAround is called after each handler. From time to time it wakes the loops that
// sleep over events.
func (l *Loop) lookAround() {
	o := &l.lookout
	if o.left--; o.left > 0 || !o.due(l.nanos()) || o.procs.Number() == 1 {
		return
	}
	all := *loops.all.Load()
	for i := range all {
		other := all[(o.next+i)%len(all)]
		if other != l && other.asleep.Load() && !o.pollers.Add(other.poller) {
			o.next += i // the next look begins with it
			break
		}
	}
	o.woken.Add(uint64(o.pollers.Look()))
}

// Yield is runtime.Gosched for a goroutine that makes one system call after the other and
// does not wait. With one P, and with several that are all busy, the scheduler would not
// ask for events before the goroutine waits, or for ten milliseconds. So Yield wakes the
// loop if it sleeps over events.
func (l *Loop) Yield() {
	if l.asleep.Load() {
		l.poller.Rouse()
	}
	runtime.Gosched()
}

// due reports whether it is time for a look, and sets how many events pass until the
// clock is read again.
func (o *lookout) due(now int64) bool {
	switch passed := now - o.last; {
	case passed < int64(lookEvery)/2:
		o.stride = min(o.stride+1, mostStride)
	case passed > int64(lookEvery):
		o.stride = max(o.stride/2, 1)
	}
	o.left = o.stride
	if now-o.last < int64(lookEvery) {
		return false
	}
	o.last = now
	return true
}
