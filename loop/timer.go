package loop

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed-2334f180/weir/timers"
)

// schedule has t expire at the deadline, in nanoseconds on the loop's clock, or up to
// one tick later. If the loop would sleep for longer, its sleep is shortened.
func (l *Loop) schedule(t *timers.Timer[expirer], deadline int64) {
	when := ticksUp(deadline)
	l.timerMu.Lock()
	l.wheel.Schedule(t, when)
	l.published.armed++
	oversleeps := when < l.bound
	if oversleeps {
		l.bound = when
	}
	l.timerMu.Unlock()
	if oversleeps && l.asleep.Load() {
		// An error means that the loop is being closed, which ends all waits.
		_ = l.poller.Hasten(l.at(when))
	}
}

func (l *Loop) cancel(t *timers.Timer[expirer]) bool {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	return l.wheel.Cancel(t)
}

// at returns the time of a tick.
func (l *Loop) at(when uint64) time.Time { return l.start.Add(time.Duration(when) * tick) }

// ticksUp returns the first tick that is not before ns, so that no timer is early.
func ticksUp(ns int64) uint64 {
	return uint64(ns/int64(tick)) + uint64(min(ns%int64(tick), 1))
}

// after returns the moment d from now on the loop's clock, and at most farthest.
func (l *Loop) after(d time.Duration) int64 {
	now := l.nanos()
	if int64(d) > farthest-now {
		return farthest
	}
	return now + max(int64(d), 0)
}

// moment returns a time on the loop's clock: 0 for the zero time, and at least 1 for
// every other.
func (l *Loop) moment(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t == t.Round(0): // it has no monotonic reading: the wall clock tells how far it is
		return max(l.after(time.Until(t)), 1)
	}
	return min(max(int64(t.Sub(l.start)), 1), farthest)
}

// farthest is the latest deadline, some 146 years after the loop's start. It leaves
// room for rounding up and for adding the start.
const farthest = math.MaxInt64 / 2

// A Timer calls a function on its loop, once for each Reset. It is concurrency-safe.
type Timer struct {
	loop *Loop
	node timers.Timer[expirer]
	f    func()
}

// AfterFunc has f called on the loop's goroutine when d has passed: never early, and
// late by a tenth of a millisecond at most, plus the time that the loop is busy. f
// must not block. With a d of zero or less f is called in the next turn. On a closed
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

// NewTimer returns a timer that calls f, which must not be nil. It fires only after a
// Reset, so that f can use the variable that holds the timer.
func (l *Loop) NewTimer(f func()) *Timer {
	t := &Timer{loop: l, f: f}
	t.node.Owner = t
	return t
}

// Stop cancels the timer and reports whether it was scheduled. If it was not, its
// function may be running.
func (t *Timer) Stop() bool { return t.loop.cancel(&t.node) }

// Reset has the timer fire when d has passed from now, whether or not it has fired
// before, and reports whether it was scheduled. On a closed loop it does not fire.
func (t *Timer) Reset(d time.Duration) bool {
	active := t.Stop()
	t.loop.schedule(&t.node, t.loop.after(d))
	return active
}

func (t *Timer) expire(int64) { t.loop.protect(t.f) }
