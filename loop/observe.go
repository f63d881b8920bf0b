package loop

import (
	"errors"

	"golang.org/x/sys/unix"
)

// An Interest is a set of conditions that select(2) knows.
type Interest uint8

const (
	Readable    Interest = 1 << iota // a read would not wait
	Writable                         // a write would not wait
	Exceptional                      // out-of-band data
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
		return Doubtful // a call has used the mark up and is not through
	}
	return Unready
}

// A Probe is a question to the kernel in progress.
type Probe struct {
	r        *Registration
	arrivals uint32
}

// Probe counts a call in, as Use does, that is going to ask the kernel, with
// poll(2), about the descriptor's readiness. Done or Disprove must follow.
func (r *Registration) Probe() (Probe, error) {
	for {
		// Read before the probed bit is set: the event that clears it, after
		// which none is counted, must itself be counted as one that came since.
		arrivals := r.arrivals.Load()
		s := r.state.Load()
		if s&stateClosed != 0 {
			return Probe{}, r.why()
		}
		if r.state.CompareAndSwap(s, (s|stateProbed)+oneCall) {
			return Probe{r, arrivals}, nil
		}
	}
}

// FD is the descriptor to ask about.
func (p Probe) FD() int { return int(p.r.fd) }

// Of is the Registration.
func (p Probe) Of() *Registration { return p.r }

// Done ends the probe.
func (p Probe) Done() { p.r.release() }

// Disprove ends a probe in which the kernel said that the condition does not
// hold. That uses the ready mark up, unless an event has come since: the event
// may be younger than the answer.
func (p Probe) Disprove(want Interest) {
	r := p.r
	r.mu.Lock()
	if s := r.state.Load(); want != Exceptional && s&stateClosed == 0 {
		d := Read
		if want == Writable {
			d = Write
		}
		if r.arrivals.Load() == p.arrivals {
			r.state.And(^(d.of(readyBit) | d.sure()))
		}
		if d == Read || r.edges == KeepWritable {
			// From now on its events say what would have to be asked. If it
			// fails, the kernel is asked again.
			_ = r.watch(d)
		}
	}
	r.mu.Unlock()
	p.Done()
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
	list := r.alert(Readable | Writable)
	r.mu.Unlock()
	list.wake(nil)
}

// Unsure says that a call without the turn may have used readiness up.
func (r *Blocking) Unsure() {
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
