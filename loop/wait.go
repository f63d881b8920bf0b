package loop

import (
	"context"
	"time"
)

// Wait parks the call until its direction may be ready, and returns nil; then try
// the system call again. It returns at once if an event has come since the call's
// last system call began. The errors are ErrTimeout when the call's time or the
// direction's deadline is over, ErrClosed and ErrLoopClosed, ErrInterrupted, a
// *CancelError when the context is done, and epoll_ctl(2)'s error, such as EPERM,
// for a descriptor that the kernel does not watch. End must follow all the same. Only
// the call that has the turn may call it.
func (r *Blocking) Wait(d Direction, c *Call) error {
	if c.Timeout == 0 {
		return ErrTimeout
	}
	return r.park(d, c, c.fix(r.loop), true)
}

// WaitAtMost is Wait, but also returns nil when the time most is over. It is for
// readiness of which the kernel reports only a part. Only the call that has the turn
// may call it.
func (r *Blocking) WaitAtMost(d Direction, c *Call, most time.Duration) error {
	return r.parkFor(d, c, most, true)
}

// Pause parks the call for a time, and returns nil when it is over. It is for
// conditions that the kernel does not report: events do not end a Pause. What else
// ends a Wait ends a Pause, with the same error. Only the call that has the turn may
// call it.
func (r *Blocking) Pause(d Direction, c *Call, pause time.Duration) error {
	return r.parkFor(d, c, pause, false)
}

func (r *Blocking) parkFor(d Direction, c *Call, most time.Duration, events bool) error {
	if c.Timeout == 0 {
		return ErrTimeout
	}
	until := r.loop.after(most)
	if end := c.fix(r.loop); end != 0 && end <= until {
		return r.park(d, c, end, events)
	}
	if err := r.park(d, c, until, events); err != ErrTimeout || r.overdue(d) {
		return err
	}
	return nil
}

// Await parks the call while f runs in a goroutine of its own, and returns nil when
// f has returned. What else ends a Wait ends Await, with the same error; Await then
// cancels f's context and does not wait for f. A call that does not wait returns
// ErrTimeout without calling f. Only the call that has the turn may call it.
func (r *Blocking) Await(d Direction, c *Call, f func(context.Context)) error {
	if c.Timeout == 0 {
		return ErrTimeout
	}
	parent := c.Context
	if parent == nil {
		parent = context.Background()
	}
	// f's context is not derived from the call's: f might then return before the
	// wait ends, and its failure would be taken for the reason.
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	defer cancel()
	// Not from the pool: f's goroutine may look for the waiter after the wait.
	w := r.loop.newWaiter()
	w.deadline = c.fix(r.loop)
	if parked, err := r.hang(d, w, hangWithoutEvents); !parked {
		return err
	}
	go func() {
		f(ctx)
		r.end(nil, w)
	}()
	cause, _ := r.sleep(w, c.Context)
	return cause
}

func (r *Blocking) park(d Direction, c *Call, deadline int64, events bool) error {
	w := r.loop.takeWaiter()
	w.deadline = deadline
	how := hangWatched
	if !events {
		how = hangWithoutEvents
	}
	parked, err := r.hang(d, w, how)
	if parked && c.Context != nil {
		return r.rest(w, c)
	}
	if parked {
		err = w.sleep()
	}
	r.loop.giveWaiter(w)
	return err
}

// How a waiter hangs on a Registration.
type hanging int

const (
	hangWatched       hanging = iota // the kernel watches the descriptor; readiness wakes the waiter
	hangUnwatched                    // the kernel need not watch the descriptor for it; an event wakes it all the same
	hangWithoutEvents                // readiness does not wake it
)

// hang makes w the direction's waiter. It returns false if the call must not park: because the direction is
// ready, when err is nil, or because of err.
func (r *Blocking) hang(d Direction, w *waiter, how hanging) (parked bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Load()&stateClosed != 0 { // else watch would add it to the epoll set again
		return false, r.closedFor()
	}
	events := how != hangWithoutEvents
	if how == hangWatched {
		if err := r.watch(d); err != nil {
			return false, err
		}
	}
	for hung := false; !hung; {
		s := r.state.Load()
		mark, interrupt := d.of(readyBit), d.interrupted()
		switch {
		case s&stateClosed != 0:
			return false, r.closedFor()
		case events && s&mark != 0:
			if r.state.CompareAndSwap(s, s&^(mark|d.sure())) {
				return false, nil
			}
		case s&interrupt != 0:
			if r.state.CompareAndSwap(s, s&^interrupt) {
				return false, ErrInterrupted
			}
		case !events:
			hung = true
		default:
			hung = r.state.CompareAndSwap(s, s|d.of(parkedBit))
		}
	}
	w.cause = nil
	r.parked[d] = w
	r.arm(r.due(d, w))
	return true, nil
}

