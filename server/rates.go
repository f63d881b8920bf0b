package server

import (
	"fmt"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/seed-2334f180/weir/internal/sockethook"
)

// Rates limit how fast a server accepts connections, and how fast each connection
// transfers bytes. 0 means no limit. A burst is how much may come at once after a pause:
// in t seconds no more than the burst and t times the rate. The burst 0 means a tenth of
// the rate, and 1 at least. Datagrams have no limit.
type Rates struct {
	// Accept is how many connections a second the listeners of the Server, or of a
	// Service, accept together. Other connections wait in the backlog.
	Accept, AcceptBurst int
	// Read and Write are how many bytes a second the Server receives from one
	// connection, and sends to it. While a connection has received too much, the Server
	// does not read from it, as after PauseRead; but Timeouts.FirstByte, Idle and Read go
	// on. Output waits in the queue, where HighWater and MaxOutput apply. Timeouts.Write
	// should be above a second. Close waits for the output as long as it takes at this
	// rate, and for Timeouts.Linger in addition. Shutdown ends the limit of Read.
	//
	// With Handler, the Socket's calls wait, within Timeouts.Read and Write.
	Read, ReadBurst   int
	Write, WriteBurst int
}

func (r *Rates) check() error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"Accept", r.Accept}, {"AcceptBurst", r.AcceptBurst}, {"Read", r.Read}, {"ReadBurst", r.ReadBurst}, {"Write", r.Write}, {"WriteBurst", r.WriteBurst},
	} {
		if f.value < 0 {
			return fmt.Errorf("server: Rates.%s is %d: it must not be negative", f.name, f.value)
		}
		if f.value > rate.Most {
			return fmt.Errorf("server: Rates.%s is %d: the most is %d", f.name, f.value, rate.Most)
		}
	}
	for _, f := range []struct {
		name        string
		rate, burst int
	}{
		{"Accept", r.Accept, r.AcceptBurst}, {"Read", r.Read, r.ReadBurst}, {"Write", r.Write, r.WriteBurst},
	} {
		if f.rate == 0 && f.burst > 0 {
			return fmt.Errorf("server: Rates.%sBurst is %d, and Rates.%s is 0", f.name, f.burst, f.name)
		}
	}
	return nil
}

// An acceptRate limits the listeners of a Service together. Their loops share it.
type acceptRate struct {
	mu     sync.Mutex
	bucket rate.Bucket
	clock  func() time.Duration
}

// newAcceptRate returns nil if there is no limit.
func newAcceptRate(r *Rates) *acceptRate {
	if r.Accept == 0 {
		return nil
	}
	start := time.Now()
	return &acceptRate{bucket: rate.NewBucket(r.Accept, r.AcceptBurst), clock: func() time.Duration { return time.Since(start) }}
}

// wait returns how long the listeners have to wait before they accept another connection.
func (a *acceptRate) wait() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	if _, at := a.bucket.Allow(now, 1); at != 0 {
		return at - now
	}
	return 0
}

// took counts an accepted connection.
func (a *acceptRate) took() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bucket.Take(a.clock(), 1)
}

// tooFast reports whether the listener has to wait for the rate of accepts. It then rests
// until it may go on. A listener that ends does not wait.
func (l *listener) tooFast() bool {
	r := l.eng.service.accepts
	if r == nil || l.ending {
		return false
	}
	wait := r.wait()
	if wait == 0 {
		return false
	}
	l.resting, l.scarce = true, false
	l.eng.srv.counters.acceptDelays.Add(1)
	l.reg.ExpireAt(l.eng.loop.Now() + wait)
	return true
}

// connRates limit a connection of Events.
type connRates struct {
	read    rate.Bucket   // only the loop's goroutine uses it
	readAt  time.Duration // when to read again, on the loop's clock; 0 if reading does not wait
	write   rate.Bucket   // guarded by the connection's lock
	writeAt time.Duration // when to send again; 0 if sending does not wait; guarded by the connection's lock
}

