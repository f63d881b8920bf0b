package server

import (
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// readSize is the size of a loop's shared read buffer at first; it grows to
// Server.Chunk, or half of MaxInput, when it proves to be small. gatherSize is what is gathered of a
// callback's writes before it is sent.
const (
	readSize   = 64 << 10
	gatherSize = 64 << 10
)

// An engine is a server's part on one loop. What is not said to be otherwise
// belongs to the loop's goroutine.
type engine struct {
	srv     *Server
	service *Service // which callbacks it calls
	loop    *loop.Loop

	conns    *Conn // all of them, newest first
	draining bool
	over     bool
	tick     *loop.Timer
	place    place // of sessions without timeouts

	buf    []byte // what is received goes here first
	filled bool   // by the last receive, to its end

	// Of the connection whose callback is running:
	current *Conn
	unread  []byte // its input
	gather  []byte // its output; guarded by its lock
}

func newEngine(s *Server, l *loop.Loop, service *Service) *engine {
	e := &engine{srv: s, loop: l, service: service, buf: make([]byte, min(readSize, s.Chunk)), gather: make([]byte, 0, 4096)}
	e.place.eng = e
	return e
}

// post has f called on the loop, after all that was posted before. The queue's
// bound is for those who can wait. The error is that the loop was closed; without
// one, f is called even if the loop is closed then.
func (e *engine) post(f func()) error { return e.loop.PostUnbounded(f) }

// An arrival is a connection that was counted in and is about to be served.
type arrival struct {
	fd    int
	peer  socket.Addr
	input []byte             // that was read ahead
	user  any                // for Conn.User
	tell  func(*Conn, error) // nil if nobody waits for it
	close bool               // at once
}

// open serves an arrival, on the loop. It closes the descriptor when it cannot.
func (e *engine) open(a arrival) {
	c := &Conn{User: a.user, eng: e, timeouts: e.service.Timeouts, peer: makeInetPeer(a.peer)}
	c.self, c.active = c, e.loop.Elapsed()
	c.short = c.peer == inetPeer{} // of a unix socket, which does not tell of descriptors
	err := ErrClosed
	if !e.over {
		err = e.loop.Handle(&c.reg, a.fd, &c.self)
	}
	if err != nil {
		unix.Close(a.fd)
		e.gone()
		if a.tell != nil {
			a.tell(nil, err)
			return
		}
		if e.over {
			return
		}
		e.srv.Log.Error("server: a connection could not be served", "peer", a.peer, "error", err)
		return
	}
	e.insert(c)
	if a.close {
		c.flags.Store(closing)
	}
	if a.tell != nil {
		a.tell(c, nil)
	}
	c.rearm()
	if f := e.service.Events.Open; f != nil {
		e.unread = a.input // so that Detach takes it along
		err = c.call(f)
		a.input, e.unread = e.unread, nil
	}
	if !c.settle(err) {
		return
	}
	if len(a.input) > 0 && c.flags.Load()&closing == 0 {
		c.heard = true
		if !c.settle(c.data(a.input)) {
			return
		}
	}
	if e.draining {
		c.retire()
	}
}

func (e *engine) insert(c *Conn) {
	if c.next = e.conns; c.next != nil {
		c.next.prev = c
	}
	e.conns = c
}

func (e *engine) remove(c *Conn) {
	if c.next != nil {
		c.next.prev = c.prev
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		e.conns = c.next
	}
	c.next, c.prev = nil, nil
}
