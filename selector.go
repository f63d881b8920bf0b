package weir

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// An Interest is what a Selector waits for, or what is so.
type Interest = loop.Interest

const (
	Readable    = loop.WantRead   // a read would not wait
	Writable    = loop.WantWrite  // a write would not wait
	Exceptional = loop.WantExcept // out-of-band data
)

// A Selector waits for sockets and files that stay the same from call to call:
// each is registered once, and a Wait costs as much as there is ready, however
// many are registered. It is level-triggered, as Select is: what is not read is
// reported again.
//
// All methods may be called by any goroutine at any time. What is registered
// while another goroutine waits is waited for at once. A Selector keeps what is
// registered from being collected.
type Selector struct {
	mu         sync.Mutex // guards what follows; taken before a registration's lock
	entries    map[Selectable]*entry
	candidates []*entry // may be ready: all others are not
	inquiry    loop.Inquiry
	home       *loop.Loop // whose timer ends a Wait
	closed     bool

	noticed sync.Mutex // guards what follows; taken under a registration's lock
	queue   []*entry   // to become candidates
	gates   []*loop.Gate
}

// An entry is what is registered.
type entry struct {
	selector *Selector
	what     Selectable
	want     Interest
	data     any
	hook     loop.Hook

	candidate bool
	gone      bool // it is not registered any more
	is        Interest
	question  int32 // the first of it in the inquiry; -1 if there is none

	queued bool // guarded by noticed
}

// A Ready is something registered and what it is ready for.
type Ready struct {
	What Selectable
	Data any // what Register was given
	Is   Interest
	// Closed says that it has been closed, and so is not registered any more.
	// It is reported once.
	Closed bool
}

// NewSelector makes a Selector with nothing registered.
func NewSelector() *Selector { return &Selector{entries: make(map[Selectable]*entry)} }

const (
	opRegister   = "selector register"
	opModify     = "selector modify"
	opUnregister = "selector unregister"
	opWait       = "selector wait"
)

func refuse(op string, errno syscall.Errno, why string) error {
	return &socket.Error{Op: op, Errno: errno, Err: errors.New(why)}
}

func selectorFailed(op string, err error) error {
	e := failed("", err).(*socket.Error)
	e.Op = op
	return e
}

// Register has the Selector wait for what to be ready in one of the ways
// wanted, and report it with the data. Errors: EEXIST if it is registered
// already, EBADF if it or the Selector is closed, EINVAL without what or want.
func (s *Selector) Register(what Selectable, want Interest, data any) error {
	if what == nil || isNil(what) || what.Registration() == nil {
		return refuse(opRegister, unix.EINVAL, "there is none")
	}
	if err := checkInterest(opRegister, want); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return selectorFailed(opRegister, loop.ErrClosed)
	}
	if s.entries[what] != nil {
		return refuse(opRegister, unix.EEXIST, "it is registered")
	}
	e := &entry{selector: s, what: what, want: want, data: data}
	e.hook.To = e
	if err := e.hook.Hang(what.Registration(), want); err != nil {
		return selectorFailed(opRegister, err)
	}
	s.entries[what] = e
	s.home = what.Registration().Loop()
	s.notice(e, loop.NoticeReady, nil) // what it is by now, Wait finds out
	return nil
}

func isNil(what Selectable) bool {
	s, ok := what.(*socket.Socket)
	return ok && s == nil
}

func checkInterest(op string, want Interest) error {
	if want == 0 || want&^(Readable|Writable|Exceptional) != 0 {
		return refuse(op, unix.EINVAL, "unknown interest, or none")
	}
	return nil
}

// Modify replaces the interest and the data. What is not registered gives
// ENOENT.
func (s *Selector) Modify(what Selectable, want Interest, data any) error {
	if err := checkInterest(opModify, want); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[what]
	if e == nil {
		return refuse(opModify, unix.ENOENT, "it is not registered")
	}
	if err := e.hook.Change(want); err != nil {
		return selectorFailed(opModify, err)
	}
	e.want, e.data = want, data
	s.notice(e, loop.NoticeReady, nil) // what it is by now, Wait finds out
	return nil
}

// Unregister forgets what was registered, or gives ENOENT.
func (s *Selector) Unregister(what Selectable) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[what]
	if e == nil {
		return refuse(opUnregister, unix.ENOENT, "it is not registered")
	}
	s.remove(e)
	return nil
}

// Len is how many are registered.
func (s *Selector) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Close forgets all that was registered. Waits in progress return EBADF. A
// second Close does, too.
func (s *Selector) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return selectorFailed("selector close", loop.ErrClosed)
	}
	s.closed = true
	for _, e := range s.entries {
		s.remove(e)
	}
	s.candidates = nil
	s.noticed.Lock()
	s.queue = nil
	for _, g := range s.gates {
		g.Wake(nil)
	}
	s.noticed.Unlock()
	return nil
}

// remove takes an entry off. If it is a candidate, the next Wait drops it. The
// caller holds the lock.
func (s *Selector) remove(e *entry) {
	e.hook.Unhang()
	e.gone = true
	delete(s.entries, e.what)
}

// Notify is called by the hook, under the registration's lock.
func (e *entry) Notify(h *loop.Hook, n loop.Notice) {
	var by *loop.Loop
	if n == loop.NoticeReady {
		by = h.Loop()
	}
	e.selector.notice(e, n, by)
}

func (s *Selector) notice(e *entry, n loop.Notice, by *loop.Loop) {
	s.noticed.Lock()
	if !e.queued && n != loop.NoticeInterrupted {
		e.queued = true
		s.queue = append(s.queue, e)
	}
	for _, g := range s.gates {
		if n == loop.NoticeInterrupted {
			g.Interrupt()
		} else {
			g.Wake(by)
		}
	}
	s.noticed.Unlock()
}

