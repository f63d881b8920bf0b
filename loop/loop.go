package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/timers"
)

// tick is the resolution of the loop's timers. The wheel's cost does not depend on
// it. With a tick of a millisecond the median timeout would be late by half a
// millisecond, and all that it would save is wake-ups where very many timers expire.
const tick = 100 * time.Microsecond

// An expirer owns a timer of the wheel. The loop calls expire on its goroutine,
// without a lock, when the timer has expired; now is the time on the loop's clock, in
// nanoseconds.
type expirer interface{ expire(now int64) }

// A Loop is an event loop. Make one with New; it runs until Close. It is
// concurrency-safe.
type Loop struct {
	options Options
	poller  *poller.Poller
	start   time.Time // tick 0 of the wheel, and the origin of all deadlines
	done    chan struct{}

	backlog backlog

	// spawned counts the goroutines that Spawn has started or woken since the loop
	// last yielded to them.
	spawned atomic.Int32

	// asleep is set while the loop is in the poller's Wait or about to call it: only
	// then must it be woken.
	asleep atomic.Bool

	// waits is the number of the present or last wait: see Registration.stamp.
	waits atomic.Uint64

	lone lone // for the call that waits alone

	// work says that there may be tasks or pokes, or that the loop is being closed.
	// So a turn without any of these takes no lock to find out. It is set under the
	// lock, after what it announces was stored, and before asleep is read.
	work atomic.Bool

	mu      sync.Mutex // guards the next six; taken last
	reports []*panicReport
	table   table
	tasks   []func()
	running []func() // taken from tasks, and put off for the next turn
	poked   []uint64 // keys of registrations whose handlers are to be called
	atEnd   []func() // to be called at the end of the turn
	closed  bool

	timerMu   sync.Mutex // guards the next five; may be taken under a Registration's lock
	wheel     timers.Wheel[expirer]
	bound     uint64 // the tick at which the loop means to end its sleep
	gates     *Gate  // those that a goroutine sleeps in
	gatesOpen bool   // the loop is closed: no goroutine may sleep in a gate of it
	published published

	// What follows is for the loop's goroutine: the buffers of one turn.
	events     []poller.Event
	batch      []*Registration
	expired    []*timers.Timer[expirer]
	spare      []func() // an empty queue, for its memory; guarded by mu
	atEndSpare []func() // the same of atEnd
	taken      []func() // the tasks of this turn; those that were called are nil
	calling    bool     // a handler is being called: see survive
	more       bool     // due work was left for the next turn
	lastKey    uint64   // of the last event
	streak     int      // how many events before it had the same key
	restarted  uint32   // the restarts that streak takes into account
	counts     counts
	sampler    sampler
	lookout    lookout
	now        int64 // the time of the turn; 0 until Now is called

	workers  workers      // the goroutines of Spawn that are parked
	expected atomic.Int64 // descriptors on their way to the loop: see Expect

	turns     atomic.Uint64
	fatal     error
	panics    atomic.Uint64
	gateWakes atomic.Uint64 // goroutines that were woken from a gate
}

// never is a tick that never comes.
const never = ^uint64(0)

// New starts a Loop: a goroutine, and the three descriptors of a Poller. The errors
// are those of an option that is out of range, of a strategy that the system does not
// allow, and of the system calls that open the descriptors.
func New(opts Options) (*Loop, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	p, err := poller.OpenOn(o.Kernel, o.Strategy)
	if err != nil {
		return nil, fmt.Errorf("loop: %w", err)
	}
	p.BusyPoll(max(o.BusyPoll, 0))
	p.Hold(o.Hold)
	l := &Loop{
		options: o,
		poller:  p,
		start:   time.Now(),
		done:    make(chan struct{}),
		bound:   never,
		events:  make([]poller.Event, o.Events),
		batch:   make([]*Registration, o.Events),
		expired: make([]*timers.Timer[expirer], o.Expiries),
	}
	l.lone.key.Store(nobody)
	l.lone.spot.holder.Store(nobody)
	if o.Kernel == nil {
		enlist(l)
	} else {
		l.lookout.left = math.MaxInt // the others are not in its simulation
	}
	go l.run()
	return l, nil
}

// Close ends the loop: it runs the tasks that were posted, drops the timers, closes
// the registrations with their descriptors, and lets every call that waits on one
// return ErrLoopClosed. Close returns when the loop's goroutine has ended, so a task,
// timer or handler must not call it (go l.Close() is fine). A second Close returns
// ErrLoopClosed; for a loop that has failed Close returns it with the reason.
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

// wake ends the loop's sleep, if it sleeps. The caller has stored what the loop is to
// find; the loop sets asleep before it looks for that.
func (l *Loop) wake() error {
	if !l.asleep.Load() {
		return nil
	}
	if err := l.poller.Wake(); !errors.Is(err, poller.ErrClosed) {
		return err
	}
	return nil // the loop has ended, and has found it before
}

// Registered returns the number of registrations on the loop; 0 after Close.
func (l *Loop) Registered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table.len()
}

