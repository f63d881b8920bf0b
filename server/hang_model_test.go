package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A hangModel is a server whose callbacks do random things, and what they have to lead to:
// each byte that a client sends is a request, which Data consumes once, and all that the
// program writes to a connection arrives in order. The callbacks leave input only when
// something is bound to come that has Data called again.
type hangModel struct {
	t    *testing.T
	srv  *server.Server
	tls  bool
	file *os.File // has replyBytes

	mu    sync.Mutex
	talks []*talk
	tasks sync.WaitGroup // goroutines of callbacks
}

// A talk is one connection, from both ends.
type talk struct {
	number  int
	breaks  bool // one end resets it
	total   int  // how many requests the client sends
	rng     *rand.Rand
	c       *server.Conn // set by the first request
	ending  bool         // its end was begun by the program
	high    bool         // what Pressure said last
	asked   atomic.Int64 // requests that Data has consumed
	waits   bool         // the client ends its stream only when it has got everything
	closed  atomic.Int32
	arrived atomic.Int64 // bytes of replies that the client has read

	pieces, done atomic.Int64 // calls of WriteAsync, and of their completions

	mu      sync.Mutex
	sent    int64          // bytes that were written to it
	waiters []*server.Conn // they do not read until its queue is short
	over    bool           // Closed was called
}

// replyBytes has what is written: the byte at an offset depends on the offset alone.
const replyPeriod = 251

var replyBytes = func() []byte {
	p := make([]byte, replyPeriod+1<<20)
	for i := range p {
		p[i] = byte(i % replyPeriod)
	}
	return p
}()

// newHangModel returns a model with a server that has random bounds.
func newHangModel(t *testing.T, rng *rand.Rand, secure bool) *hangModel {
	m := &hangModel{t: t, tls: secure}
	one := func(values ...int) int { return values[rng.IntN(len(values))] }
	high := one(1, 300, 4<<10, 64<<10, 300<<10)
	m.srv = &server.Server{
		Chunk: one(1<<10, 4<<10, 64<<10), MaxInput: one(8<<10, 1<<20),
		HighWater: high, LowWater: one(1, 1+high/2, high),
		MaxOutput: high + one(200<<10, 2<<20), MaxMemory: int64(one(0, 1<<20)), MemoryPolicy: server.PauseReading,
		SendBuffer: one(0, 4<<10, 32<<10),
		Timeouts:   server.Timeouts{Linger: 24 * time.Hour},
		Events:     server.Events{Data: m.data, Pressure: m.pressure, Closed: m.closed},
	}
	if rng.IntN(4) == 0 {
		m.srv.Rates.Write, m.srv.Rates.WriteBurst = 300_000, one(0, 1000)
	}
	if rng.IntN(4) == 0 {
		m.srv.Rates.Read, m.srv.Rates.ReadBurst = 1000, one(1, 100)
	}
	if rng.IntN(2) == 0 {
		m.srv.Events.End = m.end
	}
	if secure {
		m.srv.TLS = serverTLS()
	}
	name := filepath.Join(t.TempDir(), "pattern")
	require.NoError(t, os.WriteFile(name, replyBytes, 0o600))
	var err error
	m.file, err = os.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { m.file.Close() })
	return m
}

// talk begins a new one. Its first request is its number.
func (m *hangModel) talk(rng *rand.Rand) *talk {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := &talk{number: len(m.talks), total: 1 + rng.IntN(mostShort), breaks: rng.IntN(8) == 0, rng: rand.New(rand.NewPCG(rng.Uint64(), 1))}
	u.waits = !u.breaks && rng.IntN(2) == 0
	if rng.IntN(4) == 0 {
		u.total = 1 + rng.IntN(4000)
	}
	m.talks = append(m.talks, u)
	return u
}

// mostShort is how many requests a talk has whose replies may be long.
const mostShort = 60

// find returns the talk of a connection, or nil before its first request.
func (m *hangModel) find(c *server.Conn) *talk { u, _ := c.User.(*talk); return u }

