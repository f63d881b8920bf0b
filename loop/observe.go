package loop

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/timers"
	"golang.org/x/sys/unix"
)

// An Interest is a set of conditions that select(2) knows.
type Interest uint8

const (
	WantRead   Interest = 1 << iota // a read would not wait
	WantWrite                       // a write would not wait
	WantExcept                      // out-of-band data
)

// A Look is what is known of a condition without asking the kernel.
type Look uint8

const (
	Unready  Look = iota // it does not hold, unless an event says so that nobody has taken yet
	Ready                // it holds
	Doubtful             // only the kernel can tell
	Gone                 // the Registration is closed
)

// Look says what is known of one condition. It takes no lock and asks nobody.
func (r *Registration) Look(want Interest) Look {
	s := r.state.Load()
	d := Read
	switch {
	case s&stateClosed != 0:
		return Gone
	case want == WantWrite:
		d = Write
	case want == WantExcept:
		if s&(Read.watched()|stateUrgent) == Read.watched() {
			return Unready
		}
		return Doubtful
	}
	switch {
	case s&d.sure() != 0:
		return Ready
	case s&d.of(readyBit) != 0, s&d.watched() == 0:
		return Doubtful
	case s&(d.of(heldBit)|d.of(parkedBit)) == d.of(heldBit) && (d == Write || s&stateReceiving == 0):
		return Doubtful // a call has used the mark up and is not through
	}
	return Unready
}

// Watch has the kernel report the readiness for reading, and, where that is
// free, for writing, before anybody waits. A descriptor that the kernel does
// not watch because it never waits, such as a regular file's, is ready for ever.
func (r *Registration) Watch() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Load()&stateClosed != 0 {
		return r.closedFor()
	}
	err := r.watch(Read)
	if errors.Is(err, unix.EPERM) {
		r.interest = watchRead | watchWrite
		for _, d := range [...]Direction{Read, Write} {
			r.state.Or(d.of(readyBit) | d.sure() | d.watched())
		}
		return nil
	}
	return err
}

// Share says that other holders of the open file may use up its readiness: no
// mark of it is certain. It is called before Register.
func (r *Registration) Share() { r.shared = true }

// Doubt says that a system call may have changed the readiness in a way that
// events do not tell, as shutdown(2) and setting an option may. Calls that wait
// try again, and the next ones try first.
func (r *Registration) Doubt() {
	r.mu.Lock()
	r.arrivals.Add(1)
	for {
		s := r.state.Load()
		next := s | Read.of(readyBit) | Write.of(readyBit)
		next = r.stamp(r.stamp(next, Read), Write)
		if r.state.CompareAndSwap(s, next) {
			break
		}
	}
	list := r.alert(WantRead | WantWrite)
	r.mu.Unlock()
	list.wake(nil)
}

// Unsure says that a call without the turn may have used readiness up.
func (r *Registration) Unsure() {
	for {
		s := r.state.Load()
		if r.state.CompareAndSwap(s, r.stamp(r.stamp(s, Read), Write)) {
			return
		}
	}
}

// stamp notes in a state that a call on the direction has ended now: events
// from the wait that the loop is in, or whose events it is handing out, may
// tell of what that call has used up.
func (r *Registration) stamp(s uint64, d Direction) uint64 {
	return s&^(d.sure()|stampMask<<d.stampShift()) | r.loop.waits.Load()&stampMask<<d.stampShift()
}

// A Notice is why an observer is called.
type Notice uint8

const (
	NoticeReady       Notice = iota // a condition that it wants may hold
	NoticeClosed                    // the Registration was closed
	NoticeInterrupted               // Interrupt was called
)

// An Observer is told of what happens to a registration that it does not have
// the turn of. Notify is called under the Registration's lock: it must neither
// block nor call back.
type Observer interface {
	Notify(h *Hook, n Notice)
}

// A Hook is what hangs an observer on a Registration. It takes nothing from
// who waits in a call: both are told. A Hook is reused after Unhang.
type Hook struct {
	To   Observer
	want Interest
	reg  *Registration
	next *Hook
	prev *Hook
}

// Loop is the loop of the registration that h hangs on.
func (h *Hook) Loop() *Loop { return h.reg.loop }

// Hang hangs the hook on r. From then on its observer is told of every event
// that concerns the interest; what happened before is for Look to say.
func (h *Hook) Hang(r *Registration, want Interest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Load()&stateClosed != 0 {
		return r.closedFor()
	}
	if err := r.watchFor(want); err != nil {
		return err
	}
	h.reg, h.want = r, want
	h.prev, h.next = nil, r.hooks
	if h.next != nil {
		h.next.prev = h
	} else {
		r.state.Or(stateObserved)
	}
	r.hooks = h
	return nil
}

// Change gives a hook that hangs another interest.
func (h *Hook) Change(want Interest) error {
	r := h.reg
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Load()&stateClosed != 0 {
		return r.closedFor()
	}
	if err := r.watchFor(want); err != nil {
		return err
	}
	h.want = want
	return nil
}

