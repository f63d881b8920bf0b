package httpd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
)

// A conn is what makes a connection parkable. net/http has it from Accept until it
// calls Close. If the Close follows a Read that has returned errNothing, the connection
// stays open and is parked.
type conn struct {
	yard  *yard
	given net.Conn       // what net/http has
	self  net.Conn       // what the program's hooks get
	under net.Conn       // the connection itself: given is made of it
	sock  *socket.Socket // its socket

	phase  atomic.Int32 // of the reading goroutine
	until  time.Time    // the read deadline of the idle connection; zero for none
	header time.Time    // the read deadline that net/http has set for a resumed connection
	idleAt time.Time    // when net/http began to wait for the next request
	linger time.Duration

	announced bool            // the program's ConnState was told StateNew
	ctx       context.Context // what the program's ConnContext has returned

	// yard.mu guards the following.
	state      state
	closes     int8 // calls of Close while the state is leaving
	prev, next *conn

	hook  loop.Hook   // hangs while the connection is parked
	timer *loop.Timer // ends the parked connection at until
}

// A state says who has a connection.
type state uint8

const (
	serving state = iota // net/http, or the program that has hijacked it
	leaving              // net/http, whose goroutine is about to end because Read has returned errNothing
	parked               // the yard
	woken                // the yard's queue for back.Accept
	shaking              // the yard, which makes the TLS handshake
	closed
)

// The phases of reading.
const (
	busy      int32 = iota // in a request: Read only reads
	answered               // ConnState has said StateIdle
	lingering              // and net/http has set the read deadline
	resumed                // net/http has got the connection back, and has read nothing yet
	fresh                  // nothing was read, and the first bytes may say HTTP/2
	never                  // the connection is not parked any more: it is hijacked, or HTTP/2
)

// emptyBuffer is the length of net/http's read buffer. A Read of this length says that the
// buffer is empty.
const emptyBuffer = 4096

// mostSkipped is how many bytes of line breaks are skipped before a request. It is
// net/http's number.
const mostSkipped = 4

// preface begins an HTTP/2 connection without TLS. Its reads are of any length, at any time.
const preface = "PRI "

const (
	shortestLinger = 10 * time.Millisecond
	longestLinger  = 500 * time.Millisecond

	// beginningTime is how long net/http has a connection that was parked, and of whose
	// request only an empty line or a part of a TLS record has arrived.
	beginningTime = 100 * time.Millisecond
)

// errNothing is the error of a Read for the next request when none has arrived. net/http
// takes it for a timeout and closes the connection silently.
var errNothing error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "httpd: the connection is idle and leaves net/http" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// parkable is implemented by the connections that this package gives to net/http.
type parkable interface{ parking() *conn }

// A tcpConn is a TCP connection that can be parked.
type tcpConn struct {
	*weirnet.TCPConn
	park conn
}

func (c *tcpConn) parking() *conn                    { return &c.park }
func (c *tcpConn) Read(b []byte) (int, error)        { return c.park.read(b) }
func (c *tcpConn) Close() error                      { return c.park.close() }
func (c *tcpConn) SetReadDeadline(t time.Time) error { return c.park.setReadDeadline(t) }
func (c *tcpConn) SetDeadline(t time.Time) error     { return c.park.setDeadline(t) }

// A unixConn is a unix connection that can be parked.
type unixConn struct {
	*weirnet.UnixConn
	park conn
}

func (c *unixConn) parking() *conn                    { return &c.park }
func (c *unixConn) Read(b []byte) (int, error)        { return c.park.read(b) }
func (c *unixConn) Close() error                      { return c.park.close() }
func (c *unixConn) SetReadDeadline(t time.Time) error { return c.park.setReadDeadline(t) }
func (c *unixConn) SetDeadline(t time.Time) error     { return c.park.setDeadline(t) }

func (c *conn) init(y *yard, given, self, under net.Conn, sock *socket.Socket) {
	c.yard, c.given, c.self, c.under, c.sock, c.linger = y, given, self, under, sock, y.shortest
	c.hook.To = (*observer)(c)
	if p := y.srv.Protocols; p != nil && p.UnencryptedHTTP2() {
		c.phase.Store(fresh)
	}
	y.mu.Lock()
	y.open++
	y.mu.Unlock()
}

