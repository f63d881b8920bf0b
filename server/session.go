package server

import (
	"cmp"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/sockethook"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A session is a connection that Server.Handler serves. While it has nothing to
// read it has no goroutine: it hangs on its Socket as an observer.
type session struct {
	sock     socket.Socket
	hook     loop.Hook
	state    atomic.Uint32 // one of the constants, and above it how often it became idle
	heard    bool
	patience *patience
}

// A patience knows a session's engine, and the server's Timeouts.FirstByte and
// Idle. All sessions of an engine without such timeouts share one.
type patience struct {
	eng   *engine // of the loop that the Socket is on
	timer *loop.Timer
	since atomic.Int64 // when the session became idle, in nanoseconds since its loop's start
}

const (
	sessionIdle uint32 = iota
	sessionRunning
	sessionOver
	sessionStates = 3 // mask
	sessionRound  = 4 // one more time idle
)

// claim makes an idle session running, for the caller. If somebody else does so
// meanwhile, that one looks at the Socket when the session becomes idle again,
// and so sees whatever the caller came to tell.
func (x *session) claim() bool { return x.reclaim(x.state.Load()) }

// reclaim is claim if the session has not run since its state was that.
func (x *session) reclaim(state uint32) bool {
	return state&sessionStates == sessionIdle && x.state.CompareAndSwap(state, state|sessionRunning)
}

// release makes a session idle that was running, and returns its state.
func (x *session) release() uint32 {
	state := x.state.Load()&^sessionStates + sessionRound
	x.state.Store(state)
	return state
}

// begin serves a descriptor by Handle, and closes it when it cannot. It is called
// on the loop of the engine that has accepted it.
func (e *engine) begin(fd int, family socket.Family, from socket.Addr, accepter *engine) {
	s := e.srv
	x := &session{}
	if err := sockethook.Accepted(&x.sock, fd, int(family), s.group, e.loop); err != nil {
		unix.Close(fd)
		e.srv.gone()
		s.Log.Error("server: a connection could not be served", "peer", from, "error", err)
		return
	}
	if s.handle(x, e) {
		accepter.loop.Spawn((*running)(x))
	}
}

// handle serves a session whose Socket was counted in. There may be something to
// read already: then the caller has it run.
func (s *Server) handle(x *session, e *engine) (ready bool) {
	x.hook.To = x
	x.patience = &e.patience
	if s.Timeouts.any {
		x.patience = &patience{eng: e, timer: e.loop.NewTimer(x.impatient)}
		x.patience.since.Store(int64(e.loop.Elapsed()))
	}
	// They fail only on a closed socket, as what follows does.
	_ = x.sock.SetRecvTimeout(s.Timeouts.Read)
	_ = x.sock.SetSendTimeout(s.Timeouts.Write)
	x.state.Store(sessionRunning)
	if err := x.hook.Hang(x.sock.Registration(), loop.Readable); err != nil {
		x.end(err)
		return false
	}
	if s.aborting.Load() { // it may have hung itself up too late to be seen
		_ = x.sock.Close()
	}
	if s.Timeouts.any {
		x.patience.timer.Reset(x.limit())
	}
	return x.rest()
}

// Notify is for the loop: there may be something to read, or somebody has
// closed the Socket.
func (x *session) Notify(_ *loop.Hook, n loop.Notice) {
	if n == loop.NoticeInterrupted || !x.claim() {
		return
	}
	if n == loop.NoticeClosed {
		x.hook.Loop().Spawn((*ending)(x))
		return
	}
	x.hook.Loop().Spawn((*waking)(x))
}

// What a goroutine may have to do for a session, as Loop.Spawn takes it. None of
// them costs an allocation.
type (
	running session
	waking  session
	ending  session
)

func (x *running) Run() { (*session)(x).run() }
func (x *waking) Run()  { (*session)(x).wake() }
func (x *ending) Run()  { (*session)(x).end(nil) }

// wake runs the session if there is something to read. The event may be of what
// a call has taken before the loop got to it.
func (x *session) wake() {
	if x.idle() {
		x.run()
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
		if x.atEnd() {
			x.end(nil)
			return
		}
	}
}

// atEnd reports whether nothing is left to read but the end of the stream, or an
// error. Without this look a handler that returns nil there would be called
// again and again.
func (x *session) atEnd() bool {
	if x.sock.Buffered() > 0 {
		return false
	}
	reg := x.sock.Registration()
	if reg.Use() != nil {
		return true
	}
	defer reg.Done()
	var b [1]byte
	n, errno := sys.Recv(reg.FD(), b[:], unix.MSG_PEEK)
	return n == 0 && errno != unix.EAGAIN
}

// rest makes the session idle, unless it is over or there is something to read.
func (x *session) rest() (ready bool) {
	if x.sock.Buffered() > 0 {
		return true
	}
	if x.patience.timer != nil {
		x.patience.since.Store(int64(x.patience.eng.loop.Elapsed()))
	}
	return x.idle()
}

// idle is rest without another beginning of the idle time.
func (x *session) idle() (ready bool) {
	state := x.release()
	// Who asks it to end now finds it idle, or has asked before.
	ready, err := readable(x.sock.Registration())
	// What was ready may have been read since, by who claimed it meanwhile.
	if (ready || err != nil || x.patience.eng.srv.retiring.Load()) && x.reclaim(state) {
		if err == nil && ready {
			return true
		}
		x.end(err)
	}
	return false
}

// call calls the handler, and makes its panic an error. Its runtime.Goexit, as
// of testing.T.FailNow, ends the session with the goroutine.
func (x *session) call() (err error) {
	returned := false
	defer func() {
		if v := recover(); v != nil {
			err = x.patience.eng.srv.panicked(v)
		} else if !returned {
			x.end(nil)
		}
	}()
	err = x.patience.eng.srv.Handler(&x.sock)
	returned = true
	return err
}

// end closes the session, which is running.
func (x *session) end(why error) {
	x.state.Store(sessionOver)
	if x.patience.timer != nil {
		x.patience.timer.Stop()
	}
	x.hook.Unhang()
	switch {
	case why == nil, errors.Is(why, io.EOF), errors.Is(why, net.ErrClosed), errors.Is(why, unix.ECONNRESET), errors.Is(why, unix.EPIPE),
		errors.Is(why, loop.ErrClosed), errors.Is(why, loop.ErrLoopClosed):
	default:
		x.patience.eng.srv.Log.Error("server: a handler ended its connection", "peer", x.sock.RemoteAddr(), "error", why)
	}
	if !x.leave() {
		_ = x.sock.Close() // unless the handler has
		x.patience.eng.srv.gone()
	}
}

// leave has the engine close a connection as Conn.Close does, if its peer has sent
// more than the handler wanted: close(2) would be a reset then, and would take from
// the peer what it has not got yet.
func (x *session) leave() bool {
	e := x.patience.eng
	if e.srv.aborting.Load() || !x.unread() {
		return false
	}
	peer := x.sock.RemoteAddr()
	fd, _, err := x.sock.Release()
	if err != nil { // somebody else uses it
		return false
	}
	if e.post(func() { e.open(arrival{fd: fd, peer: peer, close: true}) }) != nil { // the loop was closed
		unix.Close(fd)
		e.srv.gone()
	}
	return true
}

// unread says whether the kernel has input.
func (x *session) unread() bool {
	reg := x.sock.Registration()
	if reg.Use() != nil {
		return false
	}
	defer reg.Done()
	return unread(reg.FD())
}

// limit is how long the session may be idle now.
func (x *session) limit() time.Duration {
	t := x.patience.eng.srv.Timeouts
	if first := t.FirstByte; !x.heard && first > 0 && (t.Idle == 0 || first < t.Idle) {
		return first
	}
	return t.Idle
}

// impatient is called by the timer. It is not moved while the session is
// active: it then finds that it is not due, and is set again.
func (x *session) impatient() {
	p := x.patience
	if !x.claim() {
		if x.state.Load()&sessionStates != sessionOver {
			t := p.eng.srv.Timeouts
			p.timer.Reset(cmp.Or(t.Idle, t.FirstByte))
		}
		return
	}
	if d := x.limit(); d > 0 {
		left := time.Duration(p.since.Load()) + d - p.eng.loop.Elapsed()
		if left <= 0 && x.unread() { // the loop was busy, and does not know yet
			p.timer.Reset(d)
			p.eng.loop.Spawn((*running)(x))
			return
		}
		if left <= 0 {
			p.eng.loop.Spawn((*ending)(x))
			return
		}
		p.timer.Reset(left)
	}
	if x.idle() {
		p.eng.loop.Spawn((*running)(x))
	}
}

// readable says whether a read would not wait.
func readable(r *loop.Registration) (bool, error) {
	switch r.Look(loop.Readable) {
	case loop.Ready:
		return true, nil
	case loop.Unready:
		return false, nil
	case loop.Gone:
		return false, net.ErrClosed
	}
	q := inquiries.Get().(*loop.Inquiry)
	defer inquiries.Put(q)
	defer q.Reset()
	if q.Add(r, loop.Readable) != nil {
		return false, net.ErrClosed
	}
	if err := q.Ask(); err != nil {
		return false, err
	}
	return q.Holds(0), nil
}

var inquiries = sync.Pool{New: func() any { return new(loop.Inquiry) }}

// sessions are those that the server has now.
func (s *Server) sessions() (all []*session) {
	for _, e := range s.engines {
		for _, o := range e.loop.Observers() {
			if x, ok := o.(*session); ok && x.patience.eng == e {
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
		if x.claim() && x.rest() {
			x.hook.Loop().Spawn((*running)(x))
		}
	}
}

// abortSessions closes the Sockets, which ends the sessions.
func (s *Server) abortSessions() {
	s.retiring.Store(true)
	s.aborting.Store(true) // before the look, for those that begin now
	for _, x := range s.sessions() {
		_ = x.sock.SetLinger(0)
		if x.claim() {
			x.end(nil)
		} else {
			_ = x.sock.Close()
		}
	}
}
