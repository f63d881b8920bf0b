package server

import (
	"cmp"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A listener accepts connections on the loop of its engine.
type listener struct {
	reg    loop.Handled
	self   loop.Handler
	eng    *engine
	peers  []*engine // the engines of the listener's service, which get the connections
	family socket.Family
	addr   socket.Addr
	own    bool        // the server has opened the socket, and no other process has it; guarded by the server's lock
	path   string      // the file to remove when the listener ends, or ""; guarded by the server's lock
	file   os.FileInfo // describes the file at path, as of the listener's beginning

	// Only the loop's goroutine uses the rest.
	pending  bool          // there may be a connection to accept
	failures int           // accepts that have failed since the last success or rest
	ending   bool          // close was called
	resting  bool          // the listener accepts nothing until the timer expires
	scarce   bool          // the last accept has failed for lack of descriptors or memory
	freed    uint64        // Server.freed before the last accept
	pause    time.Duration // how long the latest rest was; 0 after a success
	goesOn   bool          // more connections waited when accept last returned
	last     time.Duration // when that was

	accepted, refused atomic.Uint64 // see ListenerStats
	sleeps            atomic.Bool   // pause is not 0
}

const (
	// A listener accepts fewAccepts connections in a turn of its loop, because the others
	// on the loop wait meanwhile: one takes about 10 µs. While more wait, it goes on in
	// each turn, and then may accept up to manyAccepts as long as that takes less than an
	// acceptShare of the time of the turn before. So it keeps up where turns are long.
	fewAccepts  = 8
	manyAccepts = 64
	acceptShare = 4

	// manyFailures is how many accepts may fail one after the other before the
	// listener rests. One may fail for each connection that was reset in the backlog.
	manyFailures = 16
)

// A rest grows from firstPause to longestPause. Tests change them.
var (
	firstPause   = 10 * time.Millisecond
	longestPause = 100 * time.Millisecond
)

// Ready is called by the loop when there may be a connection to accept, and after a
// Poke: when there is room under MaxConns, or when a descriptor may be free.
func (l *listener) Ready(ev poller.Readiness) {
	if ev != 0 {
		l.pending = true
	}
	if l.resting && l.scarce && l.eng.srv.freed.Load() != l.freed {
		l.resting = false
	}
	l.accept()
}

// Expire is called by the loop when a rest is over.
func (l *listener) Expire() {
	l.resting, l.failures = false, 0
	l.accept()
}

// Closed is called by the loop when it ends.
func (l *listener) Closed() { l.eng.srv.unlisten(l) }

// accept accepts some of the connections that wait. It returns true if more may wait.
func (l *listener) accept() (more bool) {
	s := l.eng.srv
	var until time.Duration
	if l.goesOn {
		now := l.eng.loop.Elapsed()
		until = now + (now-l.last)/acceptShare
	}
	l.goesOn = false
	for i := range manyAccepts {
		if i >= fewAccepts && (until == 0 || l.eng.loop.Elapsed() >= until) {
			break
		}
		if !l.pending || l.resting || !s.admit(l) {
			return false
		}
		l.freed = s.freed.Load()
		var from sys.Sockaddr
		fd, errno, ok := l.next(&from)
		if !ok || errno != 0 {
			s.uncount() // meanwhile admit may have refused another listener
			if !ok || !l.failed(errno) {
				return false
			}
			continue
		}
		l.works()
		s.counters.accepted.Add(1)
		l.accepted.Add(1)
		l.serve(fd, socket.AddrFromSockaddr(&from.Raw, from.Len).Unmap())
	}
	l.goesOn, l.last = true, l.eng.loop.Elapsed()
	l.reg.Poke() // go on in the next turn
	return true
}

// failed decides what follows an accept that failed. It returns true if the listener
// is to accept again at once.
//
// No error makes the listener repeat the call for ever: a security policy may refuse
// every call, and a lack of descriptors may last. The listener then rests. The
// connection stays in the backlog, and the kernel does not report it again. So the
// listener tries again when its timer expires, or when another connection ends, which
// makes a descriptor free.
func (l *listener) failed(errno syscall.Errno) (more bool) {
	if errno == unix.EAGAIN {
		l.pending = false
		l.works()
		return false
	}
	l.failures++
	switch errno {
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		l.scarce = true
	default:
		// accept(2) may return an error of the connection that it has taken from
		// the backlog, such as ECONNABORTED. The next connection may be sound.
		if l.failures <= manyFailures {
			return true
		}
		l.scarce = false
	}
	l.rest(errno)
	return false
}

// rest stops accepting for a while.
func (l *listener) rest(errno syscall.Errno) {
	s := l.eng.srv
	if l.pause == 0 {
		s.counters.pauses.Add(1)
		s.Log.Error("server: accepting pauses", "listener", l.addr, "error", errno)
		s.resting.Add(1)
		l.sleeps.Store(true)
	}
	l.resting = true
	l.pause = min(max(2*l.pause, firstPause), longestPause)
	l.reg.ExpireAt(l.eng.loop.Now() + l.pause)
	if s.freed.Load() != l.freed { // a descriptor became free before resting was counted
		l.reg.Poke()
	}
}

// works notes that accept(2) has not failed, which ends a series of failures.
func (l *listener) works() {
	l.failures = 0
	if l.pause > 0 {
		l.pause = 0
		s := l.eng.srv
		s.resting.Add(-1)
		l.sleeps.Store(false)
		s.Log.Info("server: accepting goes on", "listener", l.addr)
	}
}

// admit counts a connection and returns true. If MaxConns leaves no room, it returns
// false, and the listener is poked when there is room.
func (s *Server) admit(l *listener) bool {
	if n := s.conns.Add(1); s.MaxConns == 0 || n <= int64(s.MaxConns) {
		return true
	}
	s.waitForRoom(l)
	return false
}

// waitForRoom takes back what admit has counted, and has the listener poked when there
// is room. A connection that ends before waiting is set pokes nobody, so waitForRoom
// looks a second time.
func (s *Server) waitForRoom(l *listener) {
	if !s.waiting.Swap(true) {
		s.counters.full.Add(1)
	}
	if s.conns.Add(-1) < int64(s.MaxConns) {
		l.reg.Poke()
	}
}

// uncount takes a connection from the count.
func (s *Server) uncount() {
	left := s.conns.Add(-1)
	if s.MaxConns > 0 && left < int64(s.MaxConns) && s.waiting.Load() {
		s.waiting.Store(false)
		s.pokeListeners()
	}
	if left == 0 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// gone takes a connection whose descriptor was closed from the count.
func (s *Server) gone() {
	s.freed.Add(1)
	if s.resting.Load() > 0 {
		s.pokeListeners()
	}
	s.uncount()
}

func (s *Server) pokeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		l.reg.Poke()
	}
}

