package loop

import (
	"time"

	"github.com/seed-2334f180/weir/poller"
)

// A Handler serves a Registration by callbacks, where nobody waits in calls.
// All are called on the loop's goroutine, one at a time and without a lock, and
// must not block. None is called once the Registration is closed, but Closed by
// the loop itself.
type Handler interface {
	// Ready tells what the kernel has reported. Every report comes once, so
	// the handler goes on until a system call says EAGAIN, or pokes the
	// Registration to go on in the next turn. After a Poke it is 0.
	Ready(poller.Readiness)

	// Expire tells that the time set with ExpireAt has come.
	Expire()

	// Closed tells that the loop was closed, and the Registration with it.
	Closed()
}

// Handled is a Registration that a Handler serves. Loop.Handle fills it in.
type Handled struct{ Registration }

// Handle puts a non-blocking descriptor on the loop, served by *h, which must
// not change. It is watched for reading, and for what WatchWrite says. The rest
// is as with Register; of the Registration's methods, those that wait are not for
// it. Unless Handle is called on the loop's goroutine, the handler may be called
// before it returns.
//
// A pointer to the handler keeps the registrations that have none small.
func (l *Loop) Handle(r *Handled, fd int, h *Handler) error {
	if err := l.register(&r.Registration, fd, KeepWritable, h); err != nil {
		return err
	}
	r.mu.Lock()
	err := r.watch(Read)
	r.mu.Unlock()
	if err != nil {
		// The descriptor stays the caller's, unless the loop was closed
		// meanwhile, with it, and has told h.
		if _, closed := r.Release(); closed != nil {
			return nil
		}
		return err
	}
	return nil
}

// WatchWrite has the kernel report that there is room to write, or no longer.
// Room that there is already is reported too.
func (r *Handled) WatchWrite(on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state.Load()&stateClosed != 0:
		return r.closedFor()
	case on:
		return r.watch(Write)
	case r.interest&poller.Writable == 0:
		return nil
	}
	if err := r.loop.poller.Modify(int(r.fd), r.key, watchRead); err != nil {
		return err
	}
	r.interest = watchRead
	return nil
}

// Poke has the handler's Ready called in the loop's next turn, once for all
// pokes until then. Any goroutine may call it.
func (r *Handled) Poke() {
	if r.state.Or(statePoked)&(statePoked|stateClosed) != 0 {
		return
	}
	l := r.loop
	l.mu.Lock()
	l.poked = append(l.poked, r.key)
	l.work.Store(true)
	l.mu.Unlock()
	// It fails only when the loop is closing, which tells the handler.
	_ = l.wake()
}

// handlePoked calls the handlers that were poked before this turn, or as many
// of them as a turn takes events.
func (l *Loop) handlePoked() {
	l.mu.Lock()
	n := min(len(l.poked), len(l.batch))
	if n == 0 {
		l.mu.Unlock()
		return
	}
	batch := l.batch[:n]
	for i, key := range l.poked[:n] {
		batch[i] = l.table.find(key)
	}
	l.poked = append(l.poked[:0], l.poked[n:]...)
	l.mu.Unlock()
	for next := 0; next < n; {
		next = l.callPoked(batch, next)
	}
}

// callPoked is to handlePoked what deliver is to dispatch.
func (l *Loop) callPoked(batch []*Registration, from int) (next int) {
	defer l.survive()
	for next = from; next < len(batch); {
		r := batch[next]
		batch[next] = nil
		next++
		if r != nil && r.state.And(^statePoked)&stateClosed == 0 {
			r.callReady(0)
		}
	}
	return next
}

// callReady calls the handler. The caller has deferred survive.
func (r *Registration) callReady(ev poller.Readiness) {
	r.loop.calling = true
	(*r.handler).Ready(ev)
	r.loop.calling = false
}

// callExpire calls the handler.
func (r *Registration) callExpire() {
	defer r.loop.survive()
	r.loop.calling = true
	(*r.handler).Expire()
	r.loop.calling = false
}

// callClosed calls the handler.
func (r *Registration) callClosed() {
	defer r.loop.survive()
	r.loop.calling = true
	(*r.handler).Closed()
	r.loop.calling = false
}

// ExpireAt has the handler's Expire called at a time on the loop's clock, Now's,
// instead of what was set before: never earlier, and later by a tenth of a
// millisecond plus what the loop is busy with. Zero is never. It is called on
// the loop's goroutine.
func (r *Handled) ExpireAt(at time.Duration) {
	if at < 0 { // Now and a very long time: the sum has passed the clock's end
		at = farthest
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Load()&stateClosed != 0 || int64(at) == r.deadline {
		return
	}
	r.deadline = min(int64(at), farthest)
	if at == 0 {
		r.loop.cancel(&r.timer)
		return
	}
	r.loop.schedule(&r.timer, r.deadline)
}

// Now is the time since the loop's start, read once a turn: what happens in one
// turn happens at the same time. It is for the loop's goroutine alone.
func (l *Loop) Now() time.Duration {
	if l.now == 0 {
		l.now = l.nanos()
	}
	return time.Duration(l.now)
}

// Elapsed is the time since the loop's start, at this moment.
func (l *Loop) Elapsed() time.Duration { return time.Duration(l.nanos()) }

// Busy reports whether the loop is in a turn, and in which: one that stays the
// same for long means that something blocks the loop.
func (l *Loop) Busy() (turn uint64, busy bool) {
	turn = l.turns.Load()
	return turn, !l.asleep.Load()
}
