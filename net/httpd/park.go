package httpd

import (
	"crypto/tls"
	"net/http"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/internal/tlsheld"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// letGo says that net/http is about to let go of the connection, because Read returns
// errNothing. If the connection was closed meanwhile, it stays closed.
func (c *conn) letGo() {
	y := c.yard
	y.mu.Lock()
	defer y.mu.Unlock()
	if c.state == serving {
		c.state, c.closes = leaving, 0
	}
}

// close is Close. net/http calls it once for a connection that it lets go of, which stays
// open. Every other call closes the connection: srv.Shutdown and srv.Close may call it at
// the same time, and the program may call it while the connection is parked.
func (c *conn) close() error {
	y := c.yard
	y.mu.Lock()
	was := c.state
	if was == leaving {
		if c.closes++; c.closes == 1 {
			y.mu.Unlock()
			return nil
		}
	}
	c.take()
	c.state = closed
	y.mu.Unlock()
	if was == parked || was == woken || was == shaking {
		err := c.shut()
		// The caller may hold a lock that the program's ConnState takes.
		go c.tellClosed()
		return err
	}
	return c.under.Close()
}

// take takes the connection off the yard's list that it is on. The caller holds yard.mu.
func (c *conn) take() {
	switch c.state {
	case parked:
		c.yard.parked.remove(c)
	case woken:
		c.yard.woken.remove(c)
	case shaking:
		c.yard.shaking.remove(c)
	}
}

// park parks a connection that net/http has let go of. If it returns false, the connection
// is closed.
func (c *conn) park() bool {
	y := c.yard
	y.mu.Lock()
	if c.state != leaving || c.closes != 1 {
		if c.state == leaving { // net/http has not called Close: when it does, the connection closes
			c.state = serving
		}
		y.mu.Unlock()
		return false
	}
	y.mu.Unlock()
	c.phase.Store(resumed)
	c.header = time.Time{}
	reg := c.sock.Registration()
	if !c.until.IsZero() && c.timer == nil {
		c.timer = reg.Loop().NewTimer(c.expire)
	}
	if secure, ok := c.under.(*tls.Conn); ok {
		tlsheld.Reclaim(secure)
	}
	hung := c.hook.Hang(reg, loop.Readable) == nil
	until, timer := c.until, c.timer // net/http may have it back as soon as it is parked
	y.mu.Lock()
	if c.state != leaving || y.closed || !hung {
		c.state = closed
		y.mu.Unlock()
		_ = c.shut()
		return false
	}
	c.state = parked
	y.parked.add(c)
	y.parks++
	y.mu.Unlock()
	if timer != nil && !until.IsZero() {
		timer.Reset(time.Until(until))
	}
	// The observer is not told of input that came before the hook hung.
	if reg.Look(loop.Readable) != loop.Unready && !c.silent() {
		y.wake(c)
	}
	return true
}

// An observer is the loop.Observer of a parked connection.
type observer conn

// Notify is called by the loop when there may be input, or the end.
func (o *observer) Notify(_ *loop.Hook, n loop.Notice) {
	if n != loop.NoticeInterrupted {
		o.yard.wake((*conn)(o))
	}
}

// expire is called by the timer when the idle time of the parked connection is over. The
// timer may be of an earlier idle time: resume finds that out.
func (c *conn) expire() { c.yard.wake(c) }

// resume prepares a connection that was parked for net/http. It returns false if there is
// no request: then the connection is closed, or parked again.
func (c *conn) resume() bool {
	c.hook.Unhang()
	if c.timer != nil {
		c.timer.Stop()
	}
	n, errno := c.peek()
	if n > 0 {
		c.learn()
		return true
	}
	if errno == unix.EAGAIN && !c.overdue() {
		c.yard.mu.Lock()
		if c.state == serving {
			c.state, c.closes = leaving, 1
		}
		c.yard.mu.Unlock()
		if c.park() {
			return false
		}
	}
	c.yard.mu.Lock()
	c.state = closed
	c.yard.mu.Unlock()
	if _, secure := c.under.(*tls.Conn); secure || c.yard.hooks.state != nil {
		go c.end() // the close of a tls.Conn and the program's ConnState may block
	} else {
		c.end()
	}
	return false
}

// end closes a connection that was parked, and tells the program.
func (c *conn) end() {
	_ = c.under.Close() // an error says that the program has closed it
	c.tellClosed()
}

// learn chooses how long the connection lingers from the pause between its last requests.
func (c *conn) learn() {
	c.linger = c.yard.shortest
	if pause := time.Since(c.idleAt); pause <= c.yard.longest/2 {
		c.linger = max(c.linger, 2*pause)
	}
}

// silent reports whether the kernel has neither input nor the end of the stream.
func (c *conn) silent() bool {
	_, errno := c.peek()
	return errno == unix.EAGAIN
}

// peek returns how many bytes of input the kernel has, but no more than one. It returns 0
// at the end of the stream, and the kernel's error.
func (c *conn) peek() (int, syscall.Errno) {
	reg := c.sock.Registration()
	if reg.Use() != nil {
		return 0, unix.EBADF
	}
	defer reg.Done()
	var b [1]byte
	return sys.Recv(reg.FD(), b[:], unix.MSG_PEEK)
}

// shut closes a connection that may hang on its hook.
func (c *conn) shut() error {
	c.hook.Unhang()
	if c.timer != nil {
		c.timer.Stop()
	}
	return c.under.Close()
}

// tellClosed tells the program that a parked connection is closed.
func (c *conn) tellClosed() {
	c.yard.leave()
	c.yard.hooks.tell(c.self, http.StateClosed)
}