// serve begins to serve an accepted and counted connection.
func (l *listener) serve(fd int, peer socket.Addr) {
	s := l.eng.srv
	greets := l.eng.service.ProxyProtocol.greets(peer)
	var src *source
	if !greets { // otherwise announce counts the client
		var ok bool
		if src, ok = s.enterSource(peer); !ok {
			l.refused.Add(1)
			s.refuse(fd, peer)
			return
		}
	}
	if f := l.eng.service.Control; f != nil {
		if err := guard(s, fd, f); err != nil {
			s.counters.refused.Add(1)
			l.refused.Add(1)
			s.Log.Error("server: Control has refused a connection", "peer", peer, "error", err)
			sys.Close(fd)
			s.leaveSource(src)
			s.gone()
			return
		}
	}
	if greets {
		l.greet(fd, peer)
		return
	}
	l.assign(fd, peer, socket.Addr{}, src)
}

// assign gives a connection to a loop. announced is the address that a PROXY header has
// announced, or the zero Addr.
func (l *listener) assign(fd int, peer, announced socket.Addr, src *source) {
	e, s := l.eng, l.eng.srv
	if !s.ReusePort {
		e = s.pick(l.peers, cmp.Or(announced, peer))
	}
	a := arrival{fd: fd, peer: peer, announced: announced, source: src}
	switch {
	case e.service.Handler != nil || e.service.TLS != nil:
		e.begin(a, l.family, l.eng)
	case e == l.eng:
		e.open(a)
	default:
		e.send(a)
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
		sys.Close(a.fd)
		e.srv.leaveSource(a.source)
		e.srv.gone()
		return false
	}
	return true
}
