package weir

import (
	"cmp"
	"errors"
	"io"
	"math"
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
	sock  *socket.Socket
	srv   *Server
	eng   *engine // of the loop that the Socket is on
	hook  loop.Hook
	state atomic.Uint32
	heard bool
	timer *loop.Timer  // of FirstByte and Idle; nil if there are none
	since atomic.Int64 // when it became idle, in nanoseconds since its loop's start

	next, prev *session // guarded by the sessions' lock
}

const (
	sessionIdle uint32 = iota
	sessionRunning
	sessionOver
)

// sessions are all of a server's.
type sessions struct {
	mu       sync.Mutex
	first    *session
	retiring bool // those that become idle end
	aborting bool // those that begin end
}

// begin serves a descriptor by Handle, and closes it when it cannot.
func (e *engine) begin(fd int, family socket.Family, from socket.Addr) {
	s := e.srv
	sock, err := socket.Accepted(fd, family, from, s.group, e.loop)
	if err != nil {
		unix.Close(fd)
		e.gone()
		s.Log.Error("weir: a connection could not be served", "peer", from, "error", err)
		return
	}
	s.handle(sock, e)
}

// handle serves a Socket that was counted in.
func (s *Server) handle(sock *socket.Socket, e *engine) {
	x := &session{sock: sock, srv: s, eng: e}
	x.hook.To = x
	// They fail only on a closed socket, as what follows does.
	_ = sock.SetRecvTimeout(s.Timeouts.Read)
	_ = sock.SetSendTimeout(s.Timeouts.Write)
	x.state.Store(sessionRunning)
	s.sessions.add(x)
	if err := x.hook.Hang(sock.Registration(), loop.WantRead); err != nil {
		x.end(err)
		return
	}
	if d := x.patience(); d > 0 {
		x.since.Store(int64(x.eng.loop.Elapsed()))
		// It must not strike before it is stored, so it is set afterwards.
		x.timer, _ = x.eng.loop.AfterFunc(math.MaxInt64, x.impatient)
		if x.timer != nil { // the loop is open
			x.timer.Reset(d)
		}
	}
	if x.rest() {
		go x.run()
	}
}

// Notify is for the loop: there may be something to read, or somebody has
// closed the Socket.
func (x *session) Notify(_ *loop.Hook, n loop.Notice) {
	if n == loop.NoticeInterrupted || !x.state.CompareAndSwap(sessionIdle, sessionRunning) {
		return
	}
	if n == loop.NoticeClosed {
		go x.end(nil)
		return
	}
	go x.run()
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
	if x.timer != nil {
		x.since.Store(int64(x.eng.loop.Elapsed()))
	}
	return x.idle()
}

// idle is rest without another beginning of the idle time.
func (x *session) idle() (ready bool) {
	x.state.Store(sessionIdle)
	// Who asks it to end now finds it idle, or has asked before.
	ready, err := readable(x.sock.Registration())
	if (ready || err != nil || x.srv.sessions.ending()) && x.state.CompareAndSwap(sessionIdle, sessionRunning) {
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
			err = x.srv.panicked(v)
		}
	}()
	return x.srv.Handle(x.sock)
}

// end closes the session, which is running.
func (x *session) end(why error) {
	x.state.Store(sessionOver)
	if x.timer != nil {
		x.timer.Stop()
	}
	x.hook.Unhang()
	_ = x.sock.Close() // unless the handler has
	x.srv.sessions.remove(x)
	switch {
	case why == nil, errors.Is(why, io.EOF), errors.Is(why, net.ErrClosed), errors.Is(why, unix.ECONNRESET), errors.Is(why, unix.EPIPE),
		errors.Is(why, loop.ErrClosed), errors.Is(why, loop.ErrLoopClosed):
	default:
		x.srv.Log.Error("weir: a handler ended its connection", "peer", x.sock.RemoteAddr(), "error", why)
	}
	x.eng.gone()
}

// patience is how long the session may be idle now.
func (x *session) patience() time.Duration {
	t := x.srv.Timeouts
	if first := t.FirstByte; !x.heard && first > 0 && (t.Idle == 0 || first < t.Idle) {
		return first
	}
	return t.Idle
}

// impatient is called by the timer. It is not moved while the session is
// active: it then finds that it is not due, and is set again.
func (x *session) impatient() {
	if !x.state.CompareAndSwap(sessionIdle, sessionRunning) {
		if x.state.Load() != sessionOver {
			t := x.srv.Timeouts
			x.timer.Reset(cmp.Or(t.Idle, t.FirstByte))
		}
		return
	}
	if d := x.patience(); d > 0 {
		left := time.Duration(x.since.Load()) + d - x.eng.loop.Elapsed()
		if left <= 0 {
			go x.end(nil)
			return
		}
		x.timer.Reset(left)
	}
	if x.idle() {
		go x.run()
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
		return false, net.ErrClosed
	}
	p := polls.Get().(*poll)
	defer polls.Put(p)
	defer p.reset()
	if p.add(r, loop.WantRead) != nil {
		return false, net.ErrClosed
	}
	if err := p.ask(); err != nil {
		return false, err
	}
	return p.holds(0), nil
}

var polls = sync.Pool{New: func() any { return new(poll) }}

func (l *sessions) add(x *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.next = l.first; x.next != nil {
		x.next.prev = x
	}
	l.first = x
	if l.aborting {
		_ = x.sock.Close()
	}
}

func (l *sessions) remove(x *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.next != nil {
		x.next.prev = x.prev
	}
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		l.first = x.next
	}
	x.next, x.prev = nil, nil
}

func (l *sessions) ending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.retiring
}

func (l *sessions) all() (all []*session) {
	for x := l.first; x != nil; x = x.next {
		all = append(all, x)
	}
	return all
}

// retire ends the sessions that are idle, and have nothing to read; the others
// end when they become idle.
func (l *sessions) retire() {
	l.mu.Lock()
	l.retiring = true
	all := l.all()
	l.mu.Unlock()
	for _, x := range all {
		if x.state.CompareAndSwap(sessionIdle, sessionRunning) && x.rest() {
			go x.run()
		}
	}
}

// abort closes the sockets, which ends the sessions.
func (l *sessions) abort() {
	l.mu.Lock()
	l.retiring, l.aborting = true, true
	all := l.all()
	l.mu.Unlock()
	for _, x := range all {
		_ = x.sock.Setsockopt("SOL_SOCKET", "SO_LINGER", []int{1, 0}) // unless it is closed
		if x.state.CompareAndSwap(sessionIdle, sessionRunning) {
			x.end(nil)
		} else {
			_ = x.sock.Close()
		}
	}
}
