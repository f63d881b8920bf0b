package server

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A MemoryPolicy says what happens when seven eighths of Server.MaxMemory are used.
type MemoryPolicy uint8

const (
	// EndLargest ends the connections that hold most, with ErrMemoryFull, until three
	// quarters of MaxMemory are used. Their peers see a reset. So the connections that
	// hold little go on, and clients that never finish a request, or never read, cannot
	// stop the server.
	EndLargest MemoryPolicy = iota
	// PauseReading makes the server read from no connection until less is used. No
	// connection ends. But nothing else frees the memory of clients that never finish a
	// request, or never read: set Timeouts.Read and Timeouts.Write, too, or MinRate.
	PauseReading
)

// A memory counts what the connections of a server hold. Each engine counts changes
// by itself, and adds them to the total when they are memoryBatch bytes, so that the
// loops seldom write the same word.
type memory struct {
	most    int64 // Server.MaxMemory
	high    int64 // from here on the policy acts
	low     int64 // EndLargest ends connections until so much is used
	total   atomic.Int64
	wanted  atomic.Int64 // the most bytes that a connection has asked for and not got since EndLargest last ended some
	seeking atomic.Bool  // the engines look for the largest connections
	again   atomic.Bool  // relieve was called meanwhile
}

const (
	memoryBatch = 64 << 10
	leastMemory = 1 << 20

	// starvedPause is when a connection is read again that was not read because of
	// MaxMemory.
	starvedPause = 5 * time.Millisecond

	// largestPerEngine is how many connections of one engine EndLargest compares. If it
	// ends all of them and that is not enough, it looks again.
	largestPerEngine = 64
)

// checkMemory sets the bounds of the memory.
func (s *Server) checkMemory() error {
	switch {
	case s.MaxMemory < 0, s.MaxMemory > 0 && s.MaxMemory < leastMemory:
		return fmt.Errorf("server: Server.MaxMemory is %d: it is 0, or %d at least", s.MaxMemory, leastMemory)
	case s.MemoryPolicy > PauseReading:
		return fmt.Errorf("server: Server.MemoryPolicy is %d: it is EndLargest or PauseReading", s.MemoryPolicy)
	}
	if s.MaxMemory == 0 {
		s.MaxMemory = max(usableMemory()/4, leastMemory)
	}
	s.memory.most = s.MaxMemory
	s.memory.high, s.memory.low = s.MaxMemory/8*7, s.MaxMemory/4*3
	return nil
}

// usableMemory returns how many bytes the process may use: the memory of the machine,
// or the limit of the control group (cgroups(7), version 2), or GOMEMLIMIT.
func usableMemory() int64 {
	limit := debug.SetMemoryLimit(-1)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		if ram := uint64(info.Totalram) * uint64(info.Unit); ram < math.MaxInt64 {
			limit = min(limit, int64(ram))
		}
	}
	own, _ := os.ReadFile("/proc/self/cgroup") // without it there is no limit to read
	for line := range strings.Lines(string(own)) {
		group, found := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !found {
			continue
		}
		text, _ := os.ReadFile("/sys/fs/cgroup" + group + "/memory.max")
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // otherwise it is "max"
			limit = min(limit, n)
		}
	}
	return limit
}

// hold adds n bytes, which may be negative, to what the connections hold. Any
// goroutine may call it, also with the lock of a connection.
func (e *engine) hold(n int) {
	if n == 0 {
		return
	}
	if n := e.held.Add(int64(n)); -memoryBatch < n && n < memoryBatch {
		return
	}
	s := e.srv
	if s.memory.total.Add(e.held.Swap(0)) > s.memory.high {
		e.relieve(0)
	}
}

// held returns how many bytes the connections hold.
func (s *Server) held() int64 {
	n := s.memory.total.Load()
	for _, e := range s.everyEngine() {
		n += e.held.Load()
	}
	return n
}

// fits reports whether MaxMemory has room for n more bytes.
func (e *engine) fits(n int) bool {
	m := &e.srv.memory
	return m.total.Load()+int64(n) <= m.most
}

// mayRead reports whether MaxMemory lets connections be read.
func (e *engine) mayRead() bool {
	m := &e.srv.memory
	if e.srv.MemoryPolicy == PauseReading {
		return m.total.Load() <= m.high
	}
	return m.total.Load() <= m.most
}

// weighInput counts the memory of the input that the callbacks have left.
func (c *Conn) weighInput() {
	in := c.in
	c.eng.hold(cap(in.buf) - in.counted)
	in.counted = cap(in.buf)
}

// weighOutput counts the memory of the queue. It needs the connection's lock.
func (c *Conn) weighOutput() {
	if o := c.out; o != nil {
		n := o.room + o.whole + pieceCost*(o.pieces.n+o.finished.n)
		if o.sealed != nil {
			n += cap(o.sealed.cipher)
		}
		c.eng.hold(n - o.counted)
		o.counted = n
	}
}