// Unhang takes the hook off. Its observer is not called any more.
func (h *Hook) Unhang() {
	r := h.reg
	if r == nil {
		return
	}
	r.mu.Lock()
	if h.next != nil {
		h.next.prev = h.prev
	}
	if h.prev != nil {
		h.prev.next = h.next
	} else if r.hooks = h.next; r.hooks == nil {
		r.state.And(^stateObserved)
	}
	r.mu.Unlock()
	h.reg, h.next, h.prev = nil, nil, nil
}

// watchFor watches what the interest needs. The caller holds the lock.
func (r *Registration) watchFor(want Interest) error {
	if want&(WantRead|WantExcept) != 0 {
		if err := r.watch(Read); err != nil {
			return err
		}
	}
	if want&WantWrite != 0 {
		return r.watch(Write)
	}
	return nil
}

// observed reports whether a hook wants any of it. The caller holds the lock.
func (r *Registration) observed(want Interest) bool {
	for h := r.hooks; h != nil; h = h.next {
		if h.want&want != 0 {
			return true
		}
	}
	return false
}

// notify tells the observers, and how many. The caller holds the lock.
func (r *Registration) notify(want Interest, n Notice) (told int) {
	for h := r.hooks; h != nil; h = h.next {
		if n != NoticeReady || h.want&want != 0 {
			h.To.Notify(h, n)
			told++
		}
	}
	return told
}

// Stir tells the observers of a direction to look again, for readiness that is
// not the descriptor's: input that was read ahead.
func (r *Registration) Stir(want Interest) {
	if r.state.Load()&stateObserved == 0 {
		return
	}
	r.mu.Lock()
	r.notify(want, NoticeReady)
	r.mu.Unlock()
}

// A Gate parks one goroutine that waits for many things. Make it with NewGate.
// Arm comes first, then the look at what it waits for, then Sleep or Disarm.
// Whoever changes something that the look may have missed calls Wake.
type Gate struct {
	open        atomic.Bool // nobody needs to be woken
	interrupted atomic.Bool
	token       chan struct{}
	backlog     *atomic.Int64 // counts the goroutine from being woken until it runs
	host        atomic.Pointer[Loop]
	timer       timers.Timer[expirer]
}

func NewGate() *Gate {
	g := &Gate{token: make(chan struct{}, 1)}
	g.open.Store(true)
	g.timer.Owner = g
	return g
}

// Arm closes the gate: the next Wake opens it.
func (g *Gate) Arm() { g.open.Store(false) }

// Wake opens the gate. By is the loop on whose goroutine it is called, or nil.
// A stray Wake does no harm but an early return from Sleep.
func (g *Gate) Wake(by *Loop) {
	if g.open.Load() || !g.open.CompareAndSwap(false, true) {
		return
	}
	if g.backlog = nil; by != nil {
		g.backlog = &by.backlog
		by.backlog.Add(1)
	}
	g.token <- struct{}{}
}

// Interrupt is Wake, and has Interrupted say so.
func (g *Gate) Interrupt() {
	g.interrupted.Store(true)
	g.Wake(nil)
}

// Interrupted reports whether Interrupt was called since Interrupted was asked
// last.
func (g *Gate) Interrupted() bool { return g.interrupted.Load() && g.interrupted.Swap(false) }

// Disarm opens the gate when there is nothing to wait for after all.
func (g *Gate) Disarm() {
	if !g.open.CompareAndSwap(false, true) {
		g.pass()
	}
}

func (g *Gate) pass() {
	<-g.token
	g.passed()
}

func (g *Gate) passed() {
	if g.backlog != nil {
		g.backlog.Add(-1)
		g.backlog = nil
	}
}

// Sleep parks the goroutine until Wake is called, or, by the loop's timers,
// until the time given, if it is not zero. It may also return early. When the
// loop is closed it returns ErrLoopClosed.
func (g *Gate) Sleep(l *Loop, until time.Time) error {
	if !until.IsZero() {
		g.host.Store(l)
		deadline := min(max(int64(until.Sub(l.start)), 1), farthest)
		l.schedule(&g.timer, deadline)
		defer l.cancel(&g.timer)
	}
	select {
	case <-g.token:
		g.passed()
		return nil
	case <-l.done:
		g.Disarm()
		return ErrLoopClosed
	}
}

// expire is the timer's. One of an earlier sleep may come late: a stray Wake.
func (g *Gate) expire(int64) { g.Wake(g.host.Load()) }

// Observers are those that hang on the loop's registrations, in no order.
func (l *Loop) Observers() (all []Observer) {
	l.mu.Lock()
	regs := l.table.all()
	l.mu.Unlock()
	for _, r := range regs {
		r.mu.Lock()
		for h := r.hooks; h != nil; h = h.next {
			all = append(all, h.To)
		}
		r.mu.Unlock()
	}
	return all
}

// Observers is how many hooks hang on r.
func (r *Registration) Observers() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for h := r.hooks; h != nil; h = h.next {
		n++
	}
	return n
}
