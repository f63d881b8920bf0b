package server

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/seed-2334f180/weir/internal/sockethook"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
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

// take calls accept if the rate allows a connection now, and counts the connection if accept
// returns true. Otherwise take returns how long the listener has to wait. The lock is held
// during accept, or two loops could take the same token.
func (a *acceptRate) take(accept func() bool) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	if _, at := a.bucket.Allow(now, 1); at != 0 {
		return at - now
	}
	if accept() {
		a.bucket.Take(a.clock(), 1)
	}
	return 0
}

// next calls accept(2) if the rate of accepts allows it. Otherwise it returns ok false, and
// the listener rests until it may go on. A listener that ends does not wait.
func (l *listener) next(from *sys.Sockaddr) (fd int, errno syscall.Errno, ok bool) {
	r := l.eng.service.accepts
	if r == nil || l.ending {
		fd, errno = sys.Accept(l.reg.FD(), from)
		return fd, errno, true
	}
	wait := r.take(func() bool {
		fd, errno = sys.Accept(l.reg.FD(), from)
		return errno == 0
	})
	if wait == 0 {
		return fd, errno, true
	}
	l.resting, l.scarce = true, false
	l.eng.srv.counters.acceptDelays.Add(1)
	l.reg.ExpireAt(l.eng.loop.Now() + wait)
	return -1, 0, false
}

// extras are what only some connections of Events have: limits of their rates, and the
// address that a PROXY header has announced.
type extras struct {
	announced socket.Addr // of the client; the zero Addr if there was no header with one

	read    rate.Bucket   // only the loop's goroutine uses it
	readAt  time.Duration // when to read again, on the loop's clock; 0 if reading does not wait
	write   rate.Bucket   // guarded by the connection's lock
	writeAt time.Duration // when to send again; 0 if sending does not wait; guarded by the connection's lock
}

// newExtras returns nil if the connection has none.
func newExtras(r *Rates, announced socket.Addr) *extras {
	if r.Read == 0 && r.Write == 0 && !announced.IsValid() {
		return nil
	}
	return &extras{announced: announced, read: rate.NewBucket(r.Read, r.ReadBurst), write: rate.NewBucket(r.Write, r.WriteBurst)}
}

// limitsWrite reports whether the connection's output is limited. All of it then goes
// through the queue.
func (r *extras) limitsWrite() bool { return r != nil && r.write.Limits() }

// mayRead returns how many of n bytes the connection may receive now. If it returns 0,
// the timer makes the connection go on.
func (c *Conn) mayRead(n int) int {
	r := c.extra
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
	if c.extra != nil {
		c.extra.read.Take(c.eng.loop.Elapsed(), n)
	}
}

// maySend returns how many of n queued bytes may leave now. If it returns 0, the queue is
// blocked until the timer makes it go on. It needs the lock.
func (c *Conn) maySend(n int) int {
	r := c.extra
	if r == nil {
		return n
	}
	most, at := r.write.Allow(c.eng.loop.Elapsed(), min(n, c.out.nextBytes()))
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
	if c.extra != nil {
		c.extra.write.Take(c.eng.loop.Elapsed(), n)
	}
}

// rateEnds returns when the connection may go on that waits for its rates, or 0.
func (c *Conn) rateEnds() time.Duration {
	r := c.extra
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
	r := c.extra
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
	if c.extra == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.extra.write.Time(c.queuedBytes())
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
