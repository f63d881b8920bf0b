package loop

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/timers"
	"golang.org/x/sys/unix"
)

// WriteEdges says when the kernel reports that a descriptor is writable, and so
// whether the loop keeps asking for it after a writer has waited.
type WriteEdges bool

const (
	// KeepWritable is for descriptors that become writable only after a write was
	// refused (TCP): to keep asking costs nothing.
	KeepWritable WriteEdges = true
	// DropWritable is for descriptors that the kernel reports as writable with
	// every packet that leaves (unix sockets, datagrams): the loop stops asking
	// when nobody waits.
	DropWritable WriteEdges = false
)

// A Registration is one descriptor on a loop: its readiness, as far as events have
// told it, and the number of calls that use it. It owns the descriptor. A program
// whose own type can be waited for by Select needs nothing more: Register the
// descriptor, and return the Registration from the type's method of that name.
//
// Register fills the zero Registration in. Embed it in what it serves. It must not
// be copied, and serves one descriptor in its life.
//
// It is concurrency-safe.
type Registration struct {
	// The fields that every call touches come first, in one cache line.
	state    atomic.Uint64
	loop     *Loop
	mu       sync.Mutex // guards what follows key
	fd       int32
	edges    WriteEdges
	shared   bool // other holders of the open file may use its readiness up
	orphan   bool // the loop has closed it
	aside    bool // close(2), if it would wait, is called by a goroutine of its own
	key      uint64
	limits   atomic.Pointer[limits] // nil until a deadline is set
	receiver *waiter                // of the calls in Receive without a deadline; not guarded: see state.go
	parked   [2]*waiter             // the call that has the turn, if it waits
	deadline int64                  // when timer expires; 0 if it is not scheduled
	queue    [2]ring                // the calls that wait for the turn
	timer    timers.Timer[expirer]
	gone     chan struct{} // closed when the descriptor is, for a CloseWait that waits; else nil

	handler  *Handler         // serves it, if not nil
	hooks    *Hook            // a list
	interest poller.Readiness // what epoll watches; 0 if the descriptor is not in its set
	arrivals atomic.Uint32    // counts events and doubts, for probes; changed under the lock
}

// Register puts a non-blocking descriptor on the loop. From then on r owns the
// descriptor: closing r or the loop closes it. When Register fails, the descriptor
// stays the caller's. The error is EBADF for a negative number, and ErrLoopClosed.
// The kernel begins to watch the descriptor when a call first waits, a hook is
// hung, or Watch is called; until then it costs no system call.
func (l *Loop) Register(r *Registration, fd int, edges WriteEdges) error {
	return l.register(r, fd, edges, nil)
}

func (l *Loop) register(r *Registration, fd int, edges WriteEdges, h *Handler) error {
	if fd < 0 {
		return fmt.Errorf("loop: register: descriptor %d: %w", fd, unix.EBADF)
	}
	if r.loop != nil {
		return fmt.Errorf("loop: register: descriptor %d: the registration is in use", fd)
	}
	r.loop, r.fd, r.edges, r.handler = l, int32(fd), edges, h
	r.timer.Owner, r.timer.Note = r, ageUnits(l.Elapsed())
	// Nothing is known yet, so the first calls try.
	state := oneCall | Read.of(readyBit) | Write.of(readyBit)
	if h != nil {
		state |= stateHandled
	}
	r.state.Store(state)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		r.loop = nil
		return fmt.Errorf("loop: register: descriptor %d: %w", fd, ErrLoopClosed)
	}
	r.key = l.table.insert(r)
	return nil
}

// FD returns the descriptor's number. Use it only between Use and Done, or Begin
// and End: after Close the kernel may give the number to another file.
func (r *Registration) FD() int { return int(r.fd) }

// Loop returns the loop that the Registration was put on, also after Close. It is
// nil before Register.
func (r *Registration) Loop() *Loop { return r.loop }

// Use begins a call that neither waits nor needs the turn: the descriptor stays
// open until Done, which must follow. After Close it returns ErrClosed or
// ErrLoopClosed, and Done must not follow.
func (r *Registration) Use() error {
	for {
		s := r.state.Load()
		if s&stateClosed != 0 {
			return r.why()
		}
		if r.state.CompareAndSwap(s, s+oneCall) {
			return nil
		}
	}
}

// Done ends a call that Use began.
func (r *Registration) Done() { r.release() }

// release takes one call off the number of calls. The last one closes the
// descriptor.
func (r *Registration) release() {
	if r.state.Add(^(oneCall-1))&callsMask == 0 {
		// An open Registration counts as a call, so closed is set, and no other
		// call can begin.
		if r.aside && lingers(int(r.fd)) {
			go sys.Close(int(r.fd))
		} else {
			sys.Close(int(r.fd))
		}
		if r.gone != nil { // set before the closed bit, or never
			close(r.gone)
		}
	}
}

// lingers reports whether close(2) would wait until the output is sent. With
// SO_LINGER it does so on a non-blocking descriptor, too.
func lingers(fd int) bool {
	v, err := sys.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	return err == nil && v.Onoff != 0 && v.Linger > 0
}

// why returns the error of a call on a closed Registration.
func (r *Registration) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closedFor()
}

