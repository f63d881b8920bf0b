package loop

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed-2334f180/weir/timers"
)

// schedule has t expire at the deadline (nanoseconds on the loop's clock) or
// up to one tick later, and ends the loop's sleep if it would oversleep that.
func (l *Loop) schedule(t *timers.Timer[expirer], deadline int64) {
	when := ticksUp(deadline)
	l.timerMu.Lock()
	l.wheel.Schedule(t, when)
	oversleeps := when < l.bound
	if oversleeps {
		l.bound = when
	}
	l.timerMu.Unlock()
	if oversleeps && l.asleep.Load() {
		// It fails only when the loop is closing, which ends all waits anyway.
		_ = l.poller.Hasten(l.at(when))
	}
}

func (l *Loop) cancel(t *timers.Timer[expirer]) bool {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	return l.wheel.Cancel(t)
}

// at is the time of a tick.
func (l *Loop) at(when uint64) time.Time { return l.start.Add(time.Duration(when) * tick) }

// ticksUp rounds up: a timer is never early.
func ticksUp(ns int64) uint64 {
	return uint64(ns/int64(tick)) + uint64(min(ns%int64(tick), 1))
}

// after is the moment d from now on the loop's clock. One that is beyond the
// clock's range, some 290 years, is at its end.
func (l *Loop) after(d time.Duration) int64 {
	now := l.nanos()
	if int64(d) > farthest-now {
		return farthest
	}
	return now + max(int64(d), 0)
}

// moment is a time on the loop's clock; 0 of the zero time, else greater.
func (l *Loop) moment(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t == t.Round(0): // it has no monotonic reading, so now is compared by the wall clock
		return max(l.after(time.Until(t)), 1)
	}
	return min(max(int64(t.Sub(l.start)), 1), farthest)
}

// farthest leaves room for rounding up and for adding the loop's start.
const farthest = math.MaxInt64 / 2

// A Timer calls a function on its loop, once.
type Timer struct {
	loop *Loop
	node timers.Timer[expirer]
	f    func()
}

// AfterFunc has f called on the loop's goroutine when d has passed: never
// earlier, and later by a tenth of a millisecond plus what the loop is busy
// with. f must not block. A d of zero or less means the next turn. On a closed
// loop the error is ErrLoopClosed; a loop that is closed later drops the timer.
func (l *Loop) AfterFunc(d time.Duration, f func()) (*Timer, error) {
	if f == nil {
		return nil, errors.New("loop: after: the function is nil")
	}
	select {
	case <-l.done:
		return nil, fmt.Errorf("loop: after %v: %w", d, ErrLoopClosed)
	default:
	}
	t := l.NewTimer(f)
	l.schedule(&t.node, l.after(d))
	return t, nil
}

// NewTimer makes a timer of f, which must not be nil. It fires when it has been
// Reset. So f may use the variable that the timer is kept in.
func (l *Loop) NewTimer(f func()) *Timer {
	t := &Timer{loop: l, f: f}
	t.node.Owner = t
	return t
}

// Stop cancels the timer and reports whether it was still to fire. If not, its
// function may be running.
func (t *Timer) Stop() bool { return t.loop.cancel(&t.node) }

// Reset has the timer fire when d has passed from now, whether or not it has
// fired before, and reports whether it was still to fire. On a closed loop it
// does not fire.
func (t *Timer) Reset(d time.Duration) bool {
	active := t.Stop()
	t.loop.schedule(&t.node, t.loop.after(d))
	return active
}

func (t *Timer) expire(int64) { t.loop.protect(t.f) }