// newConnRates returns nil if there is no limit.
func newConnRates(r *Rates) *connRates {
	if r.Read == 0 && r.Write == 0 {
		return nil
	}
	return &connRates{read: rate.NewBucket(r.Read, r.ReadBurst), write: rate.NewBucket(r.Write, r.WriteBurst)}
}

// limitsWrite reports whether the connection's output is limited. All of it then goes
// through the queue.
func (r *connRates) limitsWrite() bool { return r != nil && r.write.Limits() }

// mayRead returns how many of n bytes the connection may receive now. If it returns 0,
// the timer makes the connection go on.
func (c *Conn) mayRead(n int) int {
	r := c.rates
	if r == nil {
		return n
	}
	most, at := r.read.Allow(c.eng.loop.Elapsed(), n)
	if at != 0 && r.readAt == 0 {
		c.eng.srv.counters.readDelays.Add(1)
	}
	if r.readAt = at; at != 0 {
		c.rearm()
	}
	return most
}

// hasRead counts n received bytes.
func (c *Conn) hasRead(n int) {
	if c.rates != nil {
		c.rates.read.Take(c.eng.loop.Elapsed(), n)
	}
}

// maySend returns how many of n queued bytes may leave now. If it returns 0, the queue is
// blocked until the timer makes it go on. It needs the lock.
func (c *Conn) maySend(n int) int {
	r := c.rates
	if r == nil {
		return n
	}
	most, at := r.write.Allow(c.eng.loop.Elapsed(), min(n, c.out.size))
	if at != 0 {
		if r.writeAt == 0 {
			c.eng.srv.counters.writeDelays.Add(1)
		}
		c.out.blocked = true
		c.reg.Poke() // the loop sets the timer
	}
	r.writeAt = at
	return most
}

// hasSent counts n bytes that have left. It needs the lock.
func (c *Conn) hasSent(n int) {
	if c.rates != nil {
		c.rates.write.Take(c.eng.loop.Elapsed(), n)
	}
}

// rateEnds returns when the connection may go on that waits for its rates, or 0.
func (c *Conn) rateEnds() time.Duration {
	r := c.rates
	if r == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.readAt == 0 || r.writeAt != 0 && r.writeAt < r.readAt {
		return r.writeAt
	}
	return r.readAt
}

// goOn lets the connection transfer again if its time has come.
func (c *Conn) goOn() {
	r := c.rates
	if r == nil {
		return
	}
	now := c.eng.loop.Elapsed()
	again := r.readAt != 0 && r.readAt <= now
	if again {
		r.readAt = 0
	}
	c.mu.Lock()
	send := r.writeAt != 0 && r.writeAt <= now
	if send {
		r.writeAt = 0
	}
	c.mu.Unlock()
	if send {
		c.flush(true)
	}
	if send || again {
		c.ready(0)
	}
}

// sendTime returns how long the queue takes to leave at the rate of the connection.
func (c *Conn) sendTime() time.Duration {
	if c.rates == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rates.write.Time(c.queuedBytes())
}

// trim cuts the slices to n bytes together.
func trim(bufs [][]byte, n int) [][]byte {
	for i, p := range bufs {
		if len(p) >= n {
			bufs[i] = p[:n]
			clear(bufs[i+1:])
			return bufs[:i+1]
		}
		n -= len(p)
	}
	return bufs
}

// setPace makes the calls of a Session's Socket keep the rates. Nothing uses the Socket yet.
func (x *Session) setPace(e *engine) {
	r := e.service.Rates
	if r.Read == 0 && r.Write == 0 {
		return
	}
	count := &e.srv.counters
	sockethook.Pace(&x.Socket, rate.NewPair(rate.NewBucket(r.Read, r.ReadBurst), rate.NewBucket(r.Write, r.WriteBurst), e.loop.Elapsed, func(write bool) {
		if write {
			count.writeDelays.Add(1)
		} else {
			count.readDelays.Add(1)
		}
	}))
}
