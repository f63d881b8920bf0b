package loop

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/timers"
	"golang.org/x/sys/unix"
)

// WriteEdges says what the kernel reports about a descriptor's send side, and
// so how long the registration listens to it once a writer has waited.
type WriteEdges bool

const (
	// KeepWritable is for descriptors whose writability changes only after a
	// write was refused (TCP): listening on is free.
	KeepWritable WriteEdges = true
	// DropWritable is for those that report it with every packet that leaves
	// (unix sockets, datagrams): the loop stops listening when nobody waits.
	DropWritable WriteEdges = false
)

// A Registration is one descriptor on a loop: what is known of its readiness,
// who waits for it, and how many calls are using it. It owns the descriptor.
//
// In each direction one call at a time has the turn; others queue for it in
// the order of their coming. A call begins with Begin, waits with Wait, and
// ends with End.
//
// The zero Registration is for Register to fill in; embed it in what it serves.
// It must not be copied.
type Registration struct {
	// What every call touches comes first, to share a cache line.
	state    atomic.Uint64
	loop     *Loop
	mu       sync.Mutex // guards what follows key
	fd       int32
	edges    WriteEdges
	shared   bool // others use the open file, too
	orphan   bool // the loop has closed it
	aside    bool // who closes it must not wait for close(2)
	key      uint64
	limits   atomic.Pointer[limits] // nil until a deadline is set
	receiver *waiter                // of Receive, once it has waited without a deadline; not guarded: see state.go
	parked   [2]*waiter             // the turn's holder, waiting for readiness
	deadline int64                  // when timer expires; 0 if it is not scheduled
	queue    [2]ring                // those who wait for the turn
	timer    timers.Timer[expirer]

	handler  *Handler // serves it instead of calls; nil for none
	hooks    *Hook    // of who observes it
	interest poller.Readiness
	arrivals atomic.Uint32 // events that came while the kernel was being asked; changed under the lock
}

// Register puts a non-blocking descriptor on the loop, in charge of r, which
// owns it from then on: closing r or the loop closes it. When Register fails,
// it is still the caller's: a negative one is EBADF, and a closed loop
// ErrLoopClosed. The kernel is asked to watch it only when a call must wait:
// what never waits costs nothing more.
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
	r.timer.Owner = r
	// Nothing is known yet, so a first system call is worth trying.
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

// FD is the descriptor. It may be used only between Use and Done, or Begin and
// End: otherwise another goroutine's Close might give the number to another
// file meanwhile.
func (r *Registration) FD() int { return int(r.fd) }

// Loop is the loop that the Registration is on, or was.
func (r *Registration) Loop() *Loop { return r.loop }

// Use counts a call that neither waits nor needs the turn. It returns
// ErrClosed, or ErrLoopClosed, after Close; else Done must follow.
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

// Done ends what Use began.
func (r *Registration) Done() { r.release() }

// release takes one call off the count, and gives back the descriptor with the
// last of them.
func (r *Registration) release() {
	if r.state.Add(^(oneCall-1))&callsMask == 0 {
		// Only the last of all calls gets here, and none can begin: closed is
		// set, for the open Registration counts as a call.
		if r.aside && lingers(int(r.fd)) {
			go unix.Close(int(r.fd))
			return
		}
		unix.Close(int(r.fd))
	}
}

// lingers reports whether close(2) would wait for what is not sent yet, as it
// does by SO_LINGER on a non-blocking descriptor, too.
func lingers(fd int) bool {
	v, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	return err == nil && v.Onoff != 0 && v.Linger > 0
}

// why is the error of a call on a closed Registration.
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

// Close wakes every call that waits, with ErrClosed, stops watching the
// descriptor, and closes it when the last call in progress has ended: close(2),
// which waits if SO_LINGER says so, though not where a Handler serves it, or the
// loop closes it. A second Close returns ErrClosed.
func (r *Registration) Close() error { return r.shut(ErrClosed, false) }

// Abandon is Close that does not wait whatever SO_LINGER says.
func (r *Blocking) Abandon() error { return r.shut(ErrClosed, true) }

func (r *Registration) shut(reason error, aside bool) error {
	// Under the lock, so that whoever sees the bit, and asks why, is told.
	r.mu.Lock()
	if r.state.Or(stateClosed)&stateClosed != 0 {
		defer r.mu.Unlock()
		return r.closedFor()
	}
	r.aside = aside || r.handler != nil
	r.withdraw(reason)
	r.release()
	return nil
}

// Release takes the descriptor off the loop and gives it to the caller, open;
// r is closed. While a call is in progress it is EBUSY, and nothing changes.
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
		// The open Registration's own count stays, so nobody closes it.
		if r.state.CompareAndSwap(s, s|stateClosed) {
			r.withdraw(ErrClosed)
			return int(r.fd), nil
		}
	}
}

// withdraw takes a Registration that has just been marked as closed off the
// loop, and wakes its waiters. The caller holds the lock, which it gives up.
func (r *Registration) withdraw(reason error) {
	r.orphan = reason == ErrLoopClosed
	if r.interest != 0 {
		// Before the descriptor is closed: a duplicate of it would keep the
		// watch alive. An error means that the poller is gone, watch and all.
		_ = r.loop.poller.Delete(int(r.fd))
		r.interest = 0
	}
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

// watch has the kernel report the direction's readiness. What holds already
// is reported too, so nothing that happened before is missed. The caller holds
// the lock.
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
	r.interest = want
	r.state.Or(Read.watched() | d.watched())
	return nil
}

// What the kernel is asked for. Writing alone is never watched.
const (
	watchRead  = poller.Readable | poller.PeerClosed | poller.Priority
	watchWrite = watchRead | poller.Writable
)

// Broken reports whether the kernel has said that the peer will send no more,
// or that the descriptor failed. It stays so: data may still be queued, and
// the rest is for a system call to say.
func (r *Blocking) Broken() bool { return r.state.Load()&stateBroken != 0 }

// Urgent reports whether out-of-band data ever arrived, as far as a call has
// waited. On such a stream a short read may end at the urgent mark, and does
// not mean that nothing is left.
func (r *Blocking) Urgent() bool { return r.state.Load()&stateUrgent != 0 }

// String is for debugging.
func (r *Registration) String() string {
	return fmt.Sprintf("registration of fd %d (key %#x, state %#x)", r.fd, r.key, r.state.Load())
}
