package server

import (
	"fmt"
	"os"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"golang.org/x/sys/unix"
)

// Timeouts end a connection whose peer does nothing for too long. No timeout ends early;
// except for Write, it ends late by a tenth of a millisecond at most, plus the time for
// which the loop is busy. Before the server ends the connection, it asks the kernel whether
// the peer has sent or taken something meanwhile. If the server is a tenth of a second late, because a
// callback has held up the loop or the process was stopped, a peer that has sent
// something meanwhile has Read again, and a closing connection Linger. 0 means no timeout,
// but a default for Handshake, Grace and Linger.
type Timeouts struct {
	// FirstByte is how long the peer may take to send its first byte.
	FirstByte time.Duration
	// Idle is how long the peer may send nothing. Conn.SetTimeouts and Session.SetIdle
	// change it for one connection, such as that of a subscriber, which only receives.
	Idle time.Duration
	// Read is how long input that Data has left unread may wait for the rest of
	// its message. When Data reads a part of the input, the time begins anew for
	// the rest of the input. With Handler it is the Socket's receive timeout.
	//
	// FirstByte, Idle and Read do not run while nothing is read from the peer,
	// because of PauseRead or HighWater.
	Read time.Duration
	// Write is how long output may be queued of which the peer takes nothing. With
	// Handler it is the Socket's send timeout. The kernel does not report that the peer
	// has taken a little. The server finds out when the time is over, and then the time
	// begins anew. So a peer that takes a little, and nothing afterwards, has Write twice.
	Write time.Duration
	// Handshake is how long the TLS handshake may take, from the moment at which the
	// connection was accepted. 0 means 10 seconds. FirstByte and Idle begin after it.
	Handshake time.Duration
	// MinRate is how many bytes a second a peer must move while something is in
	// progress: it must send the rest of the input that Data has left unread, and take
	// the output that is queued. A peer that moves less during Grace is too slow. So
	// a client cannot occupy a connection, or a Handler, by sending or reading a byte now
	// and then. Idle connections have nothing in progress.
	//
	// With Handler, each call of Begin or Handler is in progress, on TCP connections only.
	// The Server looks at a call whenever Grace has passed. If the call waits for the peer
	// twice in succession, and the peer was too slow in between, the Server ends the
	// connection: one to two times Grace after the peer has become slow. If one call of
	// Handler serves many requests, do not set MinRate.
	//
	// MinRate must be well below Rates.Read and Rates.Write, which make the server slow.
	// Grace is 10 seconds if only MinRate is set. Like Read, MinRate does not run for
	// input while nothing is read from the peer.
	MinRate int
	Grace   time.Duration
	// Linger is how long Close may take until the peer has received everything.
	// If the peer still sends, Close also waits until the peer ends its stream or
	// stops sending for a moment. While a file of SendFile leaves, or output that Rates
	// delays, the time begins anew when the peer takes something. 0 means 5 seconds.
	Linger time.Duration

	any     bool      // FirstByte or Idle is set, which need the time of each receive
	leaving *farewell // once Close has to wait, it replaces all timeouts
}

const (
	defaultLinger    = 5 * time.Second
	defaultHandshake = 10 * time.Second
)

func (t *Timeouts) check() error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"FirstByte", t.FirstByte}, {"Idle", t.Idle}, {"Read", t.Read}, {"Write", t.Write}, {"Handshake", t.Handshake}, {"Grace", t.Grace}, {"Linger", t.Linger},
	} {
		if f.value < 0 {
			return fmt.Errorf("server: Timeouts.%s is %v: it must not be negative", f.name, f.value)
		}
	}
	if t.MinRate < 0 {
		return fmt.Errorf("server: Timeouts.MinRate is %d: it must not be negative", t.MinRate)
	}
	if t.Linger == 0 {
		t.Linger = defaultLinger
	}
	if t.Handshake == 0 {
		t.Handshake = defaultHandshake
	}
	if t.Grace == 0 {
		t.Grace = defaultGrace
	}
	t.any = t.FirstByte > 0 || t.Idle > 0
	return nil
}

// A TimeoutError says which timeout has ended a connection. errors.Is finds
// os.ErrDeadlineExceeded and ETIMEDOUT in it, and its Timeout returns true.
type TimeoutError struct {
	Of    string        // "handshake", "first byte", "idle", "read", "write", "rate" or "linger"
	After time.Duration // the value of that timeout
}

// Error names the timeout.
func (e *TimeoutError) Error() string {
	if e.Of == ofRate {
		return fmt.Sprintf("server: for %v the connection's peer was slower than Timeouts.MinRate", e.After)
	}
	return fmt.Sprintf("server: the connection's %s timeout of %v is over", e.Of, e.After)
}

// Timeout returns true.
func (e *TimeoutError) Timeout() bool { return true }

// Is reports whether target is os.ErrDeadlineExceeded or ETIMEDOUT.
func (e *TimeoutError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded || target == error(unix.ETIMEDOUT)
}

