// Package loop runs an event loop: one goroutine that owns an epoll poller, a
// timing wheel and a queue of posted tasks.
//
// A Registration is one descriptor on a loop. It remembers in which directions
// the descriptor is ready and parks the goroutines that must wait for it, with
// a deadline. It also counts the calls in progress, so that the descriptor's
// number is not reused under a call.
//
//	l, err := loop.New()
//	var r loop.Registration
//	err = l.Register(&r, fd, loop.KeepWritable)
//	call := loop.Call{Timeout: time.Second}
//	ready, err := r.Begin(loop.Read, &call)
//	if err != nil {
//		return err // and no End
//	}
//	n, err := 0, error(unix.EAGAIN)
//	for first := true; err == unix.EAGAIN; first = false {
//		if !first || !ready {
//			if err = r.Wait(loop.Read, &call); err != nil {
//				break // loop.ErrTimeout, ErrClosed, ErrInterrupted ...
//			}
//		}
//		n, err = unix.Read(r.FD(), buf)
//	}
//	r.End(loop.Read, n == len(buf)) // there may be more
//
// All methods may be called by any goroutine unless they say otherwise.
//
// Calls park by two functions of the Go runtime, linked to by name, as other
// network stacks do; the build tag weir_portable does without.
package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/timers"
)

// What a blocked call, or a loop asked for something, ends with.
var (
	ErrTimeout     = errors.New("the time is up")
	ErrClosed      = errors.New("the descriptor was closed")
	ErrInterrupted = errors.New("the call was interrupted")
	ErrLoopClosed  = errors.New("the event loop is closed")
	ErrQueueFull   = errors.New("the event loop's task queue is full")
)

// tick is the resolution of the loop's timers. The wheel costs the same at any;
// a millisecond would make the median timeout half of one late, for nothing but
// fewer wake-ups where very many timers do expire.
const tick = 100 * time.Microsecond

// expirer is what the wheel's timers belong to: expire is called on the loop,
// at now (nanoseconds since the loop's start), without a lock held.
type expirer interface{ expire(now int64) }

// A Loop is an event loop. Make one with New; it runs until Close.
type Loop struct {
	options options
	poller  *poller.Poller
	start   time.Time // tick 0 of the wheel, and the origin of all deadlines
	done    chan struct{}

	// backlog counts the goroutines that the loop has woken and that have not
	// run since.
	backlog atomic.Int64

	// spawned counts the goroutines that were started by Spawn since the loop let
	// them run.
	spawned atomic.Int32

	// asleep is set while the loop is, or is about to be, in Wait: only then
	// is it worth waking.
	asleep atomic.Bool

	// waits counts the poller's waits, from their beginning: see Registration.stamp.
	waits atomic.Uint64

	// work says that there may be posted tasks, pokes, or the end to see to, so
	// that a turn without them takes no lock to find out. It is set under the
	// lock, after what it tells of, and before asleep is looked at.
	work atomic.Bool

	mu      sync.Mutex // guards the next six; taken last
	table   table
	tasks   []func()
	running []func() // taken from tasks, and put off for the next turn
	poked   []uint64 // keys of registrations whose handlers are to be called
	atEnd   []func() // to be called at the end of the turn
	closed  bool

	timerMu sync.Mutex // guards the next two; may be taken under a Registration's lock
	wheel   timers.Wheel[expirer]
	bound   uint64 // the tick at which the loop means to end its sleep

	// The loop goroutine's own: buffers of one turn.
	events     []poller.Event
	batch      []*Registration
	expired    []*timers.Timer[expirer]
	spare      []func() // an empty queue, for its memory; guarded by mu
	atEndSpare []func() // an empty queue, for its memory; guarded by mu
	taken      []func() // the tasks that are being called; nil in it is what was
	more       bool     // due work was left for the next turn
	now        int64    // the time of the turn; 0 until somebody asks

	turns  atomic.Uint64
	fatal  error
	panics atomic.Uint64
}

// never is a tick that does not come.
const never = ^uint64(0)

// New starts a Loop: a goroutine, and the three descriptors of a Poller. It
// refuses an option that is out of range, and a strategy that the system does
// not allow.
func New(opts ...Option) (*Loop, error) {
	o, err := collect(opts)
	if err != nil {
		return nil, err
	}
	p, err := poller.Open(o.strategy)
	if err != nil && !o.strategySet {
		p, err = poller.Open(poller.Blocking)
	}
	if err != nil {
		return nil, err
	}
	p.BusyPoll(o.busyPoll)
	l := &Loop{
		options: o,
		poller:  p,
		start:   time.Now(),
		done:    make(chan struct{}),
		bound:   never,
		events:  make([]poller.Event, o.events),
		batch:   make([]*Registration, o.events),
		expired: make([]*timers.Timer[expirer], o.expiries),
	}
	go l.run()
	return l, nil
}