// Wait waits until something is ready, and returns it all, in no certain order,
// in the memory of into, which it overwrites. With a timeout of 0 it polls; a
// negative one is for ever. When the time is up the result is empty and there
// is no error. A poll tells what the loops have taken in: what happened in the
// last microseconds may be for the next call to tell.
//
// Errors: EINTR when ctx is done, with its cause, or when something registered
// is interrupted; EBADF when the Selector is closed. A nil ctx is none.
func (s *Selector) Wait(ctx context.Context, timeout time.Duration, into []Ready) ([]Ready, error) {
	into = into[:0]
	if ctx == nil {
		ctx = context.Background()
	}
	if ctx.Err() != nil {
		return into, s.interrupted(context.Cause(ctx))
	}
	into, err := s.collect(into)
	if len(into) > 0 || err != nil || timeout == 0 {
		return into, err
	}
	var until time.Time
	if timeout > 0 {
		until = time.Now().Add(timeout)
	}
	g := gates.Get().(*loop.Gate)
	defer gates.Put(g)
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { g.Wake(nil) })
		defer stop()
	}
	g.Interrupted()
	s.enter(g)
	defer s.leave(g)
	for {
		g.Arm()
		over := !until.IsZero() && !time.Now().Before(until)
		into, err = s.collect(into)
		switch {
		case len(into) > 0 || err != nil || over:
		case g.Interrupted():
			err = s.interrupted(loop.ErrInterrupted)
		case ctx.Err() != nil:
			err = s.interrupted(context.Cause(ctx))
		default:
			if err = s.sleep(g, until); err == nil {
				continue
			}
		}
		g.Disarm()
		return into, err
	}
}

var gates = sync.Pool{New: func() any { return loop.NewGate() }}

func (s *Selector) interrupted(cause error) error {
	return &socket.Error{Op: opWait, Errno: unix.EINTR, Err: cause}
}

func (s *Selector) enter(g *loop.Gate) {
	s.noticed.Lock()
	s.gates = append(s.gates, g)
	s.noticed.Unlock()
}

func (s *Selector) leave(g *loop.Gate) {
	s.noticed.Lock()
	defer s.noticed.Unlock()
	for i := range s.gates {
		if s.gates[i] == g {
			last := len(s.gates) - 1
			s.gates[i], s.gates[last] = s.gates[last], nil
			s.gates = s.gates[:last]
			return
		}
	}
}

// sleep is for a loop that something is registered on to end. Should that be
// closed, another will do.
func (s *Selector) sleep(g *loop.Gate, until time.Time) error {
	s.mu.Lock()
	home := s.home
	s.mu.Unlock()
	if home == nil {
		group, err := loop.Default()
		if err != nil {
			return selectorFailed(opWait, err)
		}
		home = group.Pick(netip.Addr{})
	}
	if g.Sleep(home, until) != nil {
		s.mu.Lock()
		if s.home == home {
			s.home = nil
		}
		s.mu.Unlock()
	}
	return nil
}

// collect looks at the candidates. Those that are ready stay candidates; the
// others will be noticed again by an event that is younger than this look.
func (s *Selector) collect(into []Ready) ([]Ready, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return into, selectorFailed(opWait, loop.ErrClosed)
	}
	s.enlist()
	for _, e := range s.candidates {
		s.look(e)
	}
	if s.inquiry.Len() > 0 {
		if err := s.inquiry.Ask(); err != nil {
			return into, selectorFailed(opWait, err)
		}
	}
	keep := s.candidates[:0]
	for _, e := range s.candidates {
		closed := s.verdict(e)
		switch {
		case e.gone:
		case closed:
			s.remove(e)
			into = append(into, Ready{e.what, e.data, 0, true})
		case e.is != 0:
			into = append(into, Ready{e.what, e.data, e.is, false})
			keep = append(keep, e)
			continue
		}
		e.candidate = false
	}
	clear(s.candidates[len(keep):])
	s.candidates = keep
	s.inquiry.Reset()
	return into, nil
}

// enlist makes candidates of the queue.
func (s *Selector) enlist() {
	s.noticed.Lock()
	for i, e := range s.queue {
		e.queued = false // before the look: what comes after it is queued anew
		s.queue[i] = nil
		if !e.candidate && !e.gone {
			e.candidate = true
			s.candidates = append(s.candidates, e)
		}
	}
	s.queue = s.queue[:0]
	s.noticed.Unlock()
}

// look finds out what is known of an entry, and leaves the rest to the poll.
func (s *Selector) look(e *entry) {
	e.is, e.question = 0, -1
	if e.gone {
		return
	}
	r := e.what.Registration()
	for _, want := range wants {
		if e.want&want == 0 {
			continue
		}
		switch r.Look(want) {
		case loop.Ready:
			e.is |= want
		case loop.Doubtful:
			if s.inquiry.Add(r, want) == nil && e.question < 0 {
				e.question = int32(s.inquiry.Len()) - 1
			}
		}
	}
}

// verdict adds the kernel's answers, and reports whether it is closed. The
// questions that follow may be another entry's, of the same socket.
func (s *Selector) verdict(e *entry) (closed bool) {
	r := e.what.Registration()
	for i := int(e.question); i >= 0 && i < s.inquiry.Len(); i++ {
		about, want := s.inquiry.About(i)
		if about != r {
			break
		}
		if s.inquiry.Holds(i) {
			e.is |= want & e.want
		}
	}
	if e.want&Readable != 0 && e.what.Buffered() > 0 {
		e.is |= Readable
	}
	return r.Look(Readable) == loop.Gone
}
