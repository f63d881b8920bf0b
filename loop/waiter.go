package loop

import (
	"sync"
	"sync/atomic"
)

// A waiter is one parked goroutine. The goroutine that takes it off the Registration,
// under the lock, must wake it. So it is woken exactly once.
type waiter struct {
	parker
	next     *waiter
	deadline int64         // on the loop's clock; 0 for none
	cause    error         // nil if what it waited for has come
	backlog  *atomic.Int64 // counts it from being woken until it runs; or nil
	reception
}

var waiters = sync.Pool{New: func() any {
	w := new(waiter)
	w.init()
	return w
}}

// takeWaiter returns a waiter, which giveWaiter takes back. A waiter of a simulated loop has
// a channel of its testing/synctest bubble, and thus must not be used elsewhere.
func (l *Loop) takeWaiter() *waiter {
	if l.options.Kernel != nil {
		return l.newWaiter()
	}
	return waiters.Get().(*waiter)
}

func (l *Loop) giveWaiter(w *waiter) {
	if l.options.Kernel == nil {
		waiters.Put(w)
	}
}

func (l *Loop) newWaiter() *waiter {
	w := new(waiter)
	l.initParker(&w.parker)
	return w
}

// initParker makes a parker for a goroutine that waits on the loop.
func (l *Loop) initParker(p *parker) {
	if l.options.Kernel != nil {
		p.initChannel()
	} else {
		p.init()
	}
}

// A ring is a first-in, first-out list of waiters. It keeps only the last one, whose
// next is the first, and so takes one word.
type ring struct{ last *waiter }

func (q *ring) push(w *waiter, cause error) {
	w.cause = cause
	if q.last == nil {
		w.next = w
	} else {
		w.next, q.last.next = q.last.next, w
	}
	q.last = w
}

func (q *ring) pop() *waiter {
	if q.last == nil {
		return nil
	}
	w := q.last.next
	if w == q.last {
		q.last = nil
	} else {
		q.last.next = w.next
	}
	return w
}

// move moves the waiters that match to another ring, and gives them the cause.
func (q *ring) move(to *ring, cause error, match func(*waiter) bool) {
	var keep ring
	for w := q.pop(); w != nil; w = q.pop() {
		if match(w) {
			to.push(w, cause)
		} else {
			keep.push(w, nil)
		}
	}
	*q = keep
}

// wake wakes all waiters of the list and returns how many. If backlog is not nil, they
// are counted there until they run.
func (q *ring) wake(b *backlog) (n int) {
	for w := q.pop(); w != nil; w = q.pop() {
		w.wake(b)
		n++
	}
	return n
}

// wake wakes the goroutine. Its waiter is on no list any more.
func (w *waiter) wake(b *backlog) {
	if w.backlog = nil; b != nil {
		w.backlog = b.add()
	}
	w.unpark()
}

// sleep parks the goroutine until w is woken, and returns the cause.
func (w *waiter) sleep() error {
	w.park()
	return w.resume()
}

// resume takes the woken goroutine off the backlog, and returns the cause. The
// goroutine calls it first.
func (w *waiter) resume() error {
	if w.backlog != nil {
		w.backlog.Add(-1)
		w.backlog = nil
	}
	return w.cause
}