// Close ends the loop. Every call that waits on one of its registrations
// returns ErrLoopClosed, their descriptors are closed, tasks already posted
// are run, timers are dropped. It returns when the loop's goroutine has ended;
// so a task must not call it (go l.Close() is fine). A second Close returns
// ErrLoopClosed, and so does the Close of a loop that has failed, with the reason.
func (l *Loop) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		<-l.done
		if l.fatal != nil {
			return errors.Join(ErrLoopClosed, l.fatal)
		}
		return ErrLoopClosed
	}
	l.closed = true
	l.work.Store(true)
	l.mu.Unlock()
	err := l.wake()
	<-l.done
	return errors.Join(err, l.fatal)
}

// Post has f called on the loop's goroutine, in the order of posting. It must
// not block: nothing else happens on the loop meanwhile. The queue is bounded
// (WithTaskQueue): ErrQueueFull. After Close it is ErrLoopClosed, and f is not
// called.
func (l *Loop) Post(f func()) error { return l.post(f, l.options.queue) }

// PostUnbounded is Post that is never refused because the queue is full. It is
// for a task that must not be lost, and of which there are only so many: one for
// each descriptor, say.
func (l *Loop) PostUnbounded(f func()) error { return l.post(f, math.MaxInt) }

func (l *Loop) post(f func(), bound int) error {
	if f == nil {
		return errors.New("loop: post: the task is nil")
	}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return ErrLoopClosed
	case len(l.running)+len(l.tasks) >= bound:
		l.mu.Unlock()
		return ErrQueueFull
	}
	l.tasks = append(l.tasks, f)
	l.work.Store(true)
	l.mu.Unlock()
	return l.wake()
}

// wake ends the loop's sleep, if it sleeps. The caller has stored what the
// loop is to see; the loop sets asleep before it looks.
func (l *Loop) wake() error {
	if !l.asleep.Load() {
		return nil
	}
	if err := l.poller.Wake(); !errors.Is(err, poller.ErrClosed) {
		return err
	}
	return nil // the loop has ended, and has seen it before
}

// Registered is how many registrations the loop has; none when it is closed.
func (l *Loop) Registered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.len()
}

// Turns is how many times the loop has woken up so far. An idle loop has none.
func (l *Loop) Turns() uint64 { return l.turns.Load() }

// Panics is how many panics of tasks and timers were caught so far.
func (l *Loop) Panics() uint64 { return l.panics.Load() }

// nanos is the loop's clock: monotonic nanoseconds since its start.
func (l *Loop) nanos() int64 { return int64(time.Since(l.start)) }