// starve reads the connection again after a pause. Meanwhile its peer is not silent:
// Timeouts.FirstByte and Idle begin anew.
func (e *engine) starve(c *Conn) {
	c.active = e.loop.Elapsed()
	if c.starving {
		return
	}
	c.starving = true
	e.starving = append(e.starving, c)
	if len(e.starving) == 1 {
		_, _ = e.loop.AfterFunc(starvedPause, e.feed) // a closed loop ends the connections
	}
}

// settle adds to the total what the engines have counted and not added: less than
// memoryBatch each, but together it may be all of a small MaxMemory.
func (s *Server) settle() {
	for _, e := range s.everyEngine() {
		if n := e.held.Swap(0); n != 0 {
			s.memory.total.Add(n)
		}
	}
}

// feed reads the connections that were not read because of MaxMemory.
func (e *engine) feed() {
	e.srv.settle() // engines without anything to do would never add that memory was freed
	if e.srv.memory.total.Load() > e.srv.memory.high {
		e.relieve(0)
	}
	for i, c := range e.starving {
		c.starving = false
		c.reg.Poke()
		e.starving[i] = nil
	}
	e.starving = e.starving[:0]
}

// relieve makes all engines look for their largest connections, and then ends the largest
// of them, so that there is room for n bytes. If the engines look already, they may have
// passed what the caller has counted, so endLargest has them look again.
func (e *engine) relieve(n int) {
	s := e.srv
	if s.MemoryPolicy != EndLargest {
		return
	}
	for old := s.memory.wanted.Load(); int64(n) > old && !s.memory.wanted.CompareAndSwap(old, int64(n)); {
		old = s.memory.wanted.Load()
	}
	if s.memory.again.Store(true); s.memory.seeking.Swap(true) {
		return
	}
	s.memory.again.Store(false)
	// The caller may hold the lock of a connection, so another turn does the work.
	if e.post(s.seekLargest) != nil {
		s.memory.seeking.Store(false)
	}
}

// A holder is a connection and the bytes that it holds.
type holder struct {
	c     *Conn
	x     *Session // instead of c
	bytes int
}

// seekLargest asks each engine for its largest connections. The last answer ends the
// largest of all.
func (s *Server) seekLargest() {
	engines := s.everyEngine()
	var mu sync.Mutex
	var all []holder
	missing := len(engines)
	answer := func(some []holder) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, some...)
		if missing--; missing == 0 {
			s.endLargest(all)
		}
	}
	for _, e := range engines {
		if e.post(func() { answer(e.largest()) }) != nil {
			answer(nil) // the loop was closed
		}
	}
}

// largest returns the connections of the engine that hold most, the largest first.
func (e *engine) largest() (some []holder) {
	for c := e.conns; c != nil; c = c.next {
		if n := c.holds(); n > 0 {
			some = insertHolder(some, holder{c: c, bytes: n})
		}
	}
	return e.largestSessions(some)
}

// end makes the connection end with ErrMemoryFull. It returns false if the connection is
// a session that runs, or is about to end.
func (h holder) end() bool {
	if h.x != nil {
		if !h.x.claim() {
			return false
		}
		h.x.hook.Loop().Spawn((*squeezed)(h.x))
		return true
	}
	if h.c.signals.Load()&memoryAsked != 0 {
		return false
	}
	h.c.ask(memoryAsked)
	return true
}

// peer returns the address of the connection's peer.
func (h holder) peer() socket.Addr {
	if h.x != nil {
		return h.x.RemoteAddr()
	}
	return h.c.RemoteAddr()
}

// holds returns how many bytes the connection holds, on its loop.
func (c *Conn) holds() (n int) {
	if c.in != nil {
		n = c.in.counted
	}
	if s := c.secure(); s != nil {
		n += int(s.counted.Load())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		n += c.out.counted
	}
	return n
}

// insertHolder inserts h into a list that begins with the largest and has
// largestPerEngine elements at most.
func insertHolder(list []holder, h holder) []holder {
	if len(list) >= largestPerEngine {
		if list[len(list)-1].bytes >= h.bytes {
			return list
		}
		list = list[:len(list)-1]
	}
	list = append(list, h)
	for i := len(list) - 1; i > 0 && list[i-1].bytes < h.bytes; i-- {
		list[i-1], list[i] = list[i], list[i-1]
	}
	return list
}

// endLargest ends the largest connections of the list, until little enough is left.
func (s *Server) endLargest(all []holder) {
	defer func() {
		s.memory.seeking.Store(false)
		if s.memory.again.Load() {
			s.everyEngine()[0].relieve(0)
		}
	}()
	slices.SortFunc(all, func(a, b holder) int { return b.bytes - a.bytes })
	m, held := &s.memory, s.held()
	excess := held + m.wanted.Swap(0) - m.most
	if held > m.high {
		excess = max(excess, held-m.low)
	}
	for _, h := range all {
		if excess <= 0 {
			return
		}
		peer := h.peer()
		if h.end() {
			s.counters.ended.Add(1)
			s.Log.Warn("server: the memory for connections is full: the largest connection ends", "peer", peer, "bytes", h.bytes)
		} else if h.x != nil {
			continue // its Handler may go on for long
		}
		excess -= int64(h.bytes)
	}
}