// other returns another talk, or the same, or nil.
func (m *hangModel) other(u *talk) *talk {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.talks[u.rng.IntN(len(m.talks))]
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.c == nil || x.over {
		return nil
	}
	return x
}

// requests are what the client of a talk sends.
func (u *talk) requests() []byte {
	p := bytes.Clone(replyBytes[:u.total])
	p[0] = byte(u.number)
	return p
}

// replySize draws how long a reply is.
func (u *talk) replySize(rng *rand.Rand) int {
	if u.total > mostShort {
		return rng.IntN(1000)
	}
	switch rng.IntN(20) {
	case 0:
		return rng.IntN(150 << 10)
	case 1, 2:
		return rng.IntN(40 << 10)
	case 3, 4, 5:
		return rng.IntN(4 << 10)
	}
	return rng.IntN(200)
}

// say writes n bytes to the connection of a talk in a random way. Any goroutine calls it.
func (m *hangModel) say(u *talk, n int, how uint32) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	from := int(u.sent % replyPeriod)
	p := replyBytes[from : from+n]
	var err error
	switch how % 8 {
	case 0, 1, 2:
		_, err = u.c.Write(p)
	case 3:
		_, err = u.c.WriteString(string(p))
	case 4:
		k := n / 3
		_, err = u.c.Writev([][]byte{p[:k], p[k : 2*k], p[2*k:]})
	case 5, 6:
		var once atomic.Bool
		if err = u.c.WriteAsync(p, func(error) {
			if once.Swap(true) {
				m.t.Error("a completion is called twice")
			}
			u.done.Add(1)
		}); err == nil {
			u.pieces.Add(1)
		}
	default:
		if m.tls {
			_, err = u.c.Write(p)
		} else {
			err = u.c.SendFile(m.file, int64(from), int64(n))
		}
	}
	if err == nil {
		u.sent += int64(n)
	}
	return err
}

// later calls f at another time: on another goroutine, or by a timer of the loop.
func (m *hangModel) later(u *talk, f func()) {
	c := u.c
	wait := time.Duration(u.rng.IntN(3000)) * time.Microsecond
	switch u.rng.IntN(3) {
	case 0:
		m.tasks.Go(f)
	case 1:
		m.tasks.Go(func() { time.Sleep(wait); f() })
	default:
		if _, err := c.Loop().AfterFunc(wait, f); err != nil {
			f()
		}
	}
}

func full(err error) bool {
	return errors.Is(err, server.ErrOutputFull) || errors.Is(err, server.ErrMemoryFull)
}

// data consumes requests. What it returns nil for without having consumed all, something
// is bound to call it again for.
func (m *hangModel) data(c *server.Conn) error {
	u := m.find(c)
	if u == nil {
		m.mu.Lock()
		u = m.talks[c.Peek(1)[0]]
		m.mu.Unlock()
		u.mu.Lock()
		u.c, c.User = c, u
		u.mu.Unlock()
	}
	for {
		if c.Queued() > m.srv.HighWater || c.Buffered() == 0 {
			return nil
		}
		k := 1
		if u.total > mostShort {
			k = min(1+u.rng.IntN(100), c.Buffered())
		}
		for _, b := range c.Next(k) {
			if n := u.asked.Add(1) - 1; n > 0 && b != byte(n%replyPeriod) {
				return fmt.Errorf("request %d of talk %d is %d", n, u.number, b)
			}
		}
		if err := m.say(u, u.replySize(u.rng), u.rng.Uint32()); err != nil && !full(err) { // then this one has no reply
			return m.refused(u, err)
		}
		if u.rng.IntN(3) == 0 && m.mischief(u) {
			return nil
		}
	}
}

// refused returns nil if the program has closed the connection, or has broken it.
func (m *hangModel) refused(u *talk, err error) error {
	if u.ending || u.breaks {
		return nil
	}
	return err
}

