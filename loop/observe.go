package loop

import (
	"errors"

	"golang.org/x/sys/unix"
)

// An Interest is a set of conditions to wait for: those of select(2).
type Interest uint8

const (
	Readable    Interest = 1 << iota // a read would not wait
	Writable                         // a write would not wait
	Exceptional                      // out-of-band data
)

// A Look is what the loop knows of a condition without asking the kernel.
type Look uint8

const (
	Unready  Look = iota // it does not hold, unless an event is on its way to the loop
	Ready                // it holds
	Doubtful             // only the kernel can tell
	Gone                 // the Registration is closed
)

// Look returns what is known of one condition. It takes no lock and makes no
// system call.
func (r *Registration) Look(want Interest) Look {
	s := r.state.Load()
	d := Read
	switch {
	case s&stateClosed != 0:
		return Gone
	case want == Writable:
		d = Write
	case want == Exceptional:
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
		return Doubtful // a call has used the mark up and has not ended
	}
	return Unready
}

// Watch has the kernel report the readiness for reading before anybody waits. A
// descriptor that epoll refuses (EPERM), such as a regular file's, never makes a
// call wait: both its directions are ready for ever.
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

// Share says that other processes or descriptors share the open file and may use up its
// readiness, so that no mark is ever sure. Call it before Register.
func (r *Registration) Share() { r.shared = true }

// Doubt says that a system call, such as shutdown(2) or setsockopt(2), may have
// changed the readiness without an event. The calls that wait try again, the next
// calls try before they wait, and the observers are told.
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
	list := r.alert(Readable | Writable)
	r.mu.Unlock()
	list.wake(nil)
}

// Unsure says that a call which did not have the turn may have used up readiness, so
// that both marks are no longer sure.
func (r *Blocking) Unsure() {
	for {
		s := r.state.Load()
		if r.state.CompareAndSwap(s, r.stamp(r.stamp(s, Read), Write)) {
			return
		}
	}
}

// stamp returns the state with the note that a call of the direction ends now, and
// with its mark no longer sure. Events of the loop's present wait, which is in
// progress or whose events are being handed out, may be older than the end of the
// call.
func (r *Registration) stamp(s uint64, d Direction) uint64 {
	return s&^(d.sure()|stampMask<<d.stampShift()) | r.loop.waits.Load()&stampMask<<d.stampShift()
}

// Waits reports whether a call waits for readiness in the direction. The answer may be
// out of date when it returns.
func (r *Registration) Waits(d Direction) bool {
	s := r.state.Load()
	return s&d.of(parkedBit) != 0 || d == Read && s&stateReceiving != 0
}
