package weir

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A session is a connection that Server.Handle serves. While it has nothing to
// read it has no goroutine: it hangs on its Socket as an observer.
type session struct {
	sock     socket.Socket
	hook     loop.Hook
	state    atomic.Uint32
	heard    bool
	patience *patience
}

// A patience knows a session's server, and its Timeouts.FirstByte and Idle. All
// sessions of a server that has no such timeouts share one.
type patience struct {
	srv   *Server
	timer *loop.Timer
	since atomic.Int64 // when the session became idle, in nanoseconds since its loop's start
}

const (
	sessionIdle uint32 = iota
	sessionRunning
	sessionOver
)

// begin serves a descriptor by Handle, and closes it when it cannot.
func (e *engine) begin(fd int, family socket.Family, from socket.Addr) {
	s := e.srv
	sock, err := socket.Accepted(fd, family, s.group, e.loop)
	if err != nil {
		unix.Close(fd)
		s.gone()
		s.Log.Error("weir: a connection could not be served", "peer", from, "error", err)
		return
	}
	s.handle(&session{sock: sock}, e.loop)
}

// handle serves a session whose Socket was counted in.
func (s *Server) handle(x *session, on *loop.Loop) {
	x.hook.To = x
	x.patience = &s.patience
	if s.Timeouts.any {
		x.patience = &patience{srv: s, timer: on.NewTimer(x.impatient)}
	}
	// Only the range of a duration can be wrong here, and it was checked.
	_ = x.sock.SetRecvTimeout(s.Timeouts.Read)
	_ = x.sock.SetSendTimeout(s.Timeouts.Write)
	x.state.Store(sessionRunning)
	if err := x.hook.Hang(x.sock.Registration(), loop.WantRead); err != nil {
		x.end(err)
		return
	}
	if s.Timeouts.any {
		x.patience.timer.Reset(x.limit())
	}
	if x.rest() {
		go x.run()
	}
}

// Notify is for the loop: there may be something to read.
func (x *session) Notify(_ *loop.Hook, n loop.Notice) {
	if n == loop.NoticeReady && x.state.CompareAndSwap(sessionIdle, sessionRunning) {
		x.hook.Loop().Spawn(x.run)
	}
}

// run calls the handler until there is nothing to read.
func (x *session) run() {
	for {
		x.heard = true
		if err := x.call(); err != nil {
			x.end(err)
			return
		}
		if !x.rest() {
			return
		}
	}
}

// rest makes the session idle, unless it is over or there is something to read.
func (x *session) rest() (ready bool) {
	if x.sock.Buffered() > 0 {
		return true
	}
	if x.patience.timer != nil {
		x.patience.since.Store(int64(x.hook.Loop().Elapsed()))
	}
	x.state.Store(sessionIdle)
	// Who asks it to end now finds it idle, or has asked before.
	ready, err := readable(x.sock.Registration())
	if (ready || err != nil || x.patience.srv.retiring.Load()) && x.state.CompareAndSwap(sessionIdle, sessionRunning) {
		if err == nil && ready {
			return true
		}
		x.end(err)
	}
	return false
}

// call calls the handler, and makes its panic an error.
func (x *session) call() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = x.patience.srv.panicked(v)
		}
	}()
	return x.patience.srv.Handle(&x.sock)
}

// end closes the session, which is running.
func (x *session) end(why error) {
	x.state.Store(sessionOver)
	if x.patience.timer != nil {
		x.patience.timer.Stop()
	}
	x.hook.Unhang()
	_ = x.sock.Close() // unless the handler has
	switch {
	case why == nil, errors.Is(why, io.EOF), errors.Is(why, net.ErrClosed), errors.Is(why, unix.ECONNRESET), errors.Is(why, unix.EPIPE):
	default:
		x.patience.srv.Log.Error("weir: a handler ended its connection", "peer", x.sock.RemoteAddr(), "error", why)
	}
	x.patience.srv.gone()
}

// limit is how long the session may be idle now.
func (x *session) limit() time.Duration {
	t := x.patience.srv.Timeouts
	if first := t.FirstByte; !x.heard && first > 0 && (t.Idle == 0 || first < t.Idle) {
		return first
	}
	return t.Idle
}

// impatient is called by the timer. It is not moved while the session is
// active: it then finds that it is not due, and is set again.
func (x *session) impatient() {
	if x.state.CompareAndSwap(sessionIdle, sessionRunning) {
		d := x.limit()
		left := time.Duration(x.patience.since.Load()) + d - x.hook.Loop().Elapsed()
		if d > 0 && left <= 0 {
			go x.end(nil)
			return
		}
		if x.rest() {
			go x.run()
		}
		x.patience.timer.Reset(max(left, time.Millisecond))
		return
	}
	if x.state.Load() == sessionRunning {
		x.patience.timer.Reset(max(x.patience.srv.Timeouts.Idle, time.Millisecond))
	}
}

// readable says whether a read would not wait.
func readable(r *loop.Registration) (bool, error) {
	switch r.Look(loop.WantRead) {
	case loop.Ready:
		return true, nil
	case loop.Unready:
		return false, nil
	case loop.Gone:
		return false, nil
	}
	p := polls.Get().(*poll)
	defer polls.Put(p)
	defer p.reset()
	if err := p.add(r, loop.WantRead); err != nil {
		return false, err
	}
	if err := p.ask(); err != nil {
		return false, err
	}
	return p.holds(0), nil
}

var polls = sync.Pool{New: func() any { return new(poll) }}

// sessions are those that the server has now.
func (s *Server) sessions() (all []*session) {
	for _, e := range s.engines {
		for _, o := range e.loop.Observers() {
			if x, ok := o.(*session); ok && x.patience.srv == s {
				all = append(all, x)
			}
		}
	}
	return all
}

// retireSessions ends those that are idle and have nothing to read; the others
// end when they become idle.
func (s *Server) retireSessions() {
	s.retiring.Store(true)
	for _, x := range s.sessions() {
		if x.state.CompareAndSwap(sessionIdle, sessionRunning) && x.rest() {
			go x.run()
		}
	}
}

// abortSessions closes the Sockets, which ends the sessions.
func (s *Server) abortSessions() {
	s.retiring.Store(true)
	for _, x := range s.sessions() {
		_ = x.sock.Setsockopt("SOL_SOCKET", "SO_LINGER", []int{1, 0})
		if x.state.CompareAndSwap(sessionIdle, sessionRunning) {
			x.end(nil)
		} else {
			_ = x.sock.Close()
		}
	}
}
