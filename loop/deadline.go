package loop

import (
	"sync/atomic"
	"time"
)

// limits are the two directions' deadlines, on the loop's clock; 0 is none. Most
// registrations have no limits.
type limits [2]atomic.Int64

// limit returns the direction's deadline.
func (r *Registration) limit(d Direction) int64 {
	if l := r.limits.Load(); l != nil {
		return l[d].Load()
	}
	return 0
}

func (r *Registration) setLimit(d Direction, at int64) {
	l := r.limits.Load()
	if l == nil {
		if at == 0 {
			return
		}
		r.limits.CompareAndSwap(nil, new(limits))
		l = r.limits.Load()
	}
	l[d].Store(at)
}

// SetDeadline bounds all calls of a direction by a time; the zero time is no bound.
// When it comes, the calls that wait end with ErrTimeout. A call that begins later
// fails at once with ErrTimeout, even if the direction is ready. A new deadline holds
// for the calls that wait already, too. A Call's own Timeout holds beside it. After
// Close the error is ErrClosed or ErrLoopClosed.
//
// While no call has the turn, SetDeadline takes no lock and arms no timer.
func (r *Blocking) SetDeadline(d Direction, t time.Time) error {
	if r.state.Load()&stateClosed != 0 {
		return r.why()
	}
	r.setLimit(d, r.loop.moment(t))
	// The deadline was stored before this look: a call that takes the turn later
	// finds it.
	if r.state.Load()&d.of(heldBit) == 0 {
		return nil
	}
	var list ring
	r.mu.Lock()
	if r.overdue(d) {
		list = r.take(ErrTimeout, func(of Direction, _ *waiter) bool { return of == d })
	} else if r.parked[d] != nil || r.queue[d].last != nil || d == Read && r.state.Load()&stateReceiving != 0 {
		r.arm(r.limit(d))
	}
	r.mu.Unlock()
	list.wake(nil)
	return nil
}

// overdue reports whether the direction's deadline has passed.
func (r *Registration) overdue(d Direction) bool {
	limit := r.limit(d)
	return limit != 0 && limit <= r.loop.nanos()
}

// due returns when a waiter's time is over: the earlier of its call's deadline and the
// direction's, which SetDeadline may have moved since the last look.
func (r *Registration) due(d Direction, w *waiter) int64 {
	return earliest(w.deadline, r.limit(d))
}

// earliest returns the earlier of two deadlines; 0 is none.
func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