// Turns returns how often the loop has woken up so far. An idle loop does not.
func (l *Loop) Turns() uint64 { return l.turns.Load() }

// Panics returns how many panics of tasks, timers and handlers were reported so far.
func (l *Loop) Panics() uint64 { return l.panics.Load() }

// nanos reads the loop's clock: monotonic nanoseconds since the loop's start.
func (l *Loop) nanos() int64 { return int64(time.Since(l.start)) }

func (l *Loop) run() {
	defer close(l.done)
	if l.options.LockThread {
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
	l.poller.Run(l.events, l.beginWait, l.turn)
	orderly = true
}

// errCutShort is the error of a loop whose goroutine was ended by what it had called.
var errCutShort = errors.New("loop: a task, timer or handler has ended the goroutine, as runtime.Goexit does")

// fail ends a loop that cannot go on. It calls the posted tasks, because goroutines may
// wait for them; but not if a panic is ending the program.
func (l *Loop) fail(err error) {
	l.fatal = err
	slog.Error("weir: event loop failed", "error", err)
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if err == errCutShort && l.options.Crash {
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

// turn is what the loop does after each wait: pokes, events, timers, tasks. Each has a
// budget, so that none starves the others. It returns false when the loop is to end.
func (l *Loop) turn(n int, err error) bool {
	l.asleep.Store(false)
	if err != nil {
		l.fail(fmt.Errorf("loop: wait: %w", err))
		return false
	}
	l.turns.Add(1)
	l.napIfStarving()
	l.now = 0
	l.beginTurn(n)
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
	l.endTurn()
	if !open && moreTasks {
		return true // they were posted before the end
	}
	if open && l.backlog.size() > 0 && l.poller.Holds() {
		// Let the woken goroutines run before the next poll: by then their
		// peers may have answered, and one poll finds many events.
		runtime.Gosched()
	}
	return open
}

// beginWait is called before each wait, and returns when it is to end.
func (l *Loop) beginWait() time.Time {
	deadline := l.deadline()
	l.waits.Add(1)
	return deadline
}

// deadline returns when the next wait is to end.
func (l *Loop) deadline() time.Time {
	// asleep is set before the look. A goroutine that stores work after the look finds
	// it set, and wakes the loop.
	l.asleep.Store(true)
	if l.more || l.backlog.size() > 0 && l.poller.Holds() {
		return l.start // long past: Wait polls, and does not hold the thread
	}
	if l.work.Load() {
		return l.start
	}
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	l.publish()
	when, ok := l.wheel.Bound()
	if !ok {
		l.bound = never
		return time.Time{}
	}
	l.bound = when
	return l.at(when)
}

// dispatch hands each event to its registration. An event whose registration was
// closed is dropped: the table has no such key any more.
func (l *Loop) dispatch(events []poller.Event) {
	if len(events) == 0 {
		return
	}
	l.solo(events)
	batch := l.batch[:len(events)]
	l.mu.Lock()
	for i := range events {
		batch[i] = l.table.find(events[i].Key())
	}
	l.mu.Unlock()
	wait := l.waits.Load()
	for next := 0; next < len(batch); {
		next = l.deliver(events, batch, next, wait)
	}
}

// deliver hands out the events from the one of that index on. It returns the
// index after the last one that it has handed out: a handler that panics ends
// it early.
func (l *Loop) deliver(events []poller.Event, batch []*Registration, from int, wait uint64) (next int) {
	defer l.survive()
	for next = from; next < len(batch); {
		r, ev := batch[next], events[next].Ready()
		batch[next] = nil // a closed registration must be collectable
		next++
		if r != nil {
			r.arrived(ev, wait)
			if r.handler != nil {
				l.lookAround()
			}
		}
		if l.spawned.Load() >= spawnsAtOnce {
			l.spawned.Store(0)
			runtime.Gosched()
		}
	}
	return next
}

// expire takes the timers that are due off the wheel, at most Options.Expiries, and
// calls their owners.
func (l *Loop) expire() (more bool) {
	l.timerMu.Lock()
	l.publish()
	when, ok := l.wheel.Bound()
	if !ok {
		l.timerMu.Unlock()
		return false
	}
	now := l.nanos()
	n := 0
	if ticks := uint64(now / int64(tick)); when <= ticks {
		n, more = l.wheel.Advance(ticks, l.expired)
		l.countFired(l.expired[:n], now)
	}
	l.timerMu.Unlock()
	for i, t := range l.expired[:n] {
		t.Owner.expire(now)
		l.expired[i] = nil
	}
	return more
}

// release closes what is on the loop, and the poller. It is deferred, and so also
// runs while a panic ends the program.
func (l *Loop) release() {
	l.mu.Lock()
	l.closed = true
	left := l.table.all()
	l.mu.Unlock()
	for _, r := range left {
		if r.shut(ErrLoopClosed, true) == nil && r.handler != nil {
			r.callClosed()
		}
	}
	l.backlog.leave()
	l.openGates()
	l.workers.close()
	l.lone.spot.close()
	delist(l)
	if err := l.poller.Close(); l.fatal == nil {
		l.fatal = err
	}
}
