package poller

import "time"

// A choice is between the two ways in which a Wait of the parked strategy may go
// on when there is nothing: to hold its P, spinning and lingering, or to park at
// once. To hold is faster for what comes from other processes. For what other
// goroutines of this one are about to send it is slower, by as much as ten times:
// they need this P, or what the scheduler would find out if it had nothing else
// to do; but it may be faster as long as other Ps are free. Nobody tells where
// events come from, so the other way is tried now and then, for a few waits, and
// their pace decides.
type choice struct {
	parks bool // the usual way
	phase phase
	left  int // waits, of the phase
	rest  int // waits between two trials

	events  int // since the phase began
	begun   time.Time
	usual   pace
	strikes int // since the last trial
}

type phase int

const (
	resting phase = iota
	timing        // the usual way
	trying        // the other
)

const (
	// A trial is long enough for the waits to differ: some of those that hold
	// take microseconds, and some a whole linger, if they keep others waiting.
	trial   = 32
	minRest = 64
	maxRest = 16384
	// mostStrikes is how many lingers in vain bring the next trial on.
	mostStrikes = 16
)

// A pace is how long so many events took.
type pace struct {
	took   time.Duration
	events int
}

// park begins a wait, and says whether it is to park at once.
func (c *choice) park() bool {
	// A trial that takes twice as long has shown what it is worth.
	if c.left == 0 || c.phase == trying && time.Since(c.begun) > 2*c.usual.took {
		c.next()
	}
	c.left--
	return c.parks != (c.phase == trying)
}

// struck notes that a wait lingered in vain, though events had followed one
// another closely. Either they pause, or the waiting keeps them from coming.
func (c *choice) struck() {
	if c.strikes++; c.strikes >= mostStrikes && c.phase == resting {
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
		c.phase, c.left, c.strikes = resting, c.rest, 0
	}
	c.events = 0
}

// judge makes the better way the usual one. Parking becomes that only if it is
// faster by half, and stays that if it is no slower: chance alone seldom changes
// the way. The longer nothing changes, the rarer are the trials.
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