// mischief does something at random. If it returns true, Data is bound to be called again,
// and returns.
func (m *hangModel) mischief(u *talk) (leave bool) {
	c := u.c
	switch u.rng.IntN(9) {
	case 0:
		c.Wake()
		return u.rng.IntN(2) == 0
	case 1:
		m.later(u, c.Wake)
	case 2:
		c.PauseRead()
		c.ResumeRead()
		return true
	case 3:
		c.PauseRead()
		m.later(u, c.ResumeRead)
		return u.rng.IntN(2) == 0
	case 4: // another goroutine writes
		n, how := u.replySize(u.rng), u.rng.Uint32()
		m.later(u, func() { _ = m.say(u, n, how) })
	case 5, 6: // to another connection, which must not become too slow
		x := m.other(u)
		if x == nil {
			return false
		}
		_ = m.say(x, u.replySize(u.rng), u.rng.Uint32())
		x.mu.Lock()
		defer x.mu.Unlock()
		if !x.over && x.c.Queued() > m.srv.HighWater {
			c.PauseRead()
			x.waiters = append(x.waiters, c)
			return true
		}
	case 7: // a callback of another connection has this one resumed
		if x := m.other(u); x != nil {
			c.PauseRead()
			x.mu.Lock()
			defer x.mu.Unlock()
			if x.over {
				c.ResumeRead()
			} else {
				x.waiters = append(x.waiters, c)
				x.c.PauseRead()
				m.later(u, func() { x.c.ResumeRead(); m.resume(x) })
			}
			return true
		}
	case 8:
		if u.breaks && u.rng.IntN(4) == 0 {
			u.ending = true
			m.later(u, []func(){c.Abort, c.Close, c.CloseWrite}[u.rng.IntN(3)])
		}
	}
	return false
}

// resume has those read again that have waited for a talk.
func (m *hangModel) resume(u *talk) {
	u.mu.Lock()
	list := u.waiters
	u.waiters = nil
	u.mu.Unlock()
	for _, c := range list {
		c.ResumeRead()
	}
}

// pressure is called in turn with true and false. Who has found the queue too long waits for
// the call with false.
func (m *hangModel) pressure(c *server.Conn, on bool) {
	u := m.find(c)
	if u == nil || on == u.high {
		m.t.Errorf("Pressure(%v) of %v is not in turn", on, c.RemoteAddr())
		return
	}
	if u.high = on; !on {
		m.resume(u)
	}
}

// end is called after the last request.
func (m *hangModel) end(c *server.Conn) error {
	u := m.find(c)
	c.Discard(c.Buffered())
	if u == nil {
		return errors.New("End before the first request")
	}
	m.complete(u)
	u.ending = true
	end := c.Close
	if u.rng.IntN(2) == 0 {
		end = c.CloseWrite
	}
	if u.rng.IntN(2) == 0 {
		end()
	} else {
		m.later(u, end)
	}
	return nil
}

// complete checks that Data has had every request.
func (m *hangModel) complete(u *talk) {
	if !u.breaks && (u.asked.Load() != int64(u.total)) {
		m.t.Errorf("talk %d ends after %d of %d requests", u.number, u.asked.Load(), u.total)
	}
}

func (m *hangModel) closed(c *server.Conn, err error) {
	u := m.find(c)
	if u == nil {
		return // it was reset before its first request
	}
	if u.closed.Add(1) > 1 {
		m.t.Error("Closed is called twice")
	}
	if m.complete(u); !u.breaks && err != nil && err.Error() != "EOF" {
		m.t.Errorf("talk %d ends with %v", u.number, err)
	}
	if u.pieces.Load() != u.done.Load() {
		m.t.Errorf("talk %d: %d pieces, %d completions", u.number, u.pieces.Load(), u.done.Load())
	}
	u.mu.Lock()
	u.over = true
	u.mu.Unlock()
	m.resume(u)
}

// satisfied reports whether nothing is left to do.
func (u *talk) satisfied() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked.Load() == int64(u.total) && u.arrived.Load() == u.sent && u.pieces.Load() == u.done.Load()
}

