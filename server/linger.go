package server

import (
	"math"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A farewell decides when the loop may close the descriptor of a connection for which
// the program has called Close.
//
// First the queued output leaves. close(2) then could still lose it: while input is
// unread, or if the peer sends more, close(2) makes TCP send a reset, and a reset
// destroys data that the peer has not received yet. So the connection lingers: it
// ends its own stream, discards what arrives, and waits until the peer has
// acknowledged everything or has ended its stream, too.
//
// epoll does not report acknowledgements. The farewell asks the kernel 1, 2, 4 ...
// 128 ms after the lingering began, and then every 100 ms.
type farewell struct {
	limit     time.Duration // Timeouts.Linger
	deadline  time.Duration // when to give up, on the loop's clock
	lingering bool          // all output has left
	since     time.Duration // when all output had left
	checks    int           // how many of the planned checks are over
	active    bool          // the peer has sent something since the last check
}

// A verdict says what to do with the connection of a farewell.
type verdict uint8

const (
	keepWaiting verdict = iota
	delivered           // the peer has everything: close
	lingerOver          // the deadline has passed: give up
)

// slowChecks is the number of checks after which the interval stays at 100 ms.
const slowChecks = 7

// newFarewell returns a farewell that begins now and may last for limit.
func newFarewell(now, limit time.Duration) *farewell {
	f := &farewell{limit: limit, deadline: now + limit}
	if f.deadline < now { // the sum is beyond the clock's end
		f.deadline = math.MaxInt64
	}
	return f
}

// linger notes that all output has left.
func (f *farewell) linger(now time.Duration) { f.lingering, f.since = true, now }

// next returns when to call check: when to ask the kernel again, or the deadline.
func (f *farewell) next() time.Duration {
	if !f.lingering {
		return f.deadline
	}
	after := time.Duration(1)<<min(f.checks, slowChecks) + 100*time.Duration(max(f.checks-slowChecks, 0))
	return min(f.since+after*time.Millisecond, f.deadline)
}

// received notes that the peer has sent input, which the program does not read any
// more. close(2) would send that peer a reset, so the checks slow down.
func (f *farewell) received() { f.active, f.checks = true, max(f.checks, slowChecks) }

// check asks the kernel about the connection if it is time for that, and returns what
// to do.
func (f *farewell) check(fd int, now time.Duration) verdict {
	switch {
	case now >= f.deadline:
		return lingerOver
	case now < f.next():
		return keepWaiting
	case !f.active && acknowledged(fd):
		return delivered
	}
	f.active = false
	f.checks++
	return keepWaiting
}

// acknowledged reports whether the peer's kernel has acknowledged everything
// that was sent on a TCP socket: SIOCOUTQ, see tcp(7). If the kernel cannot tell, it
// returns true, because there is nothing to wait for.
func acknowledged(fd int) bool {
	n, err := sys.IoctlGetInt(fd, unix.SIOCOUTQ)
	return err != nil || n == 0
}

// unread reports whether the kernel holds input for the descriptor. It asks the
// kernel, because an event about new input may still be on its way.
func unread(fd int) bool {
	var b [1]byte
	n, _ := sys.Recv(fd, b[:], unix.MSG_PEEK)
	return n > 0
}

// resetOnClose makes close(2) of a TCP connection send a reset: it sets
// SO_LINGER to zero seconds, see socket(7).
func resetOnClose(reg *loop.Registration) {
	if reg.Use() != nil {
		return // it is closed already
	}
	defer reg.Done()
	_ = sys.SetLinger(reg.FD(), 0)
}
