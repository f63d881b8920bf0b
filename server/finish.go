package server

import (
	"errors"
	"math"
	"runtime"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// finish closes the connection, on its loop, for the reason why. It returns false, as
// drive does for a closed connection.
func (c *Conn) finish(why error) bool {
	if c.secure() != nil && c.secure().failed != nil {
		why = c.secure().failed
	}
	c.state = stateClosed
	signals := c.signals.Or(gone)
	if signals&gone != 0 {
		return false
	}
	c.mu.Lock()
	if c.out != nil && (c.out.size > 0 || c.out.fileBytes > 0) {
		resetOnClose(&c.reg.Registration) // an orderly end would tell the peer that it has got everything
	}
	if c.out != nil || c.sends() {
		c.output().why = why
	}
	c.mu.Unlock()
	_ = c.reg.Close() // the loop may have closed it already
	c.end(why)
	return false
}

// end calls the last callbacks of a closed connection: in each turn a bounded number of
// completions, and after the last of them Events.Closed.
func (c *Conn) end(why error) {
	e := c.eng
	if c.callCompletions(why) {
		if e.post(func() { c.end(why) }) == nil {
			return
		}
		for c.callCompletions(why) { // the loop is closed, so there is no later turn
		}
	}
	if c.hasSender() || c.signals.Or(ended)&ended != 0 {
		return
	}
	e.remove(c)
	if f := e.service.Events.Closed; f != nil {
		e.current, e.unread = c, c.left()
		_ = guard(e.srv, c, func(c *Conn) error { f(c, why); return nil })
		e.current, e.unread = nil, nil
	}
	c.drop()
	if s := c.secure(); s != nil {
		s.counts(e, 0)
	}
	e.srv.leaveSource(c.source)
	e.srv.gone()
}

// callCompletions calls completions of a closed connection, up to completionsPerTurn, or
// all after Server.Close. It returns whether there are more.
func (c *Conn) callCompletions(why error) (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil || c.sending != notSending {
		return false
	}
	if why == nil {
		why = errConnClosed("write")
	}
	most := completionsPerTurn
	if c.eng.over {
		most = math.MaxInt
	}
	more = c.complete(c.out, most, why)
	if !more {
		c.out.dropSealed()
	}
	c.weighOutput()
	if more {
		return true
	}
	c.out = nil
	return false
}

// hasSender reports whether another goroutine is sending. It calls endLater afterwards.
func (c *Conn) hasSender() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sending != notSending
}

// abort ends the connection, and returns when all of its last callbacks were called.
func (c *Conn) abort(why error) {
	resetOnClose(&c.reg.Registration)
	c.finish(why)
	for c.signals.Load()&ended == 0 {
		c.end(why) // it does nothing while another goroutine sends, which does not take long
		runtime.Gosched()
	}
}

// endLater makes the loop call end. A sender calls it, with the lock, when the
// connection was closed meanwhile.
func (c *Conn) endLater() {
	why := c.out.why
	if c.eng.post(func() { c.end(why) }) != nil {
		go func() {
			_ = c.eng.loop.Close() // Close was called before: this call waits for the loop's end
			c.eng.orphans.Lock()
			defer c.eng.orphans.Unlock()
			c.end(why)
		}()
	}
}

// Detach takes the connection away from the server without closing it, and returns
// it as a Socket, which has the unread input in its buffer. Only the connection's
// callbacks may call it. Detach first sends what the callback has written. The
// completions of WriteAsync are called after the callback. Events.Closed is not called.
// While output is queued that the kernel does not take, Detach returns EBUSY.
func (c *Conn) Detach() (*socket.Socket, error) {
	e := c.eng
	if e.current != c {
		return nil, errors.New("server: detach: called outside of the connection's callbacks")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signals.Load()&gone != 0 {
		return nil, errConnClosed("detach")
	}
	if c.secure() != nil {
		return nil, &socket.Error{Op: "detach", Errno: unix.EOPNOTSUPP, Err: errors.New("the connection has TLS")}
	}
	c.queueGathered()
	if c.out != nil && !c.out.blocked && c.sending == notSending {
		_ = c.push(math.MaxInt, math.MaxInt) // after an error the output stays queued
	}
	if !c.out.empty() || c.sending != notSending {
		return nil, &socket.Error{Op: "detach", Errno: unix.EBUSY, Err: errors.New("output is queued")}
	}
	fd, err := c.reg.Release()
	if err != nil {
		return nil, &socket.Error{Op: "detach", Errno: unix.EBUSY, Err: err}
	}
	s, err := socket.Config{Group: e.srv.group}.Resume(fd, e.unread)
	if err != nil {
		sys.Close(fd)
	}
	c.signals.Or(gone)
	c.state = stateClosed
	if o := c.out; o != nil {
		e.hold(-o.counted)
		c.out, o.counted = nil, 0
		c.completeLater(o)
	}
	if c.in != nil {
		e.hold(-c.in.counted)
		c.in.counted = 0
	}
	e.unread = nil
	e.remove(c)
	e.srv.leaveSource(c.source)
	e.srv.gone()
	return s, err
}

// completeLater makes the loop call the completions of a detached connection.
func (c *Conn) completeLater(o *output) {
	complete := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.complete(o, completionsPerTurn, nil) {
			c.completeLater(o)
		}
	}
	if o.finished.n > 0 && c.eng.post(complete) != nil {
		go complete() // the loop was closed
	}
}
