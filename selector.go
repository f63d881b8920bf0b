package weir

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// An Interest is one or more of the three kinds of readiness.
type Interest = loop.Interest

const (
	Readable    = loop.Readable    // a read does not wait
	Writable    = loop.Writable    // a write does not wait
	Exceptional = loop.Exceptional // out-of-band data has arrived
)

// A Selector waits for sockets and files that stay the same from call to call. The
// program registers each once. The cost of a Wait grows with the number of entries
// that are ready, not with the number that are registered. A Selector is
// level-triggered, as Select is: it reports input again until the program reads it.
//
// It is concurrency-safe: a Wait in progress includes what another goroutine registers
// meanwhile. A Selector keeps what is registered from being collected.
type Selector struct {
	mu         sync.Mutex // guards what follows; taken before a registration's lock
	entries    map[Selectable]*entry
	candidates []*entry // the entries that may be ready; all others are not
	inquiry    loop.Inquiry
	home       *loop.Loop // keeps the time of a Wait
	closed     bool

	noticed sync.Mutex // guards what follows; taken under a registration's lock
	queue   []*entry   // entries that the next collect makes candidates
	gates   []*loop.Gate
}

// An entry is one registered socket or file.
type entry struct {
	selector *Selector
	what     Selectable
	want     Interest
	data     any
	hook     loop.Hook

	candidate bool
	gone      bool // no longer registered
	is        Interest
	question  int32 // its first question in the inquiry; -1 if there is none

	queued bool // guarded by noticed
}

// An Event says what a registered socket or file is ready for.
type Event struct {
	What  Selectable // what was registered
	Data  any        // the data given to Register or Modify
	Ready Interest   // the conditions that hold, of those that were asked for
	// Closed reports that What was closed. It is not registered any more. A
	// Selector reports this once.
	Closed bool
}

// NewSelector returns a Selector with nothing registered.
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

// Register makes the Selector wait until what is ready in one of the ways wanted,
// and report it together with data. Errors: EEXIST if what is registered already,
// EBADF if it or the Selector is closed, EINVAL for a nil what or an empty want.
func (s *Selector) Register(what Selectable, want Interest, data any) error {
	if what == nil || isNil(what) || what.Registration() == nil {
		return refuse(opRegister, unix.EINVAL, "the entry is nil")
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
	s.notice(e, loop.NoticeReady, nil) // the next collect looks whether it is ready
	return nil
}

func checkInterest(op string, want Interest) error {
	if want == 0 || want&^(Readable|Writable|Exceptional) != 0 {
		return refuse(op, unix.EINVAL, fmt.Sprintf("interest %#x: it must be one or more of Readable, Writable and Exceptional", uint8(want)))
	}
	return nil
}

// Modify replaces the interest and the data of what. If what is not registered,
// it returns ENOENT.
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
	s.notice(e, loop.NoticeReady, nil) // the next collect looks whether it is ready
	return nil
}

// Unregister ends the registration of what. If what is not registered, it returns
// ENOENT.
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

// Len returns how many sockets and files are registered.
func (s *Selector) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Close ends all registrations. Waits in progress return EBADF, and so does a
// second Close.
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

// remove ends a registration. If the entry is a candidate, the next collect drops
// it. The caller holds the lock.
func (s *Selector) remove(e *entry) {
	e.hook.Unhang()
	e.gone = true
	delete(s.entries, e.what)
}

// Notify is for the hook, which calls it under the registration's lock.
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

// Wait waits until something is ready, and returns an Event for everything that
// is, in no particular order. It overwrites the memory of into for that. A timeout
// of NoWait does not wait, and Forever waits without a bound. When the timeout
// ends, the result is empty and there is no error. With NoWait, Wait
// reports what the loops have taken in: an event of the last microseconds may
// appear in the next call.
//
// Errors: EINTR with the context's cause when ctx is done; EINTR when Interrupt is
// called on something registered; EBADF when the Selector is closed. A nil ctx
// never ends.
func (s *Selector) Wait(ctx context.Context, timeout time.Duration, into []Event) ([]Event, error) {
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
	s.mu.Lock()
	home := s.home
	s.mu.Unlock()
	g.Adapt(home)
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

// sleep returns after a notice or when the time is up. The timers of the home loop end
// the sleep. If that loop is closed, the next sleep uses a loop of the default group.
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

// collect looks at the candidates. Those that are ready stay candidates. An event
// that comes after this look makes candidates of the others again.
func (s *Selector) collect(into []Event) ([]Event, error) {
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
			into = append(into, Event{e.what, e.data, 0, true})
		case e.is != 0:
			into = append(into, Event{e.what, e.data, e.is, false})
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

// enlist moves the queue to the candidates.
func (s *Selector) enlist() {
	s.noticed.Lock()
	for i, e := range s.queue {
		e.queued = false // before the look, so that a later event queues it again
		s.queue[i] = nil
		if !e.candidate && !e.gone {
			e.candidate = true
			s.candidates = append(s.candidates, e)
		}
	}
	s.queue = s.queue[:0]
	s.noticed.Unlock()
}

// look notes the conditions of an entry that the loop knows to hold, and adds questions
// about those in doubt to the inquiry.
func (s *Selector) look(e *entry) {
	e.is, e.question = 0, -1
	if e.gone {
		return
	}
	r := e.what.Registration()
	// The event of an out-of-band byte may still be on its way to the loop when the
	// kernel says that there is input. So if one condition may hold, the kernel is
	// asked about all of them: its answers are of one moment.
	all := false
	for _, want := range wants {
		all = all || e.want&Exceptional != 0 && e.want&want != 0 && r.Look(want) != loop.Unready
	}
	for _, want := range wants {
		if e.want&want == 0 {
			continue
		}
		switch is := r.Look(want); {
		case is == loop.Gone:
		case all, is == loop.Doubtful:
			if s.inquiry.Add(r, want) == nil && e.question < 0 {
				e.question = int32(s.inquiry.Len()) - 1
			}
		case is == loop.Ready:
			e.is |= want
		}
	}
}

// verdict adds the kernel's answers to e, and reports whether e is closed. Questions
// behind those of e may belong to another entry of the same socket.
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
