package poller

import "time"

// A choice is between the two ways in which a Wait of the parked strategy may go
// on when there is nothing: to hold its P, spinning and lingering, or to park at
// once. To hold is faster for what comes from other processes. For what other
// goroutines of this one are about to send it is slower, by as much as ten times:
// they need this P, or what the scheduler would find out if it had nothing else
// to do. Nobody tells where events come from, so the other way is tried now and
// then, for a few waits, and their pace decides.
type choice struct {
	parks bool // the usual way
	phase phase
	left  int // waits, of the phase
	rest  int // waits between two trials

	events int // since the phase began
	begun  time.Time
	usual  pace
}

type phase int

const (
	resting phase = iota
	timing        // the usual way
	trying        // the other
)

const (
	trial   = 8
	minRest = 64
	maxRest = 8192
)

// A pace is how long so many events took.
type pace struct {
	took   time.Duration
	events int
}

// park begins a wait, and says whether it is to park at once.
func (c *choice) park() bool {
	if c.left == 0 {
		c.next()
	}
	c.left--
	return c.parks != (c.phase == trying)
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
		c.phase, c.left = resting, c.rest
	}
	c.events = 0
}

// judge makes the better way the usual one. Parking is that only if it is faster
// by half: chance alone seldom makes it so. The longer nothing changes, the rarer
// are the trials.
func (c *choice) judge(usual, other pace) {
	held, parked := usual, other
	if c.parks {
		held, parked = other, usual
	}
	parks := 3*int64(parked.took)*int64(held.events) < 2*int64(held.took)*int64(parked.events)
	c.rest = min(2*c.rest, maxRest)
	if parks != c.parks {
		c.parks, c.rest = parks, minRest
	}
}
