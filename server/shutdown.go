package server

import (
	"context"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Shutdown ends the server in good order, and waits until all connections have ended.
// A callback must not call it, because it waits for the callbacks.
//
// First the listeners end. Then the callbacks get all input that the kernel has
// received, and may still write to every connection. Only then Shutdown closes all
// connections, as Conn.Close does. A connection of Handler ends when Handler returns,
// or at once if Handler does not run and there is nothing to read.
//
// If ctx is done first, Shutdown aborts the connections that are left and returns the
// context's cause. A nil ctx is never done. If Close is called meanwhile, or the server
// is ending already, Shutdown returns ErrClosed.
//
// Clients that connect meanwhile are served or refused. A listener that the server has
// opened first refuses new clients: a unix client at once; a TCP client when its kernel
// repeats the request, a second later, unless a successor listens at the address by
// then. Next, the listener serves the clients in its backlog, and those whose handshake
// is half done, as far as MaxConns and descriptors allow, and ends. While the kernel has
// such a handshake, Shutdown waits for it up to 1.5 seconds; usually there is none.
//
// Two kinds of clients may still see a reset: one whose handshake takes longer; and one
// that connects at the last moment to a listener that the server has not opened (Inherit,
// ListenOn). Such a listener goes on accepting to the end, because other processes may
// use it. After a Handover the successor serves the clients in the backlog.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.endUnstarted() {
		return nil
	}
	if ctx == nil {
		ctx = context.Background()
	}
	if !s.endListeners(ctx, true) {
		return ErrClosed
	}
	for _, e := range s.everyEngine() {
		e.do(e.catchUp)
	}
	// Each step ends on all loops before the next one begins on any. So after the last
	// input was presented everything that callbacks wrote leaves.
	for _, e := range s.everyEngine() {
		e.do(e.stopReading)
	}
	for _, e := range s.everyEngine() {
		e.do(e.retire)
	}
	s.retireSessions()
	var err error
	for s.conns.Load() > 0 && err == nil {
		select {
		case <-s.idle:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-s.hurry:
			err = ErrClosed
		}
	}
	if failed := s.end(); err == nil {
		err = failed
	}
	return err
}

// Close ends the server at once. It resets all connections and drops the output that is
// queued for them. This includes the connections for which a Shutdown waits, and those
// in the backlogs of the listeners that the server has opened. Close returns when the
// Closed callbacks have returned, so a callback must not call it. Close does not wait
// for calls of Handler that are in progress: it closes their Sockets, whose methods then
// return net.ErrClosed, and Stats.Handlers tells how many have not returned. A second
// Close returns ErrClosed. The documentation of the package compares Shutdown and Close.
func (s *Server) Close() error {
	switch {
	case s.endUnstarted():
		return nil
	case s.endListeners(context.Background(), false):
		return s.end()
	}
	s.mu.Lock()
	if s.state == closed {
		s.mu.Unlock()
		return ErrClosed
	}
	if !s.hurried {
		s.hurried = true
		close(s.hurry)
	}
	s.mu.Unlock()
	<-s.ended
	return nil
}

