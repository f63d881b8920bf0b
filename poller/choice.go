//go:build linux

package poller

import "time"

// A choice decides what a Wait of the parked strategy does when there are no events:
// hold its P (the scheduler's right to run Go code), by spinning and lingering, or park
// at once. Holding is faster if the events come from other processes. If they come from
// goroutines of this process, holding may be slower, by up to ten times: those need the
// P, or they wait for something that the scheduler looks for only when it has nothing
// to run. Nothing tells where events come from. So now and then the choice tries the
// other way for a few waits, and takes the one in which events came faster.
type choice struct {
	parks bool // the usual way is to park
	phase phase
	left  int // waits until the phase ends
	rest  int // waits between two trials

	events int       // since the phase began
	begun  time.Time // when the phase began
	usual  pace      // of the usual way, measured before the trial
	misses int       // lingers that found nothing, since the last trial
}

type phase int

const (
	resting phase = iota // the usual way, not measured
	timing               // the usual way, measured
	trying               // the other way, measured
)

const (
	// trial is the number of waits that are measured. It is large enough for waits
	// that differ: one that holds may take microseconds, or a whole linger if it
	// keeps the sender from running.
	trial = 32
	// minRest and maxRest bound the number of waits between two trials.
	minRest = 64
	maxRest = 16384
	// mostMisses lingers that find nothing start the next trial early.
	mostMisses = 16
)

// A pace is the number of events that came in a time.
type pace struct {
	took   time.Duration
	events int
}

// park begins a wait, and reports whether the wait is to park at once.
func (c *choice) park() bool {
	// A trial that has taken twice as long as the usual way need not go on.
	if c.left == 0 || c.phase == trying && time.Since(c.begun) > 2*c.usual.took {
		c.next()
	}
	c.left--
	return c.parks != (c.phase == trying)
}

// missed counts a linger that found nothing although lingers before it had found
// events. Either no more events come for now, or the lingering keeps them from coming.
func (c *choice) missed() {
	if c.misses++; c.misses >= mostMisses && c.phase == resting {
		c.left = 0
	}
}

// next begins the next phase.
func (c *choice) next() {
	switch c.phase {
	case resting:
		c.rest = max(c.rest, minRest)
		c.phase, c.left, c.begun = timing, trial, time.Now()
	case timing:
		now := time.Now()
		c.usual = pace{now.Sub(c.begun), c.events}
		c.phase, c.left, c.begun = trying, trial, now
	case trying:
		c.judge(c.usual, pace{time.Since(c.begun), c.events})
		c.phase, c.left, c.misses = resting, c.rest, 0
	}
	c.events = 0
}

// judge makes the faster way the usual one. Parking becomes the usual way only if it
// takes less than two thirds of holding's time for each event, and stays it while it is
// faster at all, so that chance seldom changes the way. While the way does not change,
// the rest before the next trial doubles, up to maxRest.
func (c *choice) judge(usual, other pace) {
	held, parked, margin := usual, other, int64(3)
	if c.parks {
		held, parked, margin = other, usual, 2
	}
	parks := margin*int64(parked.took)*int64(held.events) < 2*int64(held.took)*int64(parked.events)
	c.rest = min(2*c.rest, maxRest)
	if parks != c.parks {
		c.parks, c.rest = parks, minRest
	}
}
