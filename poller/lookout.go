//go:build linux

package poller

import (
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// A Lookout looks for Pollers that have events and whose waiting goroutines were not
// told. Go's scheduler asks for the events of parked goroutines when a thread runs out
// of work. So if all running threads have enough to do, a Poller of the Parked strategy
// may sleep on, for as long as ten milliseconds, although processors are idle.
//
// It is for one goroutine at a time. The zero Lookout is ready for use.
type Lookout struct {
	pollers [mostLooks]*Poller
	fds     [mostLooks]unix.PollFd
	n       int
}

// mostLooks is how many Pollers one look asks for.
const mostLooks = 16

// Add adds p to the Pollers of the next look, unless p sleeps in another way than
// Parked. It returns false if there is no room. p may be closed at any time.
func (o *Lookout) Add(p *Poller) bool {
	if _, parks := p.sleeper.(*parked); !parks {
		return true
	}
	if o.n == mostLooks {
		return false
	}
	o.pollers[o.n] = p
	o.fds[o.n] = unix.PollFd{Fd: int32(p.epfd), Events: unix.POLLIN}
	o.n++
	return true
}

// Look wakes the goroutines that sleep in the Wait of a Poller that has events, and
// forgets the Pollers. It returns how many it has woken.
func (o *Lookout) Look() (woken int) {
	if o.n == 0 {
		return 0
	}
	_ = sys.Poll(o.fds[:o.n]) // if it fails, it reports nothing
	for i, p := range o.pollers[:o.n] {
		// If p was closed, the number may be that of another file by now. Then rouse does no harm.
		if o.fds[i].Revents&unix.POLLIN != 0 && p.sleeper.(*parked).rouse() {
			woken++
		}
		o.pollers[i] = nil
	}
	o.n = 0
	return woken
}

// Rouse ends the sleep of the goroutine in Wait if there are events of which nobody has
// told it, and reports whether it has done so. A Poller that does not sleep in the Parked
// way needs no Rouse, and gets none.
func (p *Poller) Rouse() bool {
	s, parks := p.sleeper.(*parked)
	if !parks || s.roused.Load() {
		return false
	}
	// If p was closed, the number may be that of another file by now. Then rouse does no harm.
	return sys.Polled(p.epfd, unix.POLLIN) != 0 && s.rouse()
}

// rouse ends the sleep of park, or its next sleep. It reports whether it has done so.
func (p *parked) rouse() bool {
	return p.roused.CompareAndSwap(false, true) && p.file.SetReadDeadline(longAgo) == nil
}

var longAgo = time.Unix(1, 0)

// calm undoes rouse. The caller looks for events afterwards.
func (p *parked) calm() {
	_ = p.file.SetReadDeadline(time.Time{}) // it fails only if the file is closed
	p.roused.Store(false)
}