// client is the other end of a talk.
func (m *hangModel) client(u *talk, c net.Conn, rng *rand.Rand, unit time.Duration) {
	pause := func() {
		if rng.IntN(2) == 0 {
			time.Sleep(time.Duration(rng.Int64N(int64(unit))))
		}
	}
	writer := rand.New(rand.NewPCG(rng.Uint64(), 2))
	urgent := writer.IntN(u.total)
	var sent sync.WaitGroup
	sent.Go(func() {
		p := u.requests()
		for first := true; len(p) > 0; first = false {
			n := min(1+writer.IntN(20), len(p))
			if u.total > mostShort {
				n = min(20*n, len(p))
			}
			if _, err := c.Write(p[:n]); err != nil {
				if !u.breaks {
					m.t.Errorf("talk %d: %v", u.number, err)
				}
				return
			}
			if p = p[n:]; writer.IntN(3) == 0 {
				time.Sleep(time.Duration(writer.Int64N(int64(unit))))
			}
			if done := u.total - len(p); !first && done-n <= urgent && urgent < done {
				sendUrgent(c)
			}
		}
		for u.waits && !u.satisfied() && u.closed.Load() == 0 {
			time.Sleep(unit)
		}
		if x, ok := c.(interface{ CloseWrite() error }); ok {
			_ = x.CloseWrite() // it fails if the other end has ended the connection
		}
	})
	defer c.Close()
	defer sent.Wait()
	pause()
	resetAt := int64(-1)
	if u.breaks && rng.IntN(2) == 0 {
		resetAt = rng.Int64N(20 << 10)
	}
	buf := make([]byte, []int{100, 4 << 10, 64 << 10}[rng.IntN(3)])
	for {
		n, err := c.Read(buf[:1+rng.IntN(len(buf))])
		from := int(u.arrived.Load() % replyPeriod)
		if !bytes.Equal(buf[:n], replyBytes[from:from+n]) {
			m.t.Errorf("talk %d: wrong bytes after %d", u.number, u.arrived.Load())
			return
		}
		u.arrived.Add(int64(n))
		if err != nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			if !u.breaks && (err.Error() != "EOF" || u.arrived.Load() != u.sent) {
				m.t.Errorf("talk %d: the client got %d of %d bytes: %v", u.number, u.arrived.Load(), u.sent, err)
			}
			return
		}
		if resetAt >= 0 && u.arrived.Load() >= resetAt {
			if x, ok := c.(interface{ SetLinger(int) error }); ok {
				_ = x.SetLinger(0)
			}
			return
		}
		if rng.IntN(8) == 0 {
			pause()
		}
	}
}

// sendUrgent sends a byte that is not one of the stream, if the connection can.
func sendUrgent(c net.Conn) {
	if x, ok := c.(*net.TCPConn); ok {
		raw, err := x.SyscallConn()
		if err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.Sendto(int(fd), []byte{'!'}, unix.MSG_OOB, nil) })
		}
	}
}

// state describes what has not ended.
func (m *hangModel) state() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b bytes.Buffer
	for _, u := range m.talks {
		if u.closed.Load() > 0 {
			continue
		}
		u.mu.Lock()
		queued := -1
		if u.c != nil {
			queued = u.c.Queued()
		}
		fmt.Fprintf(&b, "talk %d: %d of %d requests, %d of %d bytes have arrived, %d are queued, %d waiters, pressure %v, %d of %d completions\n",
			u.number, u.asked.Load(), u.total, u.arrived.Load(), u.sent, queued, len(u.waiters), u.high, u.done.Load(), u.pieces.Load())
		u.mu.Unlock()
	}
	fmt.Fprintf(&b, "%+v\nhigh %d, low %d, output %d, chunk %d, rates %+v, memory %d", m.srv.Stats(), m.srv.HighWater, m.srv.LowWater, m.srv.MaxOutput, m.srv.Chunk, m.srv.Rates, m.srv.MaxMemory)
	for _, info := range m.srv.Inspect(10) {
		fmt.Fprintf(&b, "\n%+v", info)
	}
	return b.String()
}