// rest parks the goroutine until its waiter, which comes from the pool, is woken,
// and returns the reason.
func (r *Blocking) rest(w *waiter, c *Call) error {
	cause, free := r.sleep(w, c.Context)
	if free {
		r.loop.giveWaiter(w)
	}
	return cause
}

// sleep parks the goroutine until w is woken, and returns the reason. free reports
// whether no other goroutine can still look for w.
func (r *Blocking) sleep(w *waiter, ctx context.Context) (cause error, free bool) {
	if ctx == nil {
		return w.sleep(), true
	}
	stop := context.AfterFunc(ctx, func() {
		r.end(cancelled(ctx), w)
	})
	cause = w.sleep()
	return cause, stop()
}

// Interrupt ends every wait that is in progress, in both directions, with
// ErrInterrupted, and tells the observers. It returns the sum of the waits that it has
// ended and of the observers that it has told. If a call has the turn and is between two
// waits, its next wait fails with ErrInterrupted. On a closed Registration Interrupt
// does nothing.
func (r *Registration) Interrupt() int {
	r.mu.Lock()
	if r.state.Load()&stateClosed != 0 { // Close has told the observers
		r.mu.Unlock()
		return 0
	}
	for _, d := range [...]Direction{Read, Write} {
		for r.parked[d] == nil {
			s := r.state.Load()
			if s&d.of(heldBit) == 0 || r.state.CompareAndSwap(s, s|d.interrupted()) {
				break
			}
		}
	}
	list := r.takeAll(ErrInterrupted)
	told := r.notify(0, NoticeInterrupted)
	r.mu.Unlock()
	return list.wake(nil) + told
}

// end wakes one waiter, if it still waits.
func (r *Registration) end(cause error, w *waiter) {
	r.mu.Lock()
	list := r.take(cause, func(_ Direction, x *waiter) bool { return x == w })
	r.mu.Unlock()
	list.wake(nil)
}

// take removes the waiters that match, gives them the cause, and returns them. The
// caller holds the lock, and must wake them.
func (r *Registration) take(cause error, match func(Direction, *waiter) bool) (list ring) {
	for s := r.state.Load(); s&stateReceiving != 0 && match(Read, r.receiver); s = r.state.Load() {
		if r.state.CompareAndSwap(s, s&^stateReceiving) {
			list.push(r.receiver, cause)
		}
	}
	for _, d := range [...]Direction{Read, Write} {
		if w := r.parked[d]; w != nil && match(d, w) {
			r.parked[d] = nil
			r.state.And(^d.of(parkedBit))
			list.push(w, cause)
		}
		if r.queue[d].last == nil {
			continue
		}
		r.queue[d].move(&list, cause, func(w *waiter) bool { return match(d, w) })
		if r.queue[d].last == nil {
			r.state.And(^d.of(queuedBit))
		}
	}
	return list
}

func (r *Registration) takeAll(cause error) ring {
	return r.take(cause, func(Direction, *waiter) bool { return true })
}

// arm has the timer expire no later than the deadline; 0 is none. A timer that
// expires earlier is not moved: it then finds no waiter due, and expire arms it for
// those that wait by then. So calls that follow one another under a long timeout
// seldom touch the wheel. The caller holds the lock.
func (r *Registration) arm(deadline int64) {
	if deadline == 0 || r.deadline != 0 && r.deadline <= deadline {
		return
	}
	r.deadline = deadline
	r.loop.schedule(&r.timer, deadline)
}

// expire wakes the waiters whose time is over, and arms the timer for the others.
// It calls the handler of a Registration that has one.
func (r *Registration) expire(now int64) {
	r.mu.Lock()
	if r.state.Load()&stateClosed != 0 {
		r.mu.Unlock()
		return
	}
	if r.handler != nil {
		// Another handler's Expire may have moved the time in the same turn.
		due := r.deadline != 0 && r.deadline <= now
		if due {
			r.deadline = 0
		}
		r.mu.Unlock()
		if due {
			r.callExpire()
		}
		return
	}
	r.deadline = 0
	var next int64
	list := r.take(ErrTimeout, func(d Direction, w *waiter) bool {
		due := r.due(d, w)
		if due != 0 && due <= now {
			return true
		}
		next = earliest(next, due)
		return false
	})
	r.arm(next)
	r.mu.Unlock()
	r.loop.counts.woken += uint64(list.wake(&r.loop.backlog))
}
