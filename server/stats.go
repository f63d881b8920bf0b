package server

import "sync/atomic"

// Stats are what a Server counts.
type Stats struct {
	Accepted uint64 // connections that were accepted so far
	Conns    int    // connections that are open; for a moment also one that a listener is about to accept
	Starved  uint64 // pauses of accepting for a lack of descriptors or memory
	Stalls   uint64 // times that the watchdog found a loop held up
	Panics   uint64 // panics of callbacks and handlers
}

type counters struct{ accepted, starved, stalls, panics atomic.Uint64 }

// Stats is the state of the counters.
func (s *Server) Stats() Stats {
	return Stats{
		Accepted: s.counters.accepted.Load(),
		Conns:    int(s.conns.Load()),
		Starved:  s.counters.starved.Load(),
		Stalls:   s.counters.stalls.Load(),
		Panics:   s.counters.panics.Load(),
	}
}
