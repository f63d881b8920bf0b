package server

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// end ends a running session for the reason why.
func (x *Session) end(why error) {
	x.state.Store(sessionOver)
	p := x.place.Load()
	if p.timer != nil {
		p.timer.Stop()
	}
	if x.rate != nil {
		x.rate.timer.Stop()
		if x.rate.slow.Load() {
			why = &TimeoutError{Of: ofRate, After: p.eng.service.Timeouts.Grace}
		}
	}
	x.hook.Unhang()
	s := p.eng.srv
	s.logEnd(x, why)
	if f := p.eng.service.Finish; f != nil && x.begun {
		_ = guard(s, x, func(x *Session) error { f(x, why); return nil })
	}
	x.countEnd()
	if x.secure() != nil {
		x.secure().counts(p.eng, 0)
		x.secure().leave()
	}
	if !x.leave() {
		_ = x.Socket.Close() // an error says that the handler has closed it already
		s.leaveSource(x.source)
		s.gone()
	}
}

// logEnd logs why a session ended, unless the peer, the program or the server has ended
// it in good order.
func (s *Server) logEnd(x *Session, why error) {
	var timeout interface{ Timeout() bool }
	switch {
	case why == nil, errors.Is(why, io.EOF), errors.Is(why, net.ErrClosed), errors.Is(why, ErrClosed), errors.Is(why, unix.ECONNRESET), errors.Is(why, unix.EPIPE),
		errors.Is(why, loop.ErrClosed), errors.Is(why, loop.ErrLoopClosed):
	case errors.Is(why, ErrMemoryFull): // endLargest has logged it
	case errors.As(why, &timeout) && timeout.Timeout():
		s.Log.Debug("server: a connection was too slow", "peer", x.RemoteAddr(), "error", why)
	case x.secure() != nil && errors.Is(why, io.ErrUnexpectedEOF): // the peer has gone within a record
	case x.shaking():
		s.Log.Info("server: a TLS handshake has failed", "peer", x.RemoteAddr(), "error", why)
	default:
		s.Log.Error("server: a handler ended its connection", "peer", x.RemoteAddr(), "error", why)
	}
}

// releasePatience is how long leave waits for calls on the Socket that are about to end.
const releasePatience = 100 * time.Millisecond

// leave makes the engine close the connection as Conn.Close does, if the kernel has
// input that the handler has not read. close(2) would then send a reset, which destroys
// output that the peer has not received yet. leave returns false if there is no such
// input, or the connection cannot be given to the engine.
func (x *Session) leave() bool {
	e := x.engine()
	if e.srv.aborting.Load() || !x.unread() {
		return false
	}
	peer := x.PeerAddr()
	fd, _, err := x.Release()
	for begun := e.loop.Elapsed(); errors.Is(err, unix.EBUSY) && e.loop.Elapsed()-begun < releasePatience; {
		time.Sleep(50 * time.Microsecond) // a goroutine that had the session before may still look at the Socket
		fd, _, err = x.Release()
	}
	if err != nil { // a call of the program is in progress, or the program has closed the Socket
		return false
	}
	if e.post(func() { e.open(arrival{fd: fd, peer: peer, source: x.source, close: true}) }) != nil { // the loop was closed
		sys.Close(fd)
		e.srv.leaveSource(x.source)
		e.srv.gone()
	}
	return true
}

// unread reports whether the kernel has input for the Socket.
func (x *Session) unread() bool {
	reg := x.Registration()
	if reg.Use() != nil {
		return false
	}
	defer reg.Done()
	return unread(reg.FD())
}

// retireSessions ends the sessions that are idle and have nothing to read. The other
// sessions end when they become idle.
func (s *Server) retireSessions() {
	s.retiring.Store(true)
	for _, x := range s.everySession() {
		if x.claim() && x.settle() {
			s.spawn(x.hook.Loop(), (*running)(x))
		}
	}
}

// abortSessions ends the sessions by a reset. A session whose Handler runs ends when
// Handler returns; its Socket is closed at once.
func (s *Server) abortSessions() {
	s.retiring.Store(true)
	s.aborting.Store(true) // first, because everySession may miss a session that begins now: job and idle end it
	for _, x := range s.everySession() {
		resetOnClose(x.Registration())
		if x.claim() {
			x.end(ErrClosed)
		} else {
			_ = x.Socket.Close()
		}
	}
}
