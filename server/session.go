package server

import (
	"crypto/tls"
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

// A Session is a connection that Server.Handler serves: a Socket, and a value of the
// program. Begin, Handler and Finish get the same Session for the same connection, one
// after the other, so what User holds needs no lock.
//
// Between two calls of Handler a Session has no goroutine. Its Socket keeps the input
// that it has read ahead, its options and its timeouts. If more input has arrived or was
// read ahead, such as a pipelined request, the Server calls Handler again at once.
// Timeouts.FirstByte and Idle do not run during a call. Idle begins anew when the call
// returns.
//
// It is concurrency-safe: a publisher may write to the Socket of a subscriber at any
// time, or close it, which ends the session. The Socket is valid until Finish returns;
// without Finish, until the session ends.
type Session struct {
	socket.Socket

	// User is for the program. Server.Attach sets it. The server does not use it.
	User any

	hook   loop.Hook
	state  atomic.Uint32 // sessionIdle and so on; the higher bits count how often the session became idle
	begun  bool          // start has run, so end calls Finish
	place  atomic.Pointer[place]
	rate   *sessionRate  // for Timeouts.MinRate; nil without it
	calls  atomic.Uint32 // calls of Begin and Handler, counted for rate
	called atomic.Bool   // Handler was called
	source *source       // counts the session for MaxConnsPerIP; may be nil
}

// A place says which engine serves a session, and since when the session is idle. All
// sessions of an engine without an idle time and a PROXY header share one, which keeps a Session small.
type place struct {
	eng       *engine      // its loop is the loop of the Socket
	timer     *loop.Timer  // calls Session.checkIdle; nil if there is no idle time
	announced socket.Addr  // the client's address by a PROXY header, or the zero Addr
	since     atomic.Int64 // when the session became idle, in nanoseconds on the loop's clock
	idle      atomic.Int64 // how long the session may be idle, in nanoseconds; 0 for ever
}

// The states of a session. The goroutine that makes an idle session running, by claim,
// owns the session: only that goroutine may call the Handler, end the session, or make
// it idle again.
const (
	sessionIdle uint32 = iota
	sessionRunning
	sessionOver
	sessionStates = 3 // the mask of these
	sessionRound  = 4 // release adds it
)

// claim makes an idle session running and returns true. The caller then owns the
// session. If claim returns false, another goroutine owns it. That goroutine looks at
// the Socket when it makes the session idle, and finds the input or the end for which
// the caller has come.
func (x *Session) claim() bool { return x.reclaim(x.state.Load()) }

// reclaim is claim that fails if the session has run since its state was the given one.
func (x *Session) reclaim(state uint32) bool {
	return state&sessionStates == sessionIdle && x.state.CompareAndSwap(state, state|sessionRunning)
}

// release makes a running session idle and returns its state.
func (x *Session) release() uint32 {
	state := x.state.Load()&^sessionStates + sessionRound
	x.state.Store(state)
	return state
}

func (x *Session) engine() *engine { return x.place.Load().eng }

// Server returns the session's server.
func (x *Session) Server() *Server { return x.engine().srv }

// RemoteAddr returns the peer's address, as socket.Socket does, but the address of an
// IPv4 peer is an IPv4 address on a dual-stack listener, too. If a PROXY header has
// announced the address of a client, RemoteAddr returns that: see ProxyProtocol.
func (x *Session) RemoteAddr() socket.Addr {
	if p := x.place.Load(); p != nil && p.announced.IsValid() {
		return p.announced
	}
	return x.PeerAddr()
}

// LocalAddr returns the connection's own address, as socket.Socket does, but an IPv4
// address if the peer uses IPv4.
func (x *Session) LocalAddr() socket.Addr { return x.Socket.LocalAddr().Unmap() }

// begin serves an accepted connection by Handler. accepter is the engine whose loop has
// accepted it, and calls begin. If begin fails, it closes the descriptor.
func (e *engine) begin(a arrival, family socket.Family, accepter *engine) {
	s := e.srv
	x := &Session{source: a.source}
	err := sockethook.Accepted(&x.Socket, a.fd, int(family), s.group, e.loop)
	if err != nil {
		sys.Close(a.fd)
		s.leaveSource(a.source)
		s.gone()
		s.Log.Error("server: a connection could not be served", "peer", a.peer, "error", err)
		return
	}
	if config := e.service.TLS; config != nil {
		secure := newSecured(&x.Socket, config, tls.Server)
		secure.link.paced = e.service.Rates.Read > 0
		x.secureBy(secure)
	}
	if s.handle(x, e, a.announced) {
		s.spawn(accepter.loop, (*running)(x))
	}
}

// handle begins to serve a session, which was counted. If it returns true, there is
// something to read, and the caller must call run on a goroutine.
func (s *Server) handle(x *Session, e *engine, announced socket.Addr) (ready bool) {
	if x.hook.To == nil {
		x.hook.To = (*sessionObserver)(x)
	}
	p := &e.place
	times := e.service.Timeouts
	timed := times.any || x.secure() != nil
	if timed || announced.IsValid() {
		p = &place{eng: e, announced: announced}
	}
	if timed {
		p.timer = e.loop.NewTimer(x.checkIdle)
		p.since.Store(int64(e.loop.Elapsed()))
		p.idle.Store(int64(times.Idle))
	}
	x.place.Store(p)
	x.setPace(e)
	// These calls fail only on a closed Socket, on which Hang fails, too.
	if x.secure() == nil { // otherwise after the handshake
		_ = x.SetRecvTimeout(times.Read)
	}
	_ = x.SetSendTimeout(times.Write)
	if times.MinRate > 0 {
		x.rate = &sessionRate{timer: e.loop.NewTimer(x.checkRate)}
	}
	x.state.Store(sessionRunning)
	if err := x.hook.Hang(x.Registration(), loop.Readable); err != nil {
		x.end(err)
		return false
	}
	if p.timer != nil {
		p.timer.Reset(x.limit())
	}
	if x.secure() == nil && (e.service.Begin != nil || e.service.Finish != nil) {
		s.spawn(e.loop, (*beginning)(x))
		return false
	}
	return x.rest()
}

// A sessionObserver is the loop.Observer of a Session.
type sessionObserver Session

// Notify is called by the loop when there may be something to read, or when the
// Socket was closed.
func (o *sessionObserver) Notify(_ *loop.Hook, n loop.Notice) {
	x := (*Session)(o)
	if n == loop.NoticeInterrupted || !x.claim() {
		return
	}
	if n == loop.NoticeClosed {
		x.hook.Loop().Spawn((*wasClosed)(x))
		return
	}
	x.Server().spawn(x.hook.Loop(), (*waking)(x))
}

// The loop.Runners for what a goroutine may have to do with a session that is running.
// They are types of their own, so that Loop.Spawn gets one without an allocation.
type (
	beginning Session
	running   Session
	waking    Session
	wasClosed Session
	expired   Session
)

func (x *beginning) Run() { (*Session)(x).job((*Session).start) }
func (x *running) Run()   { (*Session)(x).job((*Session).run) }
func (x *waking) Run()    { (*Session)(x).job((*Session).wake) }
func (x *wasClosed) Run() { (*Session)(x).end(net.ErrClosed) }
func (x *expired) Run()   { (*Session)(x).end((*Session)(x).timeout()) }

// start calls Begin, and then Handler if there is something to read.
func (x *Session) start() {
	if x.greet() && x.rest() && !x.giveWay() {
		x.run()
	}
}

// greet calls Begin. It returns false if that has ended the session.
func (x *Session) greet() bool {
	x.begun = true
	if f := x.engine().service.Begin; f != nil {
		if err := x.call(f); err != nil {
			x.end(err)
			return false
		}
	}
	return true
}

// wake runs the session if there is something to read. Before the loop took in the
// event, a call of Handler may already have read the input.
func (x *Session) wake() {
	if x.idle() {
		x.run()
	}
}

// run calls the handler until there is nothing to read.
func (x *Session) run() {
	if x.shaking() && !x.shake() {
		return
	}
	for calls := 1; ; calls++ {
		if x.secure() != nil && !x.secure().ready(x.engine()) { // what has arrived is no whole record
			if !x.idle() {
				return
			}
			continue
		}
		x.called.Store(true)
		if err := x.call(x.engine().service.Handler); err != nil {
			x.end(err)
			return
		}
		if x.linger() {
			continue
		}
		if !x.rest() {
			return
		}
		if err := x.atEnd(); err != nil {
			x.end(err)
			return
		}
		if x.giveWay() || calls >= callsAtOnce && x.standBack() {
			return
		}
	}
}

// lingerTime is how long the goroutine of the only busy session of a loop waits for
// the next request before it leaves the session to the loop.
const lingerTime = time.Millisecond

// linger waits for the next request of a session that is the only busy one of its
// loop. If it returns false, the session can be left to the loop.
func (x *Session) linger() bool {
	s := x.Server()
	return x.secure() == nil && x.Buffered() == 0 && !s.retiring.Load() && s.handlers.waiting.Load() == 0 && x.Registration().Linger(lingerTime)
}

// atEnd returns an error if nothing is left to read but the end of the stream, or an
// error. Without atEnd the server would call a handler that returns nil there again
// and again.
func (x *Session) atEnd() error {
	if x.secure() != nil {
		return x.secure().over()
	}
	if x.Buffered() > 0 {
		return nil
	}
	reg := x.Registration()
	if reg.Use() != nil {
		return net.ErrClosed
	}
	defer reg.Done()
	var b [1]byte
	n, errno := sys.Recv(reg.FD(), b[:], unix.MSG_PEEK)
	switch {
	case n > 0 || errno == unix.EAGAIN:
		return nil
	case errno != 0: // the kernel tells it once, so Finish gets it here
		return &socket.Error{Op: "recv", Errno: errno}
	}
	return io.EOF
}

// rest makes the session idle, and its idle time begins. If there is something to read,
// rest returns true instead, and the caller still owns the session. If the server is
// ending, rest ends the session.
func (x *Session) rest() (ready bool) {
	switch {
	case x.shaking() && x.secure().beginsNow():
		return true
	case x.shaking(): // the client has not sent anything yet
	case x.secure() != nil && x.secure().ready(x.engine()), x.Buffered() > 0:
		return true
	}
	if p := x.place.Load(); p.timer != nil {
		p.since.Store(int64(p.eng.loop.Elapsed()))
	}
	return x.idle()
}

// idle is rest, but the idle time does not begin anew.
func (x *Session) idle() (ready bool) {
	state := x.release()
	// retireSessions sets retiring and then claims the idle sessions. It has set
	// retiring before this look, or it finds this session idle.
	ready, err := readable(x.Registration())
	if err == nil && !ready && x.Server().retiring.Load() {
		err = ErrClosed
	}
	// If another goroutine has claimed the session since the release, that one goes on.
	if (ready || err != nil) && x.reclaim(state) {
		if err == nil {
			return true
		}
		x.end(err)
	}
	return false
}

// call calls f, and returns its panic as an error. If f calls runtime.Goexit, as
// testing.T.FailNow does, the session ends together with the goroutine.
func (x *Session) call(f func(*Session) error) (err error) {
	if x.rate != nil {
		x.watchRate()
	}
	returned := false
	defer func() {
		if !returned {
			x.end(nil)
		}
	}()
	if end := x.traceHandler(); end != nil {
		defer end()
	}
	err = guard(x.Server(), x, f)
	returned = true
	return err
}

// readable reports whether a read would not wait.
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

// Sessions returns the sessions that the server has now, in no order. Some of them may
// have ended when it returns.
func (s *Server) Sessions() (all []*Session) {
	for _, x := range s.everySession() {
		if x.engine().service.Handler != nil {
			all = append(all, x)
		}
	}
	return all
}

// everySession returns the sessions, and the TLS connections of Events whose handshake is
// not over.
func (s *Server) everySession() (all []*Session) {
	for _, e := range s.everyEngine() {
		for _, o := range e.loop.Observers() {
			if x := sessionOf(o); x != nil && x.engine() == e {
				all = append(all, x)
			}
		}
	}
	return all
}
