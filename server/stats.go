package server

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A traffic counts what goes through an engine. The loop's goroutine changes it, and
// other goroutines that send, so it is not contended.
type traffic struct{ bytesIn, bytesOut, packetsIn, packetsOut atomic.Uint64 }

// received counts n bytes of input.
func (t *traffic) received(n int) { t.bytesIn.Add(uint64(n)) }

// sent counts n bytes that the kernel has taken, and returns n, which is negative after
// an error.
func (t *traffic) sent(n int) int {
	if n > 0 {
		t.bytesOut.Add(uint64(n))
	}
	return n
}

// packetsReceived counts received datagrams.
func (t *traffic) packetsReceived(batch []socket.Message) {
	if len(batch) == 0 {
		return
	}
	n := 0
	for i := range batch {
		n += batch[i].N
	}
	t.packetsIn.Add(uint64(len(batch)))
	t.received(n)
}

// packetsSent counts datagrams that the kernel has taken.
func (t *traffic) packetsSent(batch []socket.Message) {
	if len(batch) == 0 {
		return
	}
	n := 0
	for i := range batch {
		n += len(batch[i].Buffers[0])
	}
	t.packetsOut.Add(uint64(len(batch)))
	t.sent(n)
}

// countEnd counts the bytes of a session that ends. The kernel has counted them: its
// goroutines would have to share a counter for each read and write.
func (x *Session) countEnd() {
	if info, err := tcpInfo(x.Registration()); err == nil {
		in, out := tcpBytes(info)
		t := &x.engine().traffic
		t.bytesIn.Add(in)
		t.bytesOut.Add(out)
	}
}

// tcpBytes returns how many bytes of data were received, and sent for the first time. The
// kernel counts the peer's FIN as a byte.
func tcpBytes(k *unix.TCPInfo) (in, out uint64) {
	in = k.Bytes_received
	switch k.State {
	case unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING, unix.BPF_TCP_TIME_WAIT:
		in -= min(in, 1)
	}
	return in, k.Bytes_sent - k.Bytes_retrans
}

// addTraffic adds what the engines have counted.
func (s *Server) addTraffic(to *Stats) {
	for _, e := range s.everyEngine() {
		to.BytesIn += e.traffic.bytesIn.Load()
		to.BytesOut += e.traffic.bytesOut.Load()
		to.PacketsIn += e.traffic.packetsIn.Load()
		to.PacketsOut += e.traffic.packetsOut.Load()
	}
}

// ListenerStats are what a listener for connections has counted.
type ListenerStats struct {
	Addr     socket.Addr // the address that the listener is bound to
	Accepted uint64      // connections that were accepted
	Refused  uint64      // of these, those that MaxConnsPerIP or Control has refused
	Resting  bool        // accepting pauses, because accept(2) fails repeatedly
}

// ListenerStats returns what each listener for connections has counted, in the order of
// Addrs. Listeners with the same address, as with ReusePort, count together.
func (s *Server) ListenerStats() (list []ListenerStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		i := slices.IndexFunc(list, func(x ListenerStats) bool { return x.Addr == l.addr })
		if i < 0 {
			i = len(list)
			list = append(list, ListenerStats{Addr: l.addr})
		}
		list[i].Accepted += l.accepted.Load()
		list[i].Refused += l.refused.Load()
		list[i].Resting = list[i].Resting || l.sleeps.Load()
	}
	return list
}

// LoopStats returns what each loop of the server has counted, in the order of
// Group.Loops. Before the server has started it returns nil.
func (s *Server) LoopStats() (list []loop.Stats) {
	for _, l := range s.loops() {
		list = append(list, l.Stats())
	}
	return list
}

// loops returns the loops that the server serves on, or nil before it has started.
func (s *Server) loops() []*loop.Loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group == nil {
		return nil
	}
	return s.group.Loops()
}

// A Stall is a turn of a loop that has lasted longer than Server.StallAfter.
type Stall struct {
	Loop  int           // index in Group.Loops
	Began time.Time     // when the watchdog first saw the turn
	For   time.Duration // how long it has lasted; within a quarter of StallAfter
	Over  bool          // the loop has gone on
	Stack string        // what held the loop up, the innermost function first
}

// mostStalls is how many stalls a server remembers.
const mostStalls = 32

// Stalls returns the last 32 stalls, the latest first. Without StallAfter there are none.
func (s *Server) Stalls() []Stall {
	s.mu.Lock()
	w := s.watchdog
	s.mu.Unlock()
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	list := slices.Clone(w.stalls)
	slices.Reverse(list)
	return list
}

// stalled remembers the beginning of a stall.
func (w *watchdog) stalled(x Stall) {
	w.srv.counters.stalls.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.stalls) == mostStalls {
		w.stalls = slices.Delete(w.stalls, 0, 1)
	}
	w.stalls = append(w.stalls, x)
	w.longest = max(w.longest, x.For)
}

// lasts notes how long the latest stall of a loop has lasted.
func (w *watchdog) lasts(loop int, held time.Duration, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest = max(w.longest, held)
	for i := len(w.stalls) - 1; i >= 0; i-- {
		if x := &w.stalls[i]; x.Loop == loop {
			x.For, x.Over = held, over
			return
		}
	}
}

// longestStall returns how long the longest stall has lasted.
func (s *Server) longestStall() time.Duration {
	s.mu.Lock()
	w := s.watchdog
	s.mu.Unlock()
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.longest
}

// addrOf returns the address of a descriptor by getsockname(2), or the zero Addr.
func addrOf(fd int) socket.Addr {
	var name sys.Sockaddr
	if sys.Getsockname(fd, &name) != 0 {
		return socket.Addr{}
	}
	return socket.AddrFromSockaddr(&name.Raw, name.Len).Unmap()
}
