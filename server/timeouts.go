package server

import (
	"fmt"
	"math"
	"os"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"golang.org/x/sys/unix"
)

// Timeouts end a connection that does nothing. Each is exact to a tenth of a
// millisecond, is never early, and costs next to nothing where it does not
// strike. Before it strikes, what the peer has sent or taken meanwhile is seen
// to, and counts, though the loop be late. 0 is none.
type Timeouts struct {
	// FirstByte is how long the peer may take to send something at all.
	FirstByte time.Duration
	// Idle is how long it may be silent.
	Idle time.Duration
	// Read is how long a beginning that Data has left unread may wait for its
	// rest; when Data takes some of it, for the rest of what is then left. Of
	// Handle it is the Socket's receive timeout. None of these three runs while
	// nothing is read from the peer, because of PauseRead or HighWater.
	Read time.Duration
	// Write is how long the peer may take nothing of what is queued for it. Of
	// Handle it is the Socket's send timeout.
	Write time.Duration
	// Linger is how long a Close may take to get rid of what is queued, and to
	// see that it has arrived; and, if there is input that nobody reads any more,
	// that the peer has ended or been silent for a moment. 0 is 5 seconds.
	Linger time.Duration

	any bool // one of those that need the time of each receive
}

const defaultLinger = 5 * time.Second

func (t *Timeouts) check() error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"FirstByte", t.FirstByte}, {"Idle", t.Idle}, {"Read", t.Read}, {"Write", t.Write}, {"Linger", t.Linger},
	} {
		if f.value < 0 {
			return fmt.Errorf("server: Timeouts.%s is %v: it must not be negative", f.name, f.value)
		}
	}
	if t.Linger == 0 {
		t.Linger = defaultLinger
	}
	t.any = t.FirstByte > 0 || t.Idle > 0
	return nil
}

// A TimeoutError is why a connection ended whose time was up. It is
// os.ErrDeadlineExceeded and ETIMEDOUT, and Timeout is true.
type TimeoutError struct {
	Of    string // "first byte", "idle", "read", "write" or "linger"
	After time.Duration
}

// Error says which timeout it was.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("server: the connection's %s timeout of %v is over", e.Of, e.After)
}

// Timeout is true.
func (e *TimeoutError) Timeout() bool { return true }

// Is knows the standard library's name of it, and the kernel's.
func (e *TimeoutError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded || target == error(unix.ETIMEDOUT)
}

// SetTimeouts gives the connection timeouts of its own. It is for the
// connection's callbacks.
func (c *Conn) SetTimeouts(t Timeouts) error {
	if err := t.check(); err != nil {
		return err
	}
	c.timeouts = &t
	c.active = c.eng.loop.Elapsed()
	c.rearm()
	return nil
}

// due is the first time, on the loop's clock, at which the connection will
// have been inactive for too long; 0 if there is none. Of is what it is due to,
// or "" when the kernel is to be asked whether all has arrived.
func (c *Conn) due() (at time.Duration, of string, limit time.Duration) {
	first := func(since, d time.Duration, name string) {
		end := since + d
		if end > since && (at == 0 || end < at) { // below it, the sum is beyond all times
			at, of, limit = end, name, d
		}
	}
	t := c.timeouts
	if c.ends {
		first(c.active, t.Linger, "linger")
		if c.lingers && c.asks < math.MaxInt8 {
			first(c.askAt(), 1, "")
		}
		return
	}
	if c.listens() {
		if !c.heard {
			first(c.active, t.FirstByte, "first byte")
		}
		first(c.active, t.Idle, "idle")
		if c.in != nil {
			first(c.in.since, t.Read, "read")
		}
	}
	if t.Write > 0 {
		c.mu.Lock()
		if c.out != nil && c.out.size > 0 {
			if c.out.moved == 0 {
				c.out.moved = c.eng.loop.Elapsed()
			}
			first(c.out.moved, t.Write, "write")
		}
		c.mu.Unlock()
	}
	return
}

// listens says whether the peer is listened to. When it is again, its times
// begin anew.
func (c *Conn) listens() bool {
	was := !c.deaf
	c.deaf = c.flags.Load()&(paused|high) != 0
	if !was && !c.deaf {
		c.active = c.eng.loop.Elapsed()
		if c.in != nil {
			c.in.since = c.active
		}
	}
	return !c.deaf
}

// rearm sees to it that the timer strikes no later than it is due. It is not
// moved when it strikes earlier: it then finds that it is not due, and is set
// again. So steady traffic leaves it alone.
func (c *Conn) rearm() {
	if at, _, _ := c.due(); at != 0 && (c.alarm == 0 || at < c.alarm) {
		c.alarm = at
		c.reg.ExpireAt(at)
	}
}

// timeUp is called when the timer strikes.
func (c *Conn) timeUp() {
	c.alarm = 0
	if at, _, _ := c.due(); at != 0 && at <= c.eng.loop.Now() {
		// The loop may have been busy since it asked for events: what has come
		// since, or was taken, is not the peer's silence.
		c.Ready(poller.Readable | poller.Writable)
		if c.flags.Load()&gone != 0 {
			return
		}
	}
	at, of, limit := c.due()
	switch {
	case at == 0 || at > c.eng.loop.Now():
		c.rearm()
	case of == "":
		c.ask()
	default:
		c.finish(&TimeoutError{of, limit})
	}
}
