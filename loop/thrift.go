package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// A thrift decides whether the waits of a seat poll before they block. On a quiet
// machine, above all a virtual one, blocking and waking up takes as much processor time
// as polling, and far more time. But if the peer needs this processor, or is another
// goroutine of this process, polling takes more processor time. So from time to time the
// thrift measures 64 waits of each kind, and keeps the cheaper kind.
type thrift struct {
	blocks bool // the waits block without polling; at first they poll
	phase  thriftPhase
	left   int  // waits until the next phase
	rest   int  // waits between two trials
	usual  bill // the cost of the usual kind of wait, in the last trial
	begun  bill // the clocks at the beginning of the phase
}

type thriftPhase int

const (
	thriftResting thriftPhase = iota
	thriftTiming              // the usual kind of wait is measured
	thriftTrying              // the other kind is tried and measured
)

const (
	thriftTrial   = 64    // waits of a measurement
	thriftMinRest = 256   // the fewest waits between two trials
	thriftMaxRest = 65536 // the most
)

// A bill is the cost of a number of waits, and of the work between them.
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

// judge makes the cheaper kind of wait the usual one. Polling is cheaper if it takes
// less time, and at most a tenth more processor time. As long as the result stays the
// same, the rest between two trials doubles.
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