// changed is called for each change of the connection's state in net/http. It tells the
// program, unless the change is only that the connection is parked or resumed.
func (c *conn) changed(s http.ConnState) {
	switch s {
	case http.StateNew:
		if c.announced {
			return
		}
		c.announced = true
	case http.StateIdle:
		c.enter(answered)
	case http.StateActive:
		if c.phase.Load() == lingering {
			_ = c.under.SetReadDeadline(c.until) // an error is the next Read's, too
		}
		c.enter(busy)
	case http.StateHijacked:
		c.phase.Store(never)
		c.yard.leave()
	case http.StateClosed:
		if c.park() {
			return
		}
		c.yard.leave()
	}
	c.yard.hooks.tell(c.self, s)
}

// context returns the context of the connection: what the program's ConnContext returned
// when it was called first.
func (c *conn) context(ctx context.Context) context.Context {
	if c.yard.hooks.conn == nil {
		return ctx
	}
	if c.ctx == nil {
		c.ctx = c.yard.hooks.conn(ctx, c.self)
	}
	return c.ctx
}

// enter begins a phase, unless the connection is never parked.
func (c *conn) enter(phase int32) {
	if c.phase.Load() != never {
		c.phase.Store(phase)
	}
}

// setReadDeadline sets the deadline of reads. While the connection lingers, an earlier
// one is in force.
func (c *conn) setReadDeadline(t time.Time) error {
	switch c.phase.Load() {
	case answered:
		c.idleAt, c.until = time.Now(), t
		c.phase.Store(lingering)
		t = c.lingerEnd()
	case lingering:
		c.phase.Store(busy)
	case resumed:
		c.header = t
		return nil
	}
	return c.under.SetReadDeadline(t)
}

func (c *conn) setDeadline(t time.Time) error {
	if err := c.setReadDeadline(t); err != nil {
		return err
	}
	return c.under.SetWriteDeadline(t)
}

// lingerEnd returns when a connection that lingers from now on is to be parked, or the end
// of its idle time if that is earlier.
func (c *conn) lingerEnd() time.Time {
	end := time.Now().Add(c.linger)
	if !c.until.IsZero() && c.until.Before(end) {
		return c.until
	}
	return end
}

// read is Read. While net/http waits for the next request with an empty buffer, it returns
// errNothing if none arrives for a while.
func (c *conn) read(b []byte) (int, error) {
	phase := c.phase.Load()
	after := c.until // the deadline for what follows this read
	switch phase {
	case busy, never:
		return c.under.Read(b)
	case fresh:
		n, err := c.under.Read(b)
		c.phase.Store(busy)
		if bytes.HasPrefix(b[:n], []byte(preface)) || bytes.HasPrefix([]byte(preface), b[:n]) {
			c.phase.Store(never)
		}
		return n, err
	case answered: // net/http has not set the deadline: it does not do what parking relies on
		c.phase.Store(busy)
		return c.under.Read(b)
	case resumed:
		after = c.header
	}
	if len(b) != emptyBuffer { // net/http has the beginning of a request
		c.phase.Store(busy)
		_ = c.under.SetReadDeadline(after) // an error is the Read's, too
		return c.under.Read(b)
	}
	n, err := c.readFirst(b, phase == resumed)
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.overdue() && c.phase.Load() == phase {
		c.letGo()
		return 0, errNothing
	}
	if err == nil {
		c.phase.Store(busy)
		_ = c.under.SetReadDeadline(after) // as above
	}
	return n, err
}

// readFirst reads the beginning of a request. If the connection was parked, it skips an
// empty line before it, which net/http does only where it knows that the last request was a
// POST: some clients send one too many behind it.
func (c *conn) readFirst(b []byte, resumed bool) (n int, err error) {
	if !resumed {
		return c.under.Read(b)
	}
	if err := c.under.SetReadDeadline(time.Now().Add(c.yard.beginning)); err != nil {
		return 0, err
	}
	for n == 0 && err == nil {
		n, err = c.under.Read(b)
		begin := b[:min(n, mostSkipped)]
		n = copy(b, b[len(begin)-len(bytes.TrimLeft(begin, "\r\n")):n])
	}
	return n, err
}

// overdue reports whether the idle time is over.
func (c *conn) overdue() bool { return !c.until.IsZero() && time.Until(c.until) <= 0 }