// closedFor is why, for a caller that holds the lock.
func (r *Registration) closedFor() error {
	if r.orphan {
		return ErrLoopClosed
	}
	return ErrClosed
}

// Close wakes every call that waits, with ErrClosed, tells the observers, and
// takes the descriptor off the loop. The last call in progress, or Close itself,
// then calls close(2). That waits if SO_LINGER is set, except where a Handler
// serves the descriptor. A second Close returns ErrClosed, or ErrLoopClosed if the
// loop was closed first.
func (r *Registration) Close() error { return r.shut(ErrClosed, false) }

// Abandon is Close that never waits, whatever SO_LINGER says.
func (r *Blocking) Abandon() error { return r.shut(ErrClosed, true) }

// CloseWait is Close that returns only when every call in progress has ended, and
// the descriptor is closed: what it was bound to is free then. A call in progress
// must not make it, because it would wait for itself. A second CloseWait, and one
// after Close, returns at once.
func (r *Blocking) CloseWait() error {
	r.mu.Lock()
	for {
		s := r.state.Load()
		if s&stateClosed != 0 {
			defer r.mu.Unlock()
			return r.closedFor()
		}
		if s&callsMask != oneCall && r.gone == nil {
			r.gone = make(chan struct{})
		}
		// No call can have begun since, or the exchange would fail.
		if r.state.CompareAndSwap(s, s|stateClosed) {
			break
		}
	}
	gone := r.gone
	r.finish(ErrClosed, false)
	if gone != nil {
		<-gone
	}
	return nil
}

func (r *Registration) shut(reason error, aside bool) error {
	// The bit is set under the lock. So a call that sees it gets from why the right
	// one of ErrClosed and ErrLoopClosed.
	r.mu.Lock()
	if r.state.Or(stateClosed)&stateClosed != 0 {
		defer r.mu.Unlock()
		return r.closedFor()
	}
	r.finish(reason, aside)
	return nil
}

// finish does what follows when the closed bit was set. The caller holds the
// lock, which finish releases.
func (r *Registration) finish(reason error, aside bool) {
	r.aside = aside || r.handler != nil
	r.withdraw(reason)
	r.release()
}

// Release closes r without closing the descriptor, which becomes the caller's.
// While a call is in progress the error is EBUSY, and nothing changes. After Close
// it is ErrClosed or ErrLoopClosed.
func (r *Registration) Release() (fd int, err error) {
	r.mu.Lock()
	for {
		s := r.state.Load()
		switch {
		case s&stateClosed != 0:
			defer r.mu.Unlock()
			return -1, r.closedFor()
		case s&callsMask != oneCall:
			r.mu.Unlock()
			return -1, unix.EBUSY
		}
		// The number of calls stays above zero, so no Done closes the descriptor.
		if r.state.CompareAndSwap(s, s|stateClosed) {
			r.withdraw(ErrClosed)
			return int(r.fd), nil
		}
	}
}

// withdraw takes a Registration off the loop whose closed bit was just set, and
// wakes its waiters. The caller holds the lock; withdraw unlocks it.
func (r *Registration) withdraw(reason error) {
	r.orphan = reason == ErrLoopClosed
	if r.interest != 0 {
		// This comes before close(2), because a duplicate of the descriptor would
		// keep it in the epoll set. An error means that the poller is closed.
		_ = r.loop.poller.Delete(int(r.fd))
		r.interest = 0
	}
	r.loop.lone.spot.vacate(r.key)
	if r.deadline != 0 {
		r.loop.cancel(&r.timer)
		r.deadline = 0
	}
	woken := r.takeAll(reason)
	r.notify(0, NoticeClosed)
	r.mu.Unlock()

	r.loop.mu.Lock()
	r.loop.table.remove(r.key)
	r.loop.mu.Unlock()
	woken.wake(nil)
}

// watch makes the kernel report the direction's readiness. The kernel also reports the
// readiness that there is already, so none is missed. The caller holds the lock.
func (r *Registration) watch(d Direction) error {
	want := watchRead
	if d == Write {
		want = watchWrite
	}
	if r.interest&want == want {
		return nil
	}
	want |= r.interest
	change := r.loop.poller.Modify
	if r.interest == 0 {
		change = r.loop.poller.Add
	}
	if err := change(int(r.fd), r.key, want); err != nil {
		return err
	}
	r.loop.lone.spot.vacate(r.key)
	r.interest = want
	r.state.Or(Read.watched() | d.watched())
	return nil
}

// What epoll is asked for. It never watches writing alone.
const (
	watchRead  = poller.Readable | poller.PeerClosed | poller.Priority
	watchWrite = watchRead | poller.Writable
)

// Broken reports whether an event has said that the peer will send no more, or
// that the descriptor has failed. Data may still be queued: only a system call can
// tell. Once true it stays true.
func (r *Blocking) Broken() bool { return r.state.Load()&stateBroken != 0 }

// Urgent reports whether an event has ever reported out-of-band data. On such a stream a
// short read may end at the urgent mark, so more may be left. Once true it stays true.
func (r *Blocking) Urgent() bool { return r.state.Load()&stateUrgent != 0 }

// String describes the Registration, for debugging.
func (r *Registration) String() string {
	return fmt.Sprintf("registration of fd %d (key %#x, state %#x)", r.fd, r.key, r.state.Load())
}
