package server

import (
	"sync"
	"sync/atomic"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

const (
	// readSize is the first size of a loop's shared read buffer. The buffer grows up
	// to Server.Chunk, or half of MaxInput, when receives fill it.
	readSize = 64 << 10
	// gatherSize is how many bytes of a callback's writes are gathered before they
	// are sent.
	gatherSize = 64 << 10
)

// An engine is a server's part on one loop. Only the loop's goroutine uses it,
// except where a field says otherwise.
type engine struct {
	srv     *Server
	service *Service // which callbacks it calls
	loop    *loop.Loop

	conns    *Conn // the newest of all connections, which are a list
	draining bool  // Shutdown closes the connections: no callback gets more input
	arriving *Conn // a connection that is read although draining
	over     bool  // Close has ended the connections
	tick     *loop.Timer
	handling atomic.Int64 // goroutines that run Begin or Handler
	place    place        // the place of all sessions without timeouts

	greetings map[*greeting]struct{} // accepted connections without their PROXY header
	peeked    []byte                 // greet looks at input here

	buf    []byte // receives go here first
	filled bool   // the last receive has filled its room
	cipher []byte // TLS connections receive here; made by the first of them
	plain  []byte // and decrypt to here

	bulk      fifo[*Conn] // bulk connections that have more to read
	bulkEnd   func()      // serveBulk, made once
	bulkAsked bool        // the loop will call bulkEnd
	most      int         // how many bytes one receive gets at most
	turn      uint64      // the number of the turn for which turnRead counts
	turnRead  int         // bytes that were read from connections that are not bulk

	standing    standing // sessions that have more to read
	standingEnd func()   // serveStanding, made once

	current *Conn  // the connection whose callback is running
	unread  []byte // the input of current that the callback has not read yet
	gather  []byte // what the callback has written to current; guarded by current's lock

	held     atomic.Int64 // bytes that MaxMemory counts, and that the server's total does not have yet
	starving []*Conn      // connections that are not read because MaxMemory has no room

	orphans sync.Mutex // serialises the ends of connections after the loop's end

	pressed atomic.Bool // high is not empty
	high    []*Conn     // connections with too much queued, whose Pressure is to be called; guarded by lateMu

	// The outputs that leave at the end of the turn:
	turnEnd   func() // flushLate, made once
	lateMu    sync.Mutex
	late      []*output // written to since the last turn's end; guarded by lateMu
	lateAsked bool      // the loop will call turnEnd; guarded by lateMu
	lateNow   []*output // taken from late, and not flushed yet
	lateSpare []*output // the memory of lateNow, for late

	traffic traffic
	labels  engineLabels
}

func newEngine(s *Server, l *loop.Loop, service *Service) *engine {
	e := &engine{srv: s, loop: l, service: service, buf: make([]byte, min(readSize, s.Chunk)), gather: make([]byte, 0, 4096)}
	e.place.eng, e.turnEnd, e.bulkEnd, e.standingEnd, e.most = e, e.flushLate, e.serveBulk, e.serveStanding, s.Chunk
	return e
}

// post makes the loop call f, after everything that was posted before. The bound of
// the loop's task queue does not apply, because the server posts a bounded number
// of tasks for each connection. If the loop is closed, post returns an error.
// Without an error f is called, even if the loop is closed in the meantime.
func (e *engine) post(f func()) error { return e.loop.PostUnbounded(f) }

// An arrival is a connection that is counted already, and is not served yet.
type arrival struct {
	fd        int
	peer      socket.Addr
	source    *source            // counts it for MaxConnsPerIP; may be nil
	announced socket.Addr        // the client's address by a PROXY header, or the zero Addr
	input     []byte             // input that was read ahead
	user      any                // becomes Conn.User
	tell      func(*Conn, error) // gets the connection, or the error; may be nil
	close     bool               // the connection closes as by Conn.Close, without any input
	tls       *secured           // the TLS side, whose handshake is over; nil without TLS
}

// open begins to serve an arrival, on the loop. If it cannot, it closes the
// descriptor.
func (e *engine) open(a arrival) {
	c := &Conn{User: a.user, eng: e, timeouts: e.service.Timeouts, peer: makeInetPeer(a.peer), source: a.source, extra: newExtras(e.service.Rates, a.announced)}
	c.self, c.active = (*connHandler)(c), e.loop.Elapsed()
	c.shortReads = c.peer.isUnix() // a receive stops at passed descriptors, which epoll does not report
	if a.tls != nil {
		c.secureBy(a.tls)
	}
	err := ErrClosed
	if !e.over {
		err = e.loop.Handle(&c.reg, a.fd, &c.self)
	}
	if err != nil {
		sys.Close(a.fd)
		e.srv.leaveSource(a.source)
		e.srv.gone()
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
		c.signals.Store(closeAsked)
	}
	if a.tell != nil {
		a.tell(c, nil)
	}
	c.rearm()
	if f := e.service.Events.Open; f != nil {
		e.unread = a.input // a Detach in Open returns it
		err = c.call(f)
		a.input, e.unread = e.unread, nil
	}
	if !c.drive(err) {
		return
	}
	if len(a.input) > 0 && c.state == stateOpen {
		c.receivedAny = true
		if !c.drive(c.data(a.input)) {
			return
		}
	}
	if c.secure() != nil && c.state == stateOpen && !c.decrypt(nil) { // what arrived together with the handshake
		return
	}
	if e.draining { // Shutdown has closed the others: this one gets its input once, and closes
		e.arriving = c
		if c.catchUp(); c.state != stateClosed {
			c.Close()
		}
		e.arriving = nil
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

// call calls a callback of the connection, and sends what the callback has written.
//
// The high bits of the signals count the calls in two steps: the number is odd from
// the beginning of a callback until its output was sent. By the number and gathered,
// other goroutines find out whether what they write is to be gathered (gathers) or
// to be queued behind what is being sent (sends). So call sends without the lock.
func (c *Conn) call(f func(*Conn) error) error {
	e := c.eng
	e.current = c
	c.signals.Add(1 << callShift)
	err := guard(e.srv, c, f)
	c.mu.Lock()
	signals := c.signals.Load()
	if c.secure() != nil && signals&(gone|writeFailed) == 0 && !c.sealsAtOnce() {
		c.queueGathered()
	}
	c.gathered = uint8(signals >> callShift)
	// A queue that is scheduled for the turn's end, or waits for room, is not flushed now.
	flush := c.out != nil && c.sending == notSending && !c.out.scheduled && (!c.out.blocked || c.out.finished.n > 0)
	queued := c.out != nil
	if p := e.gather; len(p) > 0 && signals&(gone|writeFailed) == 0 {
		c.direct = int32(len(p))
		c.mu.Unlock()
		if c.secure() != nil {
			queued = c.sendSealed(p) || queued
		} else if n, errno := sys.Send(c.reg.FD(), p, 0); e.traffic.sent(n) < len(p) { // the loop does not close it meanwhile
			queued = true
			c.mu.Lock()
			if errno == 0 || errno == unix.EAGAIN {
				c.output().prepend(p[n:])
				if errno == unix.EAGAIN {
					_ = c.block() // an error ends the connection
				}
				c.queued()
			} else {
				_ = c.fail(errno)
			}
			c.mu.Unlock()
		}
	} else {
		if c.sending == notSending { // otherwise direct is the sender's
			c.direct = 0
		}
		c.mu.Unlock()
	}
	e.gather = e.gather[:0]
	c.signals.Add(1 << callShift)
	e.current = nil
	if flush {
		c.flush(false)
	}
	if queued {
		if c.secure() != nil {
			c.mu.Lock()
			c.queued()
			c.mu.Unlock()
		}
		c.rearm()
	}
	return err
}
