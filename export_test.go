package weir

import "github.com/seed-2334f180/weir/loop"

// Waiters returns how many calls of Wait sleep, or are about to.
func (s *Selector) Waiters() int {
	s.noticed.Lock()
	defer s.noticed.Unlock()
	return len(s.gates)
}

// Queued returns how many notices no Wait has looked at yet.
func (s *Selector) Queued() int {
	s.noticed.Lock()
	defer s.noticed.Unlock()
	return len(s.queue)
}

// Home returns the loop whose timers end the sleep of Wait, or nil.
func (s *Selector) Home() *loop.Loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.home
}

// LeaveInterruptions puts gates that were interrupted, and have not reported it, into
// the pools from which the next calls of Wait and Select take theirs.
func LeaveInterruptions() {
	g, c := loop.NewGate(), &call{gate: loop.NewGate()}
	g.Interrupt()
	c.gate.Interrupt()
	gates.Put(g)
	calls.Put(c)
}