// endUnstarted ends a server that has not started, and otherwise returns false.
func (s *Server) endUnstarted() bool {
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

// endListeners ends the listeners of a server that serves. With drain, they first serve
// the clients that connect already: see awaitHandshakes, which ctx ends early.
// endListeners returns false if the server does not serve.
func (s *Server) endListeners(ctx context.Context, drain bool) bool {
	s.mu.Lock()
	if s.state != serving {
		s.mu.Unlock()
		return false
	}
	s.state = draining
	listeners := append([]*listener(nil), s.listeners...)
	drain = drain && !s.handed
	s.mu.Unlock()
	if drain {
		s.awaitHandshakes(ctx, listeners)
	}
	for _, l := range listeners {
		l.eng.do(func() { l.close(drain) })
	}
	return true
}

// mostDrains bounds what a listener accepts when it ends: so many times fewAccepts clients
// at least. net.core.somaxconn, which bounds a backlog, is 4096 by default.
const mostDrains = 8192

// close ends the listener, on its loop. With drain, it first serves the backlog.
func (l *listener) close(drain bool) {
	l.ending = true
	l.removePath() // before the close: see removePath
	if drain {
		s := l.eng.srv
		s.mu.Lock()
		own := l.own
		s.mu.Unlock()
		if own {
			l.shut()
		}
		l.pending, l.resting, l.failures = true, false, 0
		for range mostDrains {
			if !l.accept() {
				break
			}
		}
	}
	if l.reg.Close() == nil {
		l.eng.srv.unlisten(l)
	}
}

// shut keeps new clients out of the backlog and leaves the clients that are in it. If
// shut fails, a client that connects at the last moment may see a reset: see Shutdown.
func (l *listener) shut() {
	fd := l.reg.FD()
	if l.family == socket.Unix {
		_ = sys.Shutdown(fd, unix.SHUT_RD) // connect(2) is then refused, and accept(2) goes on
		return
	}
	// For TCP, shutdown(2) would reset the clients in the backlog. Instead, a filter
	// drops the requests of new clients: segments with SYN and without ACK. Accepted
	// connections inherit the filter, but get no such segments.
	const flags, syn, ack = 13, 0x02, 0x10
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},         // drop it
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1}, // keep all of it
	}
	_ = sys.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// catchUp presents to each connection of the engine the input that the kernel has.
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

// retire closes every connection of the engine, after stopReading.
func (e *engine) retire() {
	for c := e.conns; c != nil; {
		next := c.next
		c.Close()
		c = next
	}
}

// mostRounds bounds the input of a connection after Shutdown has begun: so many times
// Server.Chunk bytes.
const mostRounds = 1024

// catchUp receives and presents the input that the kernel has.
func (c *Conn) catchUp() {
	c.readable = true
	if c.extra != nil {
		c.extra.read, c.extra.readAt = rate.Bucket{}, 0
	}
	for range mostRounds {
		if c.resumes() && !c.resume() {
			break
		}
		if c.read(c.eng.srv.Chunk); (!c.readable || !c.reads()) && !c.resumes() {
			break
		}
	}
}

// end ends the connections that are left, and then the server.
func (s *Server) end() error {
	s.mu.Lock()
	s.state = closed
	packets := s.packets
	s.packets = nil
	s.mu.Unlock()
	for _, p := range packets {
		p.sock.Close()
	}
	for _, e := range s.everyEngine() {
		e.do(e.abort)
	}
	s.abortSessions()
	if s.watchdog != nil {
		s.watchdog.stop()
	}
	if f := s.Events.Stopped; f != nil {
		_ = guard(s, s, func(s *Server) error { f(s); return nil })
	}
	err := s.dropGroup()
	for _, stop := range s.panicReports {
		stop()
	}
	s.stopLog()
	close(s.ended)
	return err
}

// abort ends every connection of the engine.
func (e *engine) abort() {
	e.over = true
	e.endGreetings()
	if e.tick != nil {
		e.tick.Stop()
		e.tick = nil
	}
	for e.conns != nil {
		e.conns.abort(ErrClosed)
	}
}

// dropGroup closes the server's own loops.
func (s *Server) dropGroup() error {
	if !s.ownGroup {
		return nil
	}
	return s.group.Close()
}

// do makes the loop call f, and waits until f has returned. If the loop was closed, do
// waits for the loop's end instead, which ends the connections, too.
func (e *engine) do(f func()) {
	done := make(chan struct{})
	if err := e.post(func() { defer close(done); f() }); err != nil {
		_ = e.loop.Close() // Close was called before: this call waits for the loop's end
		return
	}
	<-done
}

// startTicks makes each loop call Tick periodically.
func (s *Server) startTicks() {
	f := s.Events.Tick
	if f == nil {
		return
	}
	for _, e := range s.engines {
		_ = e.post(func() { // an error says that the loop was closed: it needs no Tick
			e.tick, _ = e.loop.AfterFunc(s.Events.Every, func() { // the loop reports its panic
				if e.tick != nil {
					e.tick.Reset(s.Events.Every)
					_ = guard(s, e.loop, func(l *loop.Loop) error { f(l); return nil })
				}
			})
		})
	}
}
