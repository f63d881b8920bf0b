package server

import "sync"

// Each has f called with every connection that Events serve, on the loop of the
// connection, as a callback is. It does not wait, so a callback may call it; done
// is closed when the last call of f has returned. For the connections of a
// Handler there is Sessions.
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
