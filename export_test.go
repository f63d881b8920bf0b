package weir

import "github.com/seed-2334f180/weir/loop"

// Waiters is how many Waits are, or are about to be, asleep.
func (s *Selector) Waiters() int {
	s.noticed.Lock()
	defer s.noticed.Unlock()
	return len(s.gates)
}

// Queued is how many notices no Wait has looked at yet.
func (s *Selector) Queued() int {
	s.noticed.Lock()
	defer s.noticed.Unlock()
	return len(s.queue)
}

// LeaveInterruptions puts what was interrupted, and has not told of it, where the
// next calls of Wait and Select find it.
func LeaveInterruptions() {
	g, c := loop.NewGate(), &call{gate: loop.NewGate()}
	g.Interrupt()
	c.gate.Interrupt()
	gates.Put(g)
	calls.Put(c)
}
