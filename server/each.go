package server

import "sync"

// Each calls f with every connection that Events serve, on the connection's loop, as
// a callback is called. Each does not wait, so a callback may call it. It closes done
// when the last call of f has returned. The connections of a Handler are those of
// Sessions.
func (s *Server) Each(f func(c *Conn)) (done <-chan struct{}) {
	over := make(chan struct{})
	var calls sync.WaitGroup
	for _, e := range s.everyEngine() {
		calls.Add(1)
		err := e.post(func() {
			defer calls.Done()
			for c := e.conns; c != nil; {
				next := c.next // f may end c
				_ = guard(s, c, func(c *Conn) error { f(c); return nil })
				c = next
			}
		})
		if err != nil { // the loop was closed, and has no connections
			calls.Done()
		}
	}
	go func() {
		calls.Wait()
		close(over)
	}()
	return over
}
