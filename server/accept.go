package server

import (
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A listener accepts on the loop of its engine.
type listener struct {
	reg    loop.Handled
	self   loop.Handler
	eng    *engine
	family socket.Family
	addr   socket.Addr
	path   string // to be removed in the end, or ""; guarded by the server's lock

	// The loop's:
	pending bool          // there may be something to accept
	starved bool          // there was no descriptor or memory for something that still waits
	resting bool          // because of that, until the timer strikes
	pause   time.Duration // how long it rested last; 0 after a success
}

const (
	// acceptsPerTurn bounds the work of a turn.
	acceptsPerTurn = 64
	// When there is no descriptor or no memory left, accepting pauses, longer
	// each time.
	firstPause   = 10 * time.Millisecond
	longestPause = time.Second
)

// Ready is for the loop.
func (l *listener) Ready(ev poller.Readiness) {
	if ev != 0 {
		l.pending = true
	}
	l.accept()
}

// Expire is for the loop: a pause is over.
func (l *listener) Expire() {
	l.resting = false
	l.accept()
}

// Closed is for the loop.
func (l *listener) Closed() { l.eng.srv.unlisten(l) }

// accept accepts what there is, or as much as a turn may take, and says whether
// it may go on.
func (l *listener) accept() (more bool) {
	s := l.eng.srv
	for range acceptsPerTurn {
		if !l.pending || l.resting || !s.admit(l) {
			return false
		}
		fd, from, errno := socket.RawAccept(l.reg.FD())
		if errno != 0 {
			s.gone() // another listener may have been refused because of it
			if !l.refused(errno) {
				return false
			}
			continue
		}
		l.pause = 0
		s.counters.accepted.Add(1)
		s.serve(l.eng, fd, l.family, from.Unmap())
	}
	l.reg.Poke() // the others' turn
	return true
}

// refused deals with an accept that failed, and says whether to go on.
func (l *listener) refused(errno syscall.Errno) bool {
	s := l.eng.srv
	switch errno {
	case unix.EAGAIN:
		l.pending, l.starved = false, false
		return false
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		// The connection stays in the backlog. The kernel will not report it
		// again, so there is nothing to disarm.
		if !l.starved {
			l.starved = true
			s.Log.Error("server: accepting pauses", "listener", l.addr, "error", errno)
			s.counters.starved.Add(1)
		}
		l.resting = true
		l.pause = min(max(2*l.pause, firstPause), longestPause)
		l.reg.ExpireAt(l.eng.loop.Now() + l.pause)
		return false
	case unix.EBADF, unix.EINVAL, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EFAULT:
		l.pending = false
		s.Log.Error("server: accepting ends", "listener", l.addr, "error", errno)
		return false
	}
	// The connection's own error, such as ECONNABORTED: accept(2) has them
	// taken like EAGAIN, but another one may wait.
	return true
}

// admit counts a connection in, or has the listener wait until there is room.
func (s *Server) admit(l *listener) bool {
	if n := s.conns.Add(1); s.MaxConns == 0 || n <= int64(s.MaxConns) {
		return true
	}
	s.waiting.Store(true) // before the second look, which sees who goes meanwhile
	if s.conns.Add(-1) < int64(s.MaxConns) {
		l.reg.Poke()
	}
	return false
}

// gone counts a connection of the engine out.
func (e *engine) gone() { e.srv.gone() }

// gone counts a connection out.
func (s *Server) gone() {
	left := s.conns.Add(-1)
	if s.MaxConns > 0 && left < int64(s.MaxConns) && s.waiting.Load() {
		s.waiting.Store(false)
		s.mu.Lock()
		for _, l := range s.listeners {
			l.reg.Poke()
		}
		s.mu.Unlock()
	}
	if left == 0 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// serve gives a connection that was accepted and counted to a loop.
func (s *Server) serve(from *engine, fd int, family socket.Family, peer socket.Addr) {
	e := from
	if !s.ReusePort {
		e = s.pick(peer)
	}
	switch {
	case s.Handler != nil:
		e.begin(fd, family, peer, from)
	case e == from:
		e.open(arrival{fd: fd, peer: peer})
	default:
		e.send(arrival{fd: fd, peer: peer})
	}
}

// send gives an arrival to the engine's loop from another goroutine. If that
// loop was closed, it closes the descriptor and returns false.
func (e *engine) send(a arrival) bool {
	e.loop.Expect(1)
	err := e.post(func() {
		e.loop.Expect(-1)
		e.open(a)
	})
	if err != nil {
		e.loop.Expect(-1)
		unix.Close(a.fd)
		e.srv.gone()
		return false
	}
	return true
}
