package loop

import (
	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// An Inquiry asks the kernel about many descriptors at once, by poll(2) with a
// zero timeout. Each question counts as a call on its Registration, so that the
// descriptor stays open until Ask or Cancel. The zero Inquiry has no questions.
// It is for one goroutine at a time.
type Inquiry struct {
	fds    []unix.PollFd
	probes []probe
	wants  []Interest
}

// What select(2) makes of poll(2)'s bits. RDHUP comes with IN.
const (
	selectRead   = unix.POLLIN | unix.POLLHUP | unix.POLLERR
	selectWrite  = unix.POLLOUT | unix.POLLERR
	selectExcept = unix.POLLPRI
)

func pollBits(want Interest) int16 {
	switch want {
	case Readable:
		return selectRead
	case Writable:
		return selectWrite
	}
	return selectExcept
}

// Add adds the question whether one condition of r holds. The error, for a closed r,
// is ErrClosed or ErrLoopClosed.
func (q *Inquiry) Add(r *Registration, want Interest) error {
	p, err := r.probe()
	if err != nil {
		return err
	}
	q.fds = append(q.fds, unix.PollFd{Fd: r.fd, Events: pollBits(want)})
	q.probes = append(q.probes, p)
	q.wants = append(q.wants, want)
	return nil
}

// Ask asks the kernel. Holds has the answers afterwards, until Reset. An error
// of poll(2) leaves no questions.
func (q *Inquiry) Ask() error {
	// poll(2) refuses more entries than the process may have descriptors
	// (RLIMIT_NOFILE, mostly 1024 or more), with EINVAL. One descriptor may be in
	// several entries.
	most := 1024
	for i := 0; i < len(q.fds); {
		part := q.fds[i:min(i+most, len(q.fds))]
		errno := sys.Poll(part)
		switch {
		case errno == 0:
			i += len(part)
		case errno == unix.EINVAL && len(part) > 1:
			most = len(part) / 2
		default:
			q.Cancel()
			return errno
		}
	}
	for i := range q.probes {
		if q.Holds(i) {
			q.probes[i].done()
		} else {
			q.probes[i].disprove(q.wants[i])
		}
	}
	return nil
}

// Holds returns the answer to question i, in the order of Add from 0.
func (q *Inquiry) Holds(i int) bool { return q.fds[i].Revents&pollBits(q.wants[i]) != 0 }

// Len returns the number of questions.
func (q *Inquiry) Len() int { return len(q.fds) }

// About returns what question i is about.
func (q *Inquiry) About(i int) (*Registration, Interest) { return q.probes[i].r, q.wants[i] }

// Cancel drops the questions without asking the kernel. It is for an Inquiry
// whose Ask has not been called.
func (q *Inquiry) Cancel() {
	for i := range q.probes {
		q.probes[i].done()
	}
	q.Reset()
}

// Reset drops the questions that Ask has answered.
func (q *Inquiry) Reset() {
	clear(q.probes) // a closed registration must be collectable
	q.fds, q.probes, q.wants = q.fds[:0], q.probes[:0], q.wants[:0]
}

// A probe is one question that the kernel is being asked.
type probe struct {
	r        *Registration
	arrivals uint32 // events that r had taken in when the probe began
}

// probe counts a call in, as Use does, for a question to poll(2) about the
// descriptor. The caller calls done or disprove afterwards.
func (r *Registration) probe() (probe, error) {
	for {
		// arrivals is read before the probed bit is set, so that the event which
		// clears the bit counts as one that came since. Later events are not
		// counted while the bit is clear.
		arrivals := r.arrivals.Load()
		s := r.state.Load()
		if s&stateClosed != 0 {
			return probe{}, r.why()
		}
		if r.state.CompareAndSwap(s, (s|stateProbed)+oneCall) {
			return probe{r, arrivals}, nil
		}
	}
}

// done ends the probe.
func (p probe) done() { p.r.release() }

// disprove ends a probe after the kernel said that the condition does not hold.
// That clears the ready mark, unless an event has come since the probe began:
// the event may be younger than the answer.
func (p probe) disprove(want Interest) {
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
			// From now on events tell what else the kernel would be asked for. If
			// this fails, the next Inquiry asks again.
			_ = r.watch(d)
		}
	}
	r.mu.Unlock()
	p.done()
}
