package weir

import (
	"context"
	"errors"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// Shutdown ends the server in good order. Nothing more is accepted, but what
// the backlogs hold; every connection gets what it has received presented, and
// then, so that they may still write to each other, all are closed as with
// Conn.Close; one of Handle is closed when that returns, or at once if it has
// nothing to read. Shutdown returns when all are gone. When ctx is done first, it
// aborts the rest and returns the context's cause. It must not be called by a
// callback, for which it waits.
func (s *Server) Shutdown(ctx context.Context) error {
	if !s.drain() {
		return ErrServerClosed
	}
	for _, e := range s.engines {
		e.do(e.present)
	}
	for _, e := range s.engines {
		e.do(e.retire)
	}
	s.sessions.retire()
	var err error
	for s.conns.Load() > 0 && err == nil {
		select {
		case <-s.idle:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	return errors.Join(err, s.end())
}

// Close ends the server at once: connections are reset, whatever is queued for
// them. It returns when their Close callbacks have returned, and so must not be
// called by one.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.state == fresh {
		s.state = closed
		if s.ended == nil {
			s.ended = make(chan struct{})
		}
		close(s.ended)
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	if !s.drain() {
		return ErrServerClosed
	}
	return s.end()
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
	l.pending = true
	for range 1 + l.eng.srv.Backlog/acceptsPerTurn {
		if l.accept(); !l.pending || l.pause > 0 || l.eng.srv.waiting.Load() {
			break
		}
	}
	if l.reg.Close() == nil {
		l.eng.srv.unlisten(l)
	}
}

// present has every connection of the engine presented what it has received.
func (e *engine) present() {
	for c := e.conns; c != nil; {
		next := c.next
		c.present()
		c = next
	}
}

// retire closes every connection of the engine.
func (e *engine) retire() {
	e.draining = true
	for c := e.conns; c != nil; {
		next := c.next
		// To close with input unread would take longer.
		if c.present(); c.flags.Load()&gone == 0 {
			c.Close()
		}
		c = next
	}
}

// mostRounds bounds what a connection may still bring in after Shutdown, in
// chunks.
const mostRounds = 64

func (c *Conn) present() {
	c.pending = true
	for range mostRounds {
		if c.read(); !c.pending || c.flags.Load()&(paused|high|closing|gone) != 0 {
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
	s.sessions.abort()
	if s.watchdog != nil {
		s.watchdog.stop()
	}
	if f := s.Events.Shutdown; f != nil {
		f(s)
	}
	err := s.dropGroup()
	close(s.ended)
	return err
}

// abort ends every connection of the engine.
func (e *engine) abort() {
	if e.tick != nil {
		e.tick.Stop()
		e.tick = nil
	}
	for e.conns != nil {
		c := e.conns
		_ = unix.SetsockoptLinger(c.reg.FD(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		c.finish(ErrServerClosed)
	}
}

// dropGroup closes the server's own loops.
func (s *Server) dropGroup() error {
	if !s.ownGroup {
		return nil
	}
	return s.group.Close()
}

// do has f called on the loop, and waits for it, unless the loop is closed.
func (e *engine) do(f func()) {
	done := make(chan struct{})
	for {
		err := e.loop.Post(func() { defer close(done); f() })
		if err == nil {
			break
		}
		if err == loop.ErrLoopClosed {
			return
		}
		// The queue is full. A timer's function comes after what it holds.
		waited := make(chan struct{})
		if _, err := e.loop.AfterFunc(0, func() { close(waited) }); err != nil {
			return
		}
		<-waited
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
		e.post(func() {
			e.tick, _ = e.loop.AfterFunc(s.Events.Every, func() {
				defer func() {
					if v := recover(); v != nil {
						_ = s.panicked(v)
					}
				}()
				if e.tick != nil {
					e.tick.Reset(s.Events.Every)
					f(e.loop)
				}
			})
		})
	}
}
