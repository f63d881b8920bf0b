package loop

import (
	"sync/atomic"
	"time"
)

// limits are the deadlines of all calls of a direction, on the loop's clock; 0
// for none. Most registrations never get any.
type limits [2]atomic.Int64

// limit is the direction's deadline.
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

// SetDeadline bounds all calls of a direction by a time: those that wait now,
// whose waits end with ErrTimeout when it comes, and those that begin later. A
// call that begins when the time has passed fails at once, whatever is ready.
// It holds beside a Call's own Timeout until it is set anew; the zero time is no
// deadline. After Close the error is ErrClosed or ErrLoopClosed.
//
// A deadline that is moved under a blocked call counts from then on. While no
// call has the turn, setting one takes no lock, and arms no timer.
func (r *Blocking) SetDeadline(d Direction, t time.Time) error {
	if r.state.Load()&stateClosed != 0 {
		return r.why()
	}
	r.setLimit(d, r.loop.moment(t))
	// Stored before looking: a call that has not got the turn yet looks after.
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

// due is when a waiter's time is up: the call's, or the direction's. It is
// asked anew each time, as the direction's may be moved.
func (r *Registration) due(d Direction, w *waiter) int64 {
	return earliest(w.deadline, r.limit(d))
}

// earliest is the earlier of two deadlines, 0 being none.
func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
