//go:build linux

package poller

import (
	"runtime"
	"time"
)

// A spinner has a Wait poll for a while before it sleeps. To sleep and be woken takes
// some microseconds of processor time and, on a virtual machine whose idle processor
// the host has to wake, tens of microseconds to pass. If the next event comes sooner,
// as the next request of a busy client does, polling is faster than sleeping and takes
// no more processor time. If it does not, the time of the poll is lost. So the spinner
// stops polling unless two in three of the last polls found an event, and stops for
// longer each time.
type spinner struct {
	most  time.Duration // the longest spin; 0: none
	yield bool          // whether to yield to other goroutines between polls

	doubt uint // grows with each spin that finds nothing
	skip  uint // the number of waits that will not spin

	counts Counts // of all of the Poller's waits, which have the spinner at hand
}

const (
	// inVain is added to doubt by a spin that finds nothing; one that finds an
	// event subtracts 1.
	inVain = 2
	// maxDoubt lets 1 wait in 1024 spin while no spin finds anything.
	maxDoubt = 10
)

// spin polls until there are events. It returns 0 if the caller should sleep.
func (s *spinner) spin(epfd int, events []Event) (int, error) {
	switch {
	case s.most <= 0:
		return 0, nil
	case s.skip > 0:
		s.skip--
		return 0, nil
	}
	if n, err := pollNow(epfd, events); n != 0 || err != nil {
		return n, err // these were there before the spin
	}
	s.counts.Polls++
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
	s.counts.Vain++
	s.doubt = min(s.doubt+inVain, maxDoubt)
	s.skip = 1<<s.doubt - 1
	return 0, nil
}
