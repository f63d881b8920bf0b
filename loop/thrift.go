package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// A thrift decides whether the waits of a seat poll before they block. On a quiet
// machine, and most of all on a virtual one, to block and to be woken takes as much
// processor time as to poll, and far longer. Where the peer needs this processor, or
// another goroutine of this process is the peer, to poll takes more. So the other way
// is tried now and then for a few waits, and what both have cost decides.
type thrift struct {
	blocks bool // the usual way; to poll is the first choice
	phase  thriftPhase
	left   int // waits of the phase
	rest   int // waits between two trials
	usual  bill
	begun  bill // the clocks at the beginning of the phase
}

type thriftPhase int

const (
	thriftResting thriftPhase = iota
	thriftTiming              // the usual way is timed
	thriftTrying              // the other way is timed
)

const (
	thriftTrial   = 64 // waits of a trial
	thriftMinRest = 256
	thriftMaxRest = 65536
)

// A bill is what so many waits, and the work between them, have cost.
type bill struct {
	cpu, clock time.Duration // of the process
}

// poll begins a wait and reports whether it polls.
func (t *thrift) poll() bool {
	if t.left == 0 {
		t.next(readBill())
	}
	t.left--
	return t.blocks == (t.phase == thriftTrying)
}

// next begins the next phase.
func (t *thrift) next(now bill) {
	switch t.phase {
	case thriftResting:
		t.rest = max(t.rest, thriftMinRest)
		t.phase, t.left = thriftTiming, thriftTrial
	case thriftTiming:
		t.usual = now.minus(t.begun)
		t.phase, t.left = thriftTrying, thriftTrial
	case thriftTrying:
		t.judge(t.usual, now.minus(t.begun))
		t.phase, t.left = thriftResting, t.rest
	}
	t.begun = now
}

// judge makes the better way the usual one: to poll must take less time, and at most a
// tenth more of the processor's. The longer nothing changes, the rarer are the trials.
func (t *thrift) judge(usual, other bill) {
	polled, blocked := usual, other
	if t.blocks {
		polled, blocked = other, usual
	}
	blocks := polled.clock >= blocked.clock || 10*polled.cpu > 11*blocked.cpu
	t.rest = min(2*t.rest, thriftMaxRest)
	if blocks != t.blocks {
		t.blocks, t.rest = blocks, thriftMinRest
	}
}

func readBill() bill {
	var cpu unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &cpu)
	return bill{time.Duration(cpu.Nano()), time.Duration(time.Since(origin))}
}

var origin = time.Now()

func (b bill) minus(c bill) bill { return bill{b.cpu - c.cpu, b.clock - c.clock} }
