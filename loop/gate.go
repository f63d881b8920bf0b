package loop

import (
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/timers"
)

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
