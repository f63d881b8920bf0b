package server

import (
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// defaultGrace is Timeouts.Grace if only MinRate is set.
const defaultGrace = 10 * time.Second

// ofRate is TimeoutError.Of for MinRate.
const ofRate = "rate"

// A window counts the bytes that a peer has sent, or has taken, during Timeouts.Grace.
// The zero window has not begun.
type window struct {
	since time.Duration // when it began, on the loop's clock
	bytes int
}

// begin begins a window if there is none.
func (w *window) begin(now time.Duration) {
	if w.since == 0 {
		*w = window{since: max(now, 1)}
	}
}

// passed begins the next window if this one is over and the peer was fast enough.
func (w *window) passed(now time.Duration, t *Timeouts) {
	if w.since != 0 && now >= w.since+t.Grace && int64(w.bytes) >= t.leastBytes() {
		*w = window{since: now}
	}
}

// leastBytes returns how many bytes a peer must move during Grace.
func (t *Timeouts) leastBytes() int64 {
	return int64(float64(t.MinRate) * t.Grace.Seconds())
}

// rateWindows begins new windows for the directions in which the peer was fast enough.
// It does not touch those in which it was not, so due finds their end.
func (c *Conn) rateWindows(now time.Duration) {
	t := c.timeouts
	if t.MinRate == 0 {
		return
	}
	if c.in != nil {
		c.in.rate.passed(now, t)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		c.out.rate.passed(now, t)
	}
}

// A sessionRate checks the rate of a session's peer while its Handler runs. It asks the
// kernel for the bytes, because the Handler receives and sends by itself.
type sessionRate struct {
	timer *loop.Timer
	armed atomic.Bool
	slow  atomic.Bool // the peer was too slow: that ends the session

	// What the last check has found. Only the timer uses it.
	call            uint32 // the number of the call of Begin or Handler
	reads, writes   bool   // the call waited to receive, or to send
	received, acked uint64 // bytes
}

// watchRate makes the timer check the rate while a call of Begin or Handler is in
// progress.
func (x *Session) watchRate() {
	r := x.rate
	x.calls.Add(1)
	if !r.armed.Load() && !r.armed.Swap(true) {
		r.timer.Reset(x.engine().service.Timeouts.Grace)
	}
}

// checkRate is called by the timer. If the same call of the program was waiting for the
// peer at the last check and waits now, and the peer has moved too few bytes meanwhile,
// checkRate closes the Socket, which ends the call.
func (x *Session) checkRate() {
	r := x.rate
	state := x.state.Load() & sessionStates
	if state != sessionRunning {
		r.armed.Store(false)
		if x.state.Load()&sessionStates == sessionRunning && !r.armed.Swap(true) { // watchRate has come in between
			r.timer.Reset(x.engine().service.Timeouts.Grace)
		}
		r.reads, r.writes = false, false
		return
	}
	t := x.engine().service.Timeouts
	reg := x.Registration()
	info, err := tcpInfo(reg)
	if err != nil { // the Socket is closed, or is not one of TCP
		return
	}
	reads, writes, call := reg.Waits(loop.Read), reg.Waits(loop.Write), x.calls.Load()
	if call == r.call {
		least := uint64(t.leastBytes())
		if reads && r.reads && info.Bytes_received-r.received < least || writes && r.writes && info.Bytes_acked-r.acked < least {
			r.slow.Store(true)
			_ = x.Socket.Close()
			return
		}
	}
	r.call, r.reads, r.writes = call, reads, writes
	r.received, r.acked = info.Bytes_received, info.Bytes_acked
	r.timer.Reset(t.Grace)
}

// tcpInfo returns TCP_INFO: tcp(7). An older kernel leaves the fields that it does not know
// at 0.
func tcpInfo(reg *loop.Registration) (*unix.TCPInfo, error) {
	if err := reg.Use(); err != nil {
		return nil, err
	}
	defer reg.Done()
	return sys.GetsockoptTCPInfo(reg.FD(), unix.IPPROTO_TCP, unix.TCP_INFO)
}
