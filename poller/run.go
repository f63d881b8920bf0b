//go:build linux

package poller

import (
	"errors"
	"os"
	"time"
)

// Run waits and calls turn, again and again, until turn returns false. Before each wait
// it calls begin, which returns the wait's deadline. turn gets what Wait would return.
// The events are in the slice until turn returns. turn must not call Close, which waits
// for Run to use the descriptors no more. The goroutine that calls Run must not
// call Wait meanwhile, and no other goroutine may call either.
//
// With the Parked strategy a wait of Run makes one system call where Wait makes two. For
// Wait asks the runtime to forget the edges that it has seen, and so must look for events
// before it parks. Run stays within one call of RawConn.Read, and the runtime remembers
// the edges that come during a turn.
func (p *Poller) Run(events []Event, begin func() time.Time, turn func(n int, err error) bool) {
	s, parks := p.sleeper.(*parked)
	if !parks {
		for {
			if n, err := p.Wait(events, begin()); !turn(n, err) {
				return
			}
		}
	}
	r := &run{p: p, parked: s, events: events, begin: begin, turn: turn, more: true}
	for step := r.step; !r.over; {
		switch err := s.conn.Read(step); {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.calm()
		case p.closing.Load(): // Close has closed the file between two turns
			r.end(0, ErrClosed)
		default:
			r.end(0, err)
		}
	}
}

// A run is the state of a Run.
type run struct {
	*parked
	p      *Poller
	events []Event
	begin  func() time.Time
	turn   func(int, error) bool

	waiting bool // a wait has begun
	look    bool // its deadline has passed: it does not sleep
	more    bool // the last look has filled the slice, so that the kernel may have more
	over    bool // turn has returned false
}

// step is called by RawConn.Read at first and after each edge. It returns false for the
// goroutine to park until the next edge.
func (r *run) step(uintptr) (done bool) {
	for !r.over {
		var n int
		var err error
		if r.waiting {
			n, err = r.poll()
		} else {
			if r.look, err = r.p.enter(r.begin()); err != nil {
				r.over = !r.turn(0, err)
				continue
			}
			r.waiting = true
			if r.look || r.more {
				n, err = r.poll()
			}
			if n == 0 && err == nil && !r.look && r.mayHold() && !r.choice.park() {
				n, err = r.hold(r.events)
			}
		}
		if r.more = n == len(r.events); n == 0 && err == nil && !r.look {
			r.spinner.counts.Sleeps++
			return false
		}
		r.choice.events += n
		ended := false
		if err == nil {
			n, ended, err = r.p.sift(r.events[:n])
		}
		if n > 0 || ended || err != nil || r.look || r.p.closing.Load() {
			r.end(n, err)
		} else if !r.more {
			r.spinner.counts.Sleeps++
			return false
		}
	}
	return true
}

// poll looks for events without sleeping.
func (r *run) poll() (int, error) {
	r.looks++
	return pollNow(r.epfd, r.events)
}

// end ends the wait, if there is one, and calls turn.
func (r *run) end(n int, err error) {
	if r.waiting {
		r.waiting = false
		if err == nil && r.p.closing.Load() {
			n, err = 0, ErrClosed
		}
		r.p.leave()
	}
	r.over = !r.turn(n, err)
}
