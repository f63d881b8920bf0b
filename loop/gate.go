package loop

import (
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/timers"
)

// A Gate parks one goroutine that waits for many things at once. Make it with
// NewGate. The goroutine calls Arm, and then looks whether anything that it waits
// for has come. If so it calls Disarm, otherwise Sleep. A goroutine that changes
// something which the look may have missed calls Wake. After Arm exactly one Wake
// counts: it ends the Sleep that follows or is in progress. It is for one goroutine
// at a time, except Wake and Interrupt.
type Gate struct {
	parker
	open        atomic.Bool // no Wake is needed
	interrupted atomic.Bool
	simulated   bool          // it parks as Adapt says
	backlog     *atomic.Int64 // counts the goroutine from being woken until it runs; or nil
	timer       timers.Timer[expirer]

	host       atomic.Pointer[Loop] // whose timers and whose end may wake the goroutine
	next, prev *Gate                // in the host's list; guarded by its timerMu
}

// NewGate returns an open Gate.
func NewGate() *Gate {
	g := new(Gate)
	g.init()
	g.open.Store(true)
	g.timer.Owner = g
	return g
}

// Adapt makes the gate park as the goroutines of l do. Call it before Arm if the loops that
// call Wake may be those of a simulated kernel; nil and any other loop are real.
func (g *Gate) Adapt(l *Loop) {
	simulated := l != nil && l.options.Kernel != nil
	if !simulated && !g.simulated {
		return
	}
	g.simulated = simulated
	g.adapt(simulated)
}

// Arm closes the gate: the next Wake opens it.
func (g *Gate) Arm() { g.open.Store(false) }

// Wake opens the gate. by is the loop on whose goroutine Wake is called; nil
// means any other goroutine. A needless Wake does no harm except that Sleep may
// return early. It is concurrency-safe.
func (g *Gate) Wake(by *Loop) {
	if g.open.Load() || !g.open.CompareAndSwap(false, true) {
		return
	}
	if g.backlog = nil; by != nil {
		g.backlog = by.backlog.add()
		by.gateWakes.Add(1)
	}
	g.unpark()
}

// Interrupt is Wake, after which Interrupted returns true. It is
// concurrency-safe.
func (g *Gate) Interrupt() {
	g.interrupted.Store(true)
	g.Wake(nil)
}

// Interrupted reports whether Interrupt was called since the last call of
// Interrupted.
func (g *Gate) Interrupted() bool { return g.interrupted.Load() && g.interrupted.Swap(false) }

// Disarm opens the gate when the goroutine need not sleep after all.
func (g *Gate) Disarm() {
	if !g.open.CompareAndSwap(false, true) {
		g.pass() // a Wake was faster; its unpark must not be left for the next Sleep
	}
}

// pass parks until the Wake that has opened the gate, or will, unparks.
func (g *Gate) pass() {
	g.park()
	if g.backlog != nil {
		g.backlog.Add(-1)
	}
}

// Sleep parks the goroutine until Wake is called or, by the timers of l, until
// the given time, if it is not zero. It may also return early. When l is closed,
// before or meanwhile, it returns ErrLoopClosed. The gate is open afterwards.
func (g *Gate) Sleep(l *Loop, until time.Time) error {
	g.host.Store(l)
	if !l.admit(g) {
		g.Disarm()
		return ErrLoopClosed
	}
	if !until.IsZero() {
		l.schedule(&g.timer, min(max(int64(until.Sub(l.start)), 1), farthest))
	}
	g.pass()
	return l.dismiss(g)
}

// expire is called by the timer. A timer of an earlier Sleep may be late: that
// is a needless Wake.
func (g *Gate) expire(int64) { g.Wake(g.host.Load()) }

// admit puts a gate on the list of those that the loop wakes when it is closed.
// It reports false if the loop is closed already.
func (l *Loop) admit(g *Gate) bool {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	if l.gatesOpen {
		return false
	}
	g.prev, g.next = nil, l.gates
	if g.next != nil {
		g.next.prev = g
	}
	l.gates = g
	return true
}

// dismiss takes a gate off that admit has put on the list. It returns
// ErrLoopClosed if the loop was closed since.
func (l *Loop) dismiss(g *Gate) error {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	l.wheel.Cancel(&g.timer)
	if g.next != nil {
		g.next.prev = g.prev
	}
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		l.gates = g.next
	}
	g.next, g.prev = nil, nil
	if l.gatesOpen {
		return ErrLoopClosed
	}
	return nil
}

// openGates wakes every goroutine that sleeps in a Gate of the loop, which is
// being closed.
func (l *Loop) openGates() {
	l.timerMu.Lock()
	defer l.timerMu.Unlock()
	l.gatesOpen = true
	for g := l.gates; g != nil; g = g.next {
		g.Wake(nil)
	}
}
