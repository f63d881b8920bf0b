package loop

import (
	"context"
	"time"
)

// Blocking is a Registration for calls that wait, as recv(2) does on a blocking
// descriptor. It is for packages that implement such calls, as package socket
// does; a program that only wants to know when a descriptor is ready needs a
// Registration alone.
//
// In each direction one call at a time has the turn; the others queue for it,
// first come, first served. A call begins with Begin, waits with Wait, or one of
// its variants, and ends with End. Embed a Blocking in what it serves, and
// give the Registration in it to Loop.Register.
//
// It is concurrency-safe, except the methods of the call that has the turn.
type Blocking struct{ Registration }

// The values of a timeout: see the table in the package's documentation.
const (
	NoWait  time.Duration = 0  // the call does not wait
	Forever time.Duration = -1 // the call waits for as long as it takes; so does any negative value
)

// A Call is the state of one call on a Blocking: the time for all of its waits
// together, and a way to end it. A Call serves one call. The zero Call does not
// wait. It is for one goroutine at a time.
type Call struct {
	// Timeout is the longest time that the call may wait, for the turn and for
	// readiness together: NoWait, Forever, or a limit.
	Timeout time.Duration
	// Context, if not nil, ends the call's waits when it is done; the error is
	// then a *CancelError.
	Context context.Context

	deadline int64 // of all waits; 0 until the first of them fixes it
}

// CancelError is the error of a call that its context has ended. The cause comes
// from the program and may be any error, even an errno; the type tells it from an
// error of the kernel or of the loop.
type CancelError struct {
	Cause error // context.Cause of the context
}

// Error returns the cause's text.
func (e *CancelError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *CancelError) Unwrap() error { return e.Cause }

func cancelled(ctx context.Context) error { return &CancelError{context.Cause(ctx)} }

// fix returns the deadline of all the call's waits; 0 is none. The first wait fixes
// it, and not Begin, so that a call that does not wait does not read the clock.
func (c *Call) fix(l *Loop) int64 {
	if c.deadline == 0 && c.Timeout > 0 {
		c.deadline = max(l.after(c.Timeout), 1)
	}
	return c.deadline
}

// Begin starts a call that may wait: it keeps the descriptor open until End, and
// takes the direction's turn, for which it queues while another call has it. It
// reports whether a system call is worth trying; if not, the system call would
// return EAGAIN, so call Wait first. After an error the call is over; otherwise End
// must follow. The errors are ErrClosed, ErrLoopClosed, a *CancelError if the
// context is done already, ErrTimeout if the direction's deadline has passed, and
// what ends the wait for the turn: ErrTimeout, ErrInterrupted, a *CancelError.
func (r *Blocking) Begin(d Direction, c *Call) (ready bool, err error) {
	held, mark, sure := d.of(heldBit), d.of(readyBit), d.sure()
	done := c.Context != nil && c.Context.Err() != nil
	for {
		s := r.state.Load()
		if s&stateClosed != 0 {
			return false, r.why()
		}
		if done {
			return false, cancelled(c.Context)
		}
		if r.overdue(d) {
			return false, ErrTimeout
		}
		if s&held != 0 {
			return r.queueUp(d, c)
		}
		// The mark is cleared before the system call, so that an edge which
		// arrives during the system call sets it again.
		if r.state.CompareAndSwap(s, (s|held)&^(mark|sure)+oneCall) {
			return s&mark != 0, nil
		}
	}
}

// queueUp waits for the turn.
func (r *Blocking) queueUp(d Direction, c *Call) (ready bool, err error) {
	if err := r.Use(); err != nil {
		return false, err
	}
	if c.Timeout == 0 {
		r.Done()
		return false, ErrTimeout
	}
	w := r.loop.takeWaiter()
	r.mu.Lock()
	for {
		s := r.state.Load()
		if s&stateClosed != 0 {
			r.mu.Unlock()
			r.loop.giveWaiter(w)
			err := r.why()
			r.Done()
			return false, err
		}
		if s&d.of(heldBit) == 0 {
			mark := d.of(readyBit)
			if !r.state.CompareAndSwap(s, (s|d.of(heldBit))&^(mark|d.sure())) {
				continue
			}
			r.mu.Unlock()
			r.loop.giveWaiter(w)
			return s&mark != 0, nil
		}
		if r.state.CompareAndSwap(s, s|d.of(queuedBit)) {
			break
		}
	}
	w.deadline = c.fix(r.loop)
	r.queue[d].push(w, nil)
	r.arm(r.due(d, w))
	r.mu.Unlock()
	if err := r.rest(w, c); err != nil {
		r.Done()
		return false, err
	}
	// End has handed the turn over: the held bit is still set.
	mark := d.of(readyBit)
	return r.state.And(^(mark|d.sure()))&mark != 0, nil
}

// End finishes a call that began with Begin, and hands the turn to the next call in
// the queue. more says whether another system call may succeed without waiting, as
// far as the result of the last one tells. Only the call that has the turn may call it.
func (r *Blocking) End(d Direction, more bool) {
	held, queued := d.of(heldBit)|d.interrupted(), d.of(queuedBit)
	var mark uint64
	if more {
		mark = d.of(readyBit)
	}
	for {
		s := r.state.Load()
		if s&queued != 0 {
			break
		}
		if s&callsMask == oneCall { // the last call of a closed descriptor
			r.release()
			return
		}
		if r.state.CompareAndSwap(s, (r.stamp(s, d)&^held|mark)-oneCall) {
			return
		}
	}
	r.mu.Lock()
	next := r.queue[d].pop()
	gone := d.interrupted()
	if next == nil {
		gone = held
	}
	if r.queue[d].last == nil {
		gone |= queued
	}
	for {
		s := r.state.Load()
		if r.state.CompareAndSwap(s, r.stamp(s, d)&^gone|mark) {
			break
		}
	}
	r.mu.Unlock()
	if next != nil {
		next.unpark()
	}
	r.release()
}
