package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// A way is how a call that waits alone waits.
type way uint8

const (
	// wayPark parks the goroutine, as a call of Go's package net does, on a duplicate
	// of the descriptor that the Go runtime watches. No thread is held. It is the best
	// way if the peer is a goroutine of this process.
	wayPark way = iota
	// wayBlock blocks the thread in ppoll(2). Only the kernel wakes the thread, and no
	// goroutine switches.
	wayBlock
	// wayPoll repeats the system call for a while, and then blocks. On a quiet machine,
	// above all a virtual one, blocking and waking up takes as much processor time as
	// polling, and far more time. If another thread needs the processor, polling takes
	// more processor time.
	wayPoll

	ways
)

// A thrift chooses the way in which the calls of one loop that wait alone wait. From
// time to time it measures a number of waits of each way, and keeps the best.
type thrift struct {
	usual way
	trial int        // the waits in progress are of this slice of the trial; 0: no trial
	left  int        // waits until the next slice, or trial
	rest  int        // waits between two trials
	least [ways]bill // of the slices of each way in this trial
	begun bill       // the clocks at the beginning of the slice
}

const (
	thriftSlice   = 8             // waits of one way in succession
	thriftSlices  = 4 * int(ways) // of a trial; the ways take turns
	thriftMinRest = 64            // the fewest waits between two trials
	thriftMaxRest = 65536         // the most
)

// A bill is the cost of a number of waits, and of the work between them.
type bill struct {
	cpu, clock time.Duration // of the process
}

// way begins a wait and returns its way.
func (t *thrift) way() way {
	if t.left == 0 {
		t.next(readBill())
	}
	t.left--
	if t.trial > 0 {
		return t.tried()
	}
	return t.usual
}

// tried returns the way of the slice.
func (t *thrift) tried() way { return way((t.trial - 1) % int(ways)) }

// next begins the next slice of the trial, or the next trial, or ends the trial.
func (t *thrift) next(now bill) {
	if t.rest == 0 {
		t.left, t.rest = thriftMinRest, thriftMinRest
		return
	}
	if t.trial > 0 {
		t.note(t.tried(), now.minus(t.begun))
	} else {
		t.least = [ways]bill{}
	}
	t.left, t.begun = thriftSlice, now
	for t.trial++; t.trial <= thriftSlices; t.trial++ {
		if !t.hopeless(t.tried()) {
			return
		}
	}
	t.trial = 0
	t.judge()
	t.left = t.rest
}

// hopeless reports whether a way has cost twice as much as another in this trial, so that
// the rest of its slices can be saved.
func (t *thrift) hopeless(w way) bool {
	b := t.least[w]
	for _, other := range t.least {
		if other != (bill{}) && (b.clock > 2*other.clock || b.cpu > 2*other.cpu) {
			return true
		}
	}
	return false
}

// note takes in the cost of a slice. The least costs count: a slice in which other
// programs have run does not.
func (t *thrift) note(w way, b bill) {
	if l := &t.least[w]; *l == (bill{}) {
		*l = b
	} else {
		l.cpu, l.clock = min(l.cpu, b.cpu), min(l.clock, b.clock)
	}
}

// judge makes the best way the usual one. While that stays the same, the rest between two
// trials doubles.
func (t *thrift) judge() {
	best := wayPark
	for w := best + 1; w < ways; w++ {
		if t.least[w].better(t.least[best]) {
			best = w
		}
	}
	t.rest = min(2*t.rest, thriftMaxRest)
	if best != t.usual {
		t.usual, t.rest = best, thriftMinRest
	}
}

// better reports whether b is a better bill than c: less time for at most a tenth more
// processor time, or a tenth less processor time for the same time.
func (b bill) better(c bill) bool {
	return 100*b.clock < 97*c.clock && 10*b.cpu <= 11*c.cpu || 100*b.clock <= 103*c.clock && 10*b.cpu < 9*c.cpu
}

func readBill() bill {
	var cpu unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &cpu)
	return bill{time.Duration(cpu.Nano()), time.Duration(time.Since(origin))}
}

var origin = time.Now()

func (b bill) minus(c bill) bill { return bill{b.cpu - c.cpu, b.clock - c.clock} }
