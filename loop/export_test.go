package loop

import (
	"runtime"
	"time"

	"github.com/seed-2334f180/weir/internal/procs"
	"github.com/seed-2334f180/weir/poller"
)

// Waiters returns how many calls are parked on r, for readiness or for the turn.
func (r *Registration) Waiters() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Load()&stateReceiving != 0 {
		n++
	}
	for d := range r.parked {
		if r.parked[d] != nil {
			n++
		}
		if last := r.queue[d].last; last != nil {
			for w := last.next; ; w = w.next {
				n++
				if w == last {
					break
				}
			}
		}
	}
	return n
}

// WatchesWrite reports whether the loop has the kernel report writability.
func (r *Registration) WatchesWrite() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.interest&poller.Writable != 0
}

// Arrive hands r an event of the loop's latest wait, or, with a later of 1, of the next
// one. The loop's goroutine does so, as always, unless the loop was closed.
func (r *Registration) Arrive(ev poller.Readiness, later uint64) {
	wait := r.loop.waits.Load() + later
	done := make(chan struct{})
	if r.loop.Post(func() { r.arrived(ev, wait); close(done) }) != nil {
		r.arrived(ev, wait)
		return
	}
	<-done
}

// Timers returns how many timers are in the loop's wheel.
func (l *Loop) Timers() int {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	return l.wheel.Len()
}

// Gates returns how many goroutines sleep in gates of the loop.
func (l *Loop) Gates() (n int) {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	for g := l.gates; g != nil; g = g.next {
		n++
	}
	return n
}

// Backlog returns how many goroutines the loop has woken that have not run since.
func (l *Loop) Backlog() int { return l.backlog.size() }

// Until waits for another goroutine's action, which comes within a moment. It does not
// sleep, so that the caller continues at almost the same time as that goroutine.
func Until(done func() bool) {
	for spins := 1; !done(); spins++ {
		if spins%100 == 0 {
			runtime.Gosched()
		}
	}
}

// Unbounded reports whether a call waits in Receive and no deadline bounds it.
func (r *Registration) Unbounded() bool { return r.state.Load()&stateReceiving != 0 }

// Marked reports whether the mark for reading is set.
func (r *Registration) Marked() bool { return r.state.Load()&Read.of(readyBit) != 0 }

// Probe and its methods do the work of an Inquiry for one question.
func (r *Registration) Probe() (probe, error) { return r.probe() }

func (p probe) Done()                  { p.done() }
func (p probe) Disprove(want Interest) { p.disprove(want) }
func (p probe) FD() int                { return int(p.r.fd) }

// The ways in which a call waits alone.
const (
	WayPark  = wayPark
	WayBlock = wayBlock
	WayPoll  = wayPoll
)

// Ways are all of them.
var Ways = []way{WayPark, WayBlock, WayPoll}

// SetAlone makes calls on r wait alone, as after many events of r and of no other
// registration, and in that way. No call on the loop may be waiting alone.
func (r *Blocking) SetAlone(w way) {
	x := &r.loop.lone
	x.key.Store(r.key)
	x.thrift = thrift{usual: w, left: 1 << 30}
}

// RingSpot rings the loop's spot as an unpark of an earlier call may.
func (r *Registration) RingSpot() {
	p := &r.loop.lone.spot
	p.ring()
}

// BlockFor changes how long a call that waits alone blocks its thread.
func BlockFor(d time.Duration) (before time.Duration) {
	before, longestBlock = longestBlock, d
	return before
}

// SpotDeadline returns the deadline of the loop's spot.
func (r *Registration) SpotDeadline() time.Time {
	p := &r.loop.lone.spot
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until
}

// Parked reports whether r holds its loop's spot.
func (r *Registration) Parked() bool { return r.loop.lone.spot.holder.Load() == r.key }

// MayWaitAlone reports whether the next call on r is to wait alone.
func (r *Blocking) MayWaitAlone() bool { return r.loop.lone.key.Load() == r.key }

// Watched reports whether the descriptor is in the epoll set.
func (r *Registration) Watched() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.interest != 0
}

// CountPs makes the next call that wants a seat ask for the number of Ps.
func CountPs() {
	seats.mu.Lock()
	defer seats.mu.Unlock()
	seats.procs = procs.Count{}
}

// Seats returns how many seats are taken.
func Seats() (n int) {
	for i := range seats.all {
		if seats.all[i].taken.Load() {
			n++
		}
	}
	return n
}

// AloneAfter is the number of events that make a registration the only busy one.
const AloneAfter = aloneAfter

// QueueUp is what Begin does when it has found that another call has the turn. That call
// may end before QueueUp takes the lock.
func (r *Blocking) QueueUp(d Direction, c *Call) (ready bool, err error) { return r.queueUp(d, c) }

// ReceiveNothing lets the next calls of recv(2) in a spot find nothing, n of them for each edge,
// although there is input: so does the kernel at TCP urgent data while a signal is pending.
// restore ends it.
func ReceiveNothing(n int) (restore func()) {
	left := n
	receiveInSpot = func(c *reception, fd int32) {
		if left > 0 {
			left--
			return
		}
		left = n
		c.receive(fd)
	}
	return func() { receiveInSpot = (*reception).receive }
}
