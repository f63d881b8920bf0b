package server

import (
	"errors"
	"math"
	"runtime"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// finish closes the connection, on its loop, and returns false.
func (c *Conn) finish(why error) bool {
	c.state = stateClosed
	signals := c.signals.Or(gone)
	if signals&gone != 0 {
		return false
	}
	c.mu.Lock()
	if c.out != nil && c.out.size > 0 {
		resetOnClose(&c.reg.Registration) // the peer must not take a part for all
	}
	if c.out != nil || c.sends() {
		c.output().why = why
	}
	c.mu.Unlock()
	_ = c.reg.Close() // the loop may have closed it already
	c.end(why)
	return false
}

// end calls the last callbacks of a closed connection. It calls a number of
// completions in each turn, and Events.Closed after the last one.
func (c *Conn) end(why error) {
	e := c.eng
	if c.hasCompletions(why) {
		if e.post(func() { c.end(why) }) == nil {
			return
		}
		for c.hasCompletions(why) { // the loop was closed, and has no other work
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
	e.gone()
}

// hasCompletions calls completions of a closed connection, as many as a turn may take,
// or all if the server is over. It returns whether there are more.
func (c *Conn) hasCompletions(why error) bool {
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
	if c.complete(c.out, most, why) {
		return true
	}
	c.out = nil
	return false
}

// hasSender reports whether somebody sends at this moment, who calls endLater.
func (c *Conn) hasSender() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sending != notSending
}

// abort ends the connection and calls its last callbacks, however many they are.
func (c *Conn) abort(why error) {
	resetOnClose(&c.reg.Registration)
	c.finish(why)
	for c.signals.Load()&ended == 0 {
		c.end(why) // a sender is about to return from a system call that does not block
		runtime.Gosched()
	}
}

// endLater makes the loop call end. A sender calls it, with the lock, when the
// connection was closed meanwhile.
func (c *Conn) endLater() {
	why := c.out.why
	if c.eng.post(func() { c.end(why) }) != nil {
		go func() {
			_ = c.eng.loop.Close() // which somebody else has called: this waits
			c.eng.orphans.Lock()
			defer c.eng.orphans.Unlock()
			c.end(why)
		}()
	}
}

// Detach takes the connection away from the server without closing it, and returns
// it as a Socket, together with the input that was not read. Only the connection's
// callbacks may call it. What the callback has written is sent first; completions of
// WriteAsync are called after the callback. Events.Closed is not called afterwards.
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
	c.queueGathered()
	if c.out != nil && !c.out.blocked && c.sending == notSending {
		_ = c.push(math.MaxInt, math.MaxInt) // what fails stays queued
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
		unix.Close(fd)
	}
	c.signals.Or(gone)
	c.state = stateClosed
	if o := c.out; o != nil {
		c.out = nil
		c.completeLater(o)
	}
	e.unread = nil
	e.remove(c)
	e.gone()
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
