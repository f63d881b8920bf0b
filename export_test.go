package weir

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
