package server

import (
	"context"

	"github.com/seed-2334f180/weir/loop"
)

// Shutdown ends the server in good order. Nothing more is accepted, but what
// the backlogs hold, as far as MaxConns admits it, and no successor does. Every
// connection gets what it has received presented, and then, so that they may
// still write to each other, all are closed as with Conn.Close; one of Handle is
// closed when that returns, or at once if it has nothing to read. Shutdown
// returns when all are gone. When ctx is done first, it aborts the rest and
// returns the context's cause; when Close is called first, ErrServerClosed, as on
// a server that is ending already. It must not be called by a callback, for which
// it waits.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.unborn() {
		return nil
	}
	if !s.drain() {
		return ErrServerClosed
	}
	for _, e := range s.engines {
		e.do(e.catchUp)
	}
	// Each step ends on all loops before the next one begins on any. So after the last
	// input was presented everything that callbacks wrote leaves.
	for _, e := range s.engines {
		e.do(e.stopReading)
	}
	for _, e := range s.engines {
		e.do(e.retire)
	}
	s.retireSessions()
	if ctx == nil {
		ctx = context.Background()
	}
	var err error
	for s.conns.Load() > 0 && err == nil {
		select {
		case <-s.idle:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-s.hurry:
			err = ErrServerClosed
		}
	}
	if failed := s.end(); err == nil {
		err = failed
	}
	return err
}

// Close ends the server at once: connections are reset, whatever is queued for
// them, and also those that a Shutdown waits for. It returns when their Close
// callbacks have returned, and so must not be called by one. A second Close
// returns ErrServerClosed.
func (s *Server) Close() error {
	switch {
	case s.unborn():
		return nil
	case s.drain():
		return s.end()
	}
	s.mu.Lock()
	if s.state == closed {
		s.mu.Unlock()
		return ErrServerClosed
	}
	if !s.hurried {
		s.hurried = true
		close(s.hurry)
	}
	s.mu.Unlock()
	<-s.ended
	return nil
}

// unborn ends a server that serves nothing yet.
func (s *Server) unborn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != fresh && s.state != booting {
		return false
	}
	s.state = closed
	if s.ended == nil {
		s.ended = make(chan struct{})
	}
	close(s.ended)
	return true
}

// drain ends the listeners, when they have accepted what there is.
func (s *Server) drain() bool {
	s.mu.Lock()
	if s.state != serving {
		s.mu.Unlock()
		return false
	}
	s.state = draining
	listeners := append([]*listener(nil), s.listeners...)
	s.mu.Unlock()
	for _, l := range listeners {
		l.eng.do(l.close)
	}
	return true
}

// close accepts what has been waiting, and ends the listener, on its loop.
func (l *listener) close() {
	s := l.eng.srv
	s.mu.Lock()
	handed := s.handed // the successor accepts
	s.mu.Unlock()
	l.pending, l.resting = !handed, false
	for range 1 + s.Backlog/acceptsPerTurn {
		if !l.accept() {
			break
		}
	}
	if l.reg.Close() == nil {
		s.unlisten(l)
	}
}

// catchUp presents to every connection of the engine what it has received.
func (e *engine) catchUp() {
	for c := e.conns; c != nil; {
		next := c.next
		c.catchUp()
		c = next
	}
}

// stopReading presents input for the last time.
func (e *engine) stopReading() {
	e.catchUp()
	e.draining = true
}

// retire closes every connection of the engine.
func (e *engine) retire() {
	e.draining = true
	for c := e.conns; c != nil; {
		next := c.next
		c.Close()
		c = next
	}
}

// mostRounds bounds what a connection may still bring in after Shutdown, in
// chunks.
const mostRounds = 64

// catchUp presents what has been received.
func (c *Conn) catchUp() {
	c.readable = true
	for range mostRounds {
		if c.read(); !c.readable || !c.reads() {
			break
		}
	}
}

// end ends what is left.
func (s *Server) end() error {
	s.mu.Lock()
	s.state = closed
	packets := s.packets
	s.packets = nil
	s.mu.Unlock()
	for _, p := range packets {
		p.sock.Close()
	}
	for _, e := range s.engines {
		e.do(e.abort)
	}
	s.abortSessions()
	if s.watchdog != nil {
		s.watchdog.stop()
	}
	if f := s.Events.Shutdown; f != nil {
		_ = guard(s, s, func(s *Server) error { f(s); return nil })
	}
	err := s.dropGroup()
	close(s.ended)
	return err
}

// abort ends every connection of the engine.
func (e *engine) abort() {
	e.over = true
	if e.tick != nil {
		e.tick.Stop()
		e.tick = nil
	}
	for e.conns != nil {
		e.conns.abort(ErrServerClosed)
	}
}

// dropGroup closes the server's own loops.
func (s *Server) dropGroup() error {
	if !s.ownGroup {
		return nil
	}
	return s.group.Close()
}

// do has f called on the loop, and waits for it. If the loop was closed, it waits
// for the loop's end instead, which is the end of the connections.
func (e *engine) do(f func()) {
	done := make(chan struct{})
	if err := e.post(func() { defer close(done); f() }); err != nil {
		_ = e.loop.Close() // which somebody else has called
		return
	}
	<-done
}

// startTicks has Tick called on each loop.
func (s *Server) startTicks() {
	f := s.Events.Tick
	if f == nil {
		return
	}
	for _, e := range s.engines {
		_ = e.post(func() { // on a closed loop nothing is served either
			e.tick, _ = e.loop.AfterFunc(s.Events.Every, func() {
				if e.tick != nil {
					e.tick.Reset(s.Events.Every)
					_ = guard(s, e.loop, func(l *loop.Loop) error { f(l); return nil })
				}
			})
		})
	}
}
