package poller

import (
	"runtime"
	"time"
)

// A spinner has a Wait poll for a while before it sleeps. To sleep and be woken
// takes time of its own, some microseconds of the processor's and, on a virtual
// machine whose idle processor the host has to wake, tens of the clock's. Where
// the next event comes sooner, as the next request of a busy client does, not
// to sleep is faster, and no dearer. Where it does not, the while is lost, so
// spinning is given up, for longer each time, unless two in three of the last
// spins have ended with an event.
type spinner struct {
	most  time.Duration // of a spin; 0: none
	yield bool          // to other goroutines, between polls

	doubt uint // grows with what was in vain
	skip  uint // waits that will not spin
}

const (
	// Doubt rises by inVain with a spin in vain, and falls by one with another.
	inVain = 2
	// maxDoubt makes it 1 wait in 1024 that spins, when the last many were in
	// vain.
	maxDoubt = 10
)

// spin polls until there are events. It returns none where the caller should
// sleep.
func (s *spinner) spin(epfd int, events []Event) (int, error) {
	switch {
	case s.most <= 0:
		return 0, nil
	case s.skip > 0:
		s.skip--
		return 0, nil
	}
	if n, err := pollNow(epfd, events); n != 0 || err != nil {
		return n, err // spinning has no part in it
	}
	for start := time.Now(); time.Since(start) < s.most; {
		if s.yield {
			runtime.Gosched()
		}
		n, err := pollNow(epfd, events)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			s.doubt -= min(s.doubt, 1)
			return n, nil
		}
	}
	s.doubt = min(s.doubt+inVain, maxDoubt)
	s.skip = 1<<s.doubt - 1
	return 0, nil
}