func (l *Loop) run() {
	defer close(l.done)
	if l.options.lockThread {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	defer l.release()
	orderly := false
	defer func() {
		if !orderly {
			l.fail(errCutShort)
		}
	}()
	for l.turn() {
	}
	orderly = true
}

// errCutShort is why a loop ends that is not let return from what it has called.
var errCutShort = errors.New("loop: a task, timer or handler has ended the goroutine, as runtime.Goexit does")

// fail is the end of a loop that cannot go on. What was posted is called all the
// same, for who has posted it may wait for it; unless it is a panic that ends the
// program.
func (l *Loop) fail(err error) {
	l.fatal = err
	slog.Error("weir: event loop failed", "error", err)
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if err == errCutShort && l.options.crash {
		return
	}
	for _, f := range l.taken {
		if f != nil {
			l.protect(f)
		}
	}
	for more := true; more; {
		more, _ = l.runTasks()
	}
}

// turn is one wake-up of the loop: events, timers, tasks. Each has a budget,
// so that none of them starves the others. It returns false when the loop is
// to end.
func (l *Loop) turn() bool {
	deadline := l.deadline()
	l.waits.Add(1)
	n, err := l.poller.Wait(l.events, deadline)
	l.asleep.Store(false)
	if err != nil {
		l.fail(fmt.Errorf("loop: wait: %w", err))
		return false
	}
	l.turns.Add(1)
	l.now = 0
	if l.work.Load() {
		l.handlePoked()
	}
	l.dispatch(l.events[:n])
	moreTimers := l.expire()
	moreTasks, open := false, true
	if l.work.Load() {
		moreTasks, open = l.runTasks()
	}
	if l.work.Load() {
		l.runTurnEnd()
	}
	l.more = moreTimers || moreTasks
	if !open && moreTasks {
		return true // they were posted before the end
	}
	if open && l.backlog.Load() > 0 {
		// Let the woken goroutines run before the next poll: by then their
		// peers may have answered, and one poll finds many events.
		runtime.Gosched()
	}
	return open
}

// deadline is when the next Wait should end.
func (l *Loop) deadline() time.Time {
	// Set before looking: who stores work after the look sees it and wakes us.
	l.asleep.Store(true)
	if l.more || l.backlog.Load() > 0 {
		return l.start // long past: just poll, and keep no thread from them
	}
	if l.work.Load() {
		return l.start
	}
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	when, ok := l.wheel.Bound()
	if !ok {
		l.bound = never
		return time.Time{}
	}
	l.bound = when
	return l.at(when)
}

// dispatch hands each event to its registration. An event of a registration
// that has been closed meanwhile finds no such key and is dropped.
func (l *Loop) dispatch(events []poller.Event) {
	if len(events) == 0 {
		return
	}
	batch := l.batch[:len(events)]
	l.mu.Lock()
	for i := range events {
		batch[i] = l.table.find(events[i].Key())
	}
	l.mu.Unlock()
	wait := l.waits.Load()
	for i, r := range batch {
		if r != nil {
			r.arrived(events[i].Ready(), wait)
		}
		if l.spawned.Load() >= spawnsAtOnce {
			l.spawned.Store(0)
			runtime.Gosched()
		}
		batch[i] = nil // a closed registration must be collectable
	}
}

// spawnsAtOnce is how many goroutines the loop starts before it lets them run.
// They are mostly short: the next ones then get their stacks.
const spawnsAtOnce = 32

// Spawn starts a goroutine for something that the loop has found to be due. The
// loop lets it run before it polls again.
func (l *Loop) Spawn(f func()) {
	l.spawned.Add(1)
	l.backlog.Add(1)
	go func() {
		l.backlog.Add(-1)
		f()
	}()
}

// expire takes what is due off the wheel and tells the owners.
func (l *Loop) expire() (more bool) {
	l.timerMu.Lock()
	when, ok := l.wheel.Bound()
	if !ok {
		l.timerMu.Unlock()
		return false
	}
	now := l.nanos()
	n := 0
	if ticks := uint64(now / int64(tick)); when <= ticks {
		n, more = l.wheel.Advance(ticks, l.expired)
	}
	l.timerMu.Unlock()
	for i, t := range l.expired[:n] {
		t.Owner.expire(now)
		l.expired[i] = nil
	}
	return more
}

// runTasks runs posted tasks, at most the budget's number.
func (l *Loop) runTasks() (more, open bool) {
	l.mu.Lock()
	if len(l.running) == 0 {
		l.running, l.tasks = l.tasks, l.spare
		l.spare = nil
	}
	open = !l.closed
	now := l.running
	if open { // the last turn runs them all
		now = now[:min(len(now), l.options.taskBudget)]
	}
	l.running = l.running[len(now):]
	l.mu.Unlock()

	l.taken = now
	for i, f := range now {
		now[i] = nil
		l.protect(f)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.running) == 0 && cap(now) <= keepTasks {
		l.spare = now[:0] // the memory of a burst is not kept
	}
	l.work.Store(l.hasWork())
	return len(l.running)+len(l.tasks) > 0, open
}

// keepTasks is the capacity of a task queue whose memory is used again.
const keepTasks = 1024

// protect calls f and survives its panic.
func (l *Loop) protect(f func()) {
	if l.options.crash {
		f()
		return
	}
	defer func() {
		if v := recover(); v != nil {
			l.panics.Add(1)
			l.options.report(v, debug.Stack())
		}
	}()
	f()
}

// release ends everything that hangs on the loop. It also runs when a task
// panicked and is to crash the program, which then goes on crashing.
func (l *Loop) release() {
	l.mu.Lock()
	l.closed = true
	left := l.table.all()
	l.mu.Unlock()
	for _, r := range left {
		if r.shut(ErrLoopClosed, true) == nil && r.handler != nil {
			(*r.handler).Closed()
		}
	}
	if err := l.poller.Close(); l.fatal == nil {
		l.fatal = err
	}
}