// SetTimeouts replaces the Timeouts of the connection. Their time begins now. Only the
// connection's callbacks may call it. The error is that of a negative timeout.
func (c *Conn) SetTimeouts(t Timeouts) error {
	if err := t.check(); err != nil {
		return err
	}
	t.leaving = c.timeouts.leaving
	c.timeouts = &t
	c.active = c.eng.loop.Elapsed()
	c.rearm()
	return nil
}

// due returns when the next timeout of the connection ends, on the loop's clock, or
// 0 if none runs. of is the timeout's name, and limit its value.
func (c *Conn) due() (at time.Duration, of string, limit time.Duration) {
	first := func(since, d time.Duration, name string) {
		end := since + d
		if end > since && (at == 0 || end < at) { // otherwise d is 0, or the sum overflows and never comes
			at, of, limit = end, name, d
		}
	}
	t := c.timeouts
	if t.leaving != nil {
		c.goesOn(t.leaving)
		return t.leaving.next(), "linger", t.leaving.limit
	}
	if c.readTimesRun() {
		if !c.receivedAny {
			first(c.active, t.FirstByte, "first byte")
		}
		first(c.active, t.Idle, "idle")
		if c.in != nil {
			first(c.in.since, t.Read, "read")
			if t.MinRate > 0 {
				c.in.rate.begin(c.eng.loop.Elapsed())
				first(c.in.rate.since, t.Grace, ofRate)
			}
		}
		if c.secure() != nil && c.secure().partSince > 0 {
			first(c.secure().partSince, t.Read, "read")
		}
	}
	if t.Write > 0 || t.MinRate > 0 {
		c.mu.Lock()
		if c.out != nil && (c.out.size > 0 || c.out.fileBytes > 0) {
			if c.out.moved == 0 {
				c.out.moved = c.eng.loop.Elapsed()
			}
			first(c.out.moved, t.Write, "write")
			if t.MinRate > 0 {
				c.out.rate.begin(c.eng.loop.Elapsed())
				first(c.out.rate.since, t.Grace, ofRate)
			}
		}
		c.mu.Unlock()
	}
	return
}

// readTimesRun reports whether the timeouts FirstByte, Idle and Read run. When reading
// goes on after it was stopped, their time begins anew.
func (c *Conn) readTimesRun() bool {
	wasStopped := c.readStopped
	c.readStopped = c.signals.Load()&(paused|outputHigh) != 0
	if wasStopped && !c.readStopped {
		c.active = c.eng.loop.Elapsed()
		if c.in != nil {
			c.in.since, c.in.rate = c.active, window{}
		}
		if c.secure() != nil && c.secure().partSince > 0 {
			c.secure().partSince = c.active
		}
	}
	return !c.readStopped
}

// rearm makes the timer expire no later than the next timeout. A timer that expires
// earlier stays as it is: timeUp then finds nothing to do, and sets it again. So
// steady traffic does not touch the timer.
func (c *Conn) rearm() {
	at, _, _ := c.due()
	if end := c.rateEnds(); end != 0 && (at == 0 || end < at) {
		at = end
	}
	if at != 0 {
		c.reg.ExpireBy(at)
	}
}

// muchTooLate is from when on the timer's delay is the server's fault: a callback has
// held up the loop, or the process was stopped.
const muchTooLate = 100 * time.Millisecond

// excuse gives the peer as much time as the timer is late, at most the timeout, if the
// server itself has done nothing for a while: the peer could send or take only what the
// kernel's buffers had room for. left is how much input was unread before what has
// arrived meanwhile.
func (c *Conn) excuse(late time.Duration, left int) {
	if late < muchTooLate {
		return
	}
	now := c.eng.loop.Now()
	if read := c.timeouts.Read; c.in != nil && len(c.in.buf) > left {
		c.in.since = max(c.in.since, now-read+min(late, read))
	}
	if f := c.timeouts.leaving; f != nil {
		f.deadline = max(f.deadline, now+min(late, f.limit))
	}
}

// timeUp is called when the timer expires.
func (c *Conn) timeUp() {
	if c.goOn(); c.state == stateClosed {
		return
	}
	if at, _, _ := c.due(); at != 0 && at <= c.eng.loop.Now() {
		// The loop may have been busy since it asked the kernel for events, or the
		// process stopped. What has arrived or left since then counts.
		late, left := c.eng.loop.Now()-at, len(c.left())
		c.bulk = false // it is read now
		c.ready(poller.Readable | poller.Writable)
		if c.state == stateClosed {
			return
		}
		c.excuse(late, left)
	}
	c.rateWindows(c.eng.loop.Elapsed())
	at, of, limit := c.due()
	if now := c.eng.loop.Now(); at == 0 || at > now {
		c.rearm()
		return
	} else if c.state == stateLingering {
		switch c.timeouts.leaving.check(c.reg.FD(), now) {
		case keepWaiting:
			c.rearm()
			return
		case delivered:
			c.finish(nil)
			return
		}
	}
	c.finish(&TimeoutError{of, limit})
}
