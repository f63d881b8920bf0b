package loop

import (
	"time"

	"github.com/seed-2334f180/weir/poller"
)

// A Handler serves a Handled registration by callbacks. The loop calls them on its
// goroutine, one at a time and without a lock; they must not block. After the
// registration was closed none is called, except Closed when the loop has closed it.
// A panic is reported, as that of a task is (Options.PanicReport, Loop.OnPanic), and
// the registration stays open.
type Handler interface {
	// Ready is called with what the kernel has reported, or with 0 after a Poke.
	// Each report comes once: the handler makes system calls until one returns
	// EAGAIN, or pokes the registration to go on in the next turn.
	Ready(poller.Readiness)

	// Expire is called when the time that ExpireAt set has come.
	Expire()

	// Closed is called when the loop was closed, and the registration with it.
	Closed()
}

// Handled is a Registration that a Handler serves. Loop.Handle fills it in. It is
// concurrency-safe.
type Handled struct{ Registration }

// Handle puts a non-blocking descriptor on the loop, to be served by *h, which must
// not change afterwards. The kernel watches it for reading, and for writing as
// WatchWrite says. Ownership and errors are as with Register. The handler may be
// called before Handle returns, unless Handle is called on the loop's goroutine.
//
// h is a pointer to the interface, so that registrations without a handler are one
// word smaller.
func (l *Loop) Handle(r *Handled, fd int, h *Handler) error {
	if err := l.register(&r.Registration, fd, KeepWritable, h); err != nil {
		return err
	}
	r.mu.Lock()
	err := r.watch(Read)
	r.mu.Unlock()
	if err != nil {
		// The descriptor stays the caller's. But if the loop was closed meanwhile,
		// it has closed the descriptor and has called h's Closed.
		if _, closed := r.Release(); closed != nil {
			return nil
		}
		return err
	}
	return nil
}

// WatchWrite says whether the kernel reports that there is room to write. When it is
// turned on, room that there is already is reported, too. The errors are ErrClosed,
// ErrLoopClosed and those of epoll_ctl(2).
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

// Poke has the handler's Ready called with 0 in the loop's next turn, once for all
// pokes until then. After Close it does nothing.
func (r *Handled) Poke() {
	if r.state.Or(statePoked)&(statePoked|stateClosed) != 0 {
		return
	}
	l := r.loop
	l.mu.Lock()
	l.poked = append(l.poked, r.key)
	l.work.Store(true)
	l.mu.Unlock()
	// An error means that the loop is being closed; it calls Closed.
	_ = l.wake()
}

// handlePoked calls the handlers that were poked before this turn, at most
// Options.Events of them.
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

// callPoked calls the handlers of the batch from the one of that index on. It returns
// the index after the last one that it has called: a panic ends it early.
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
	begun := r.loop.callBegins()
	r.loop.calling = true
	(*r.handler).Ready(ev)
	r.loop.calling = false
	r.loop.callEnds(begun)
}

// callExpire calls the handler.
func (r *Registration) callExpire() {
	defer r.loop.survive()
	begun := r.loop.callBegins()
	r.loop.calling = true
	(*r.handler).Expire()
	r.loop.calling = false
	r.loop.callEnds(begun)
}

// callClosed calls the handler.
func (r *Registration) callClosed() {
	defer r.loop.survive()
	begun := r.loop.callBegins()
	r.loop.calling = true
	(*r.handler).Closed()
	r.loop.calling = false
	r.loop.callEnds(begun)
}

// ExpireAt has the handler's Expire called at a time on the loop's clock, which Now
// returns, in place of the time that was set before; 0 is never. Expire is never
// called early; it is late by a tenth of a millisecond at most, plus the time that
// the loop is busy. Only the loop may call it.
func (r *Handled) ExpireAt(at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expireAt(at)
}

// ExpireBy is ExpireAt, unless Expire will be called earlier already.
func (r *Handled) ExpireBy(at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deadline == 0 || at > 0 && int64(at) < r.deadline {
		r.expireAt(at)
	}
}

// expireAt needs the lock.
func (r *Handled) expireAt(at time.Duration) {
	if at < 0 { // Now plus a very long time overflows
		at = farthest
	}
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

// Now returns the time since the loop's start. The clock is read once a turn, so Now
// stays the same during a turn. Only the loop may call it.
func (l *Loop) Now() time.Duration {
	if l.now == 0 {
		l.now = l.nanos()
	}
	return time.Duration(l.now)
}

// Elapsed returns the time since the loop's start. It reads the clock at each call.
func (l *Loop) Elapsed() time.Duration { return time.Duration(l.nanos()) }

// Busy reports whether the loop is in a turn, and the turn's number. If the number
// stays the same for long while the loop is busy, something blocks the loop.
func (l *Loop) Busy() (turn uint64, busy bool) {
	turn = l.turns.Load()
	return turn, !l.asleep.Load()
}
