//go:build linux

package poller

import (
	"math"
	"os"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
)

// An alarm ends a Wait at a deadline, for both strategies. It is a timerfd(2) in the
// epoll set, and is exact to some microseconds, where the scheduler's own poll rounds
// its timeout to milliseconds. Any goroutine can move it with one system call, without
// waking the waiter.
//
// Times are nanoseconds since base.
type alarm struct {
	fd   int
	base time.Time

	mu    sync.Mutex
	due   int64 // when the Wait in progress, or the next one, is to end
	armed int64 // when the descriptor becomes readable
	near  int64 // the last such time that within has set
}

// never is a time that never comes.
const never = math.MaxInt64

func (a *alarm) open(k sys.Kernel) (err error) {
	a.base, a.due, a.armed, a.near = time.Now(), never, never, 0
	a.fd, err = sys.TimerfdCreate(k)
	return os.NewSyscallError("timerfd_create", err)
}

func (a *alarm) now() int64 { return int64(time.Since(a.base)) }

// hasten moves the end of the Wait to t, if t is earlier.
func (a *alarm) hasten(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due = min(a.due, max(int64(t.Sub(a.base)), 0)) // arm subtracts from it
	return a.arm()
}

// arm has the descriptor become readable no later than due. Moving it is a system
// call, so a time that is earlier than due stays: it expires once without use, which
// costs less than a system call with each Wait.
func (a *alarm) arm() error {
	if a.due >= a.armed {
		return nil
	}
	return a.set(max(a.due-a.now(), 1), a.due)
}

// within has the descriptor become readable before d is over. If an earlier call has
// set it and it has not expired since, it stays.
func (a *alarm) within(d time.Duration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.armed <= a.near {
		return nil
	}
	t := a.now() + int64(d)
	a.near = t
	if t >= a.armed {
		return nil
	}
	return a.set(int64(d), t)
}

func (a *alarm) set(left, t int64) error {
	if err := sys.TimerfdSettime(a.fd, time.Duration(left)); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	a.armed = t
	return nil
}

// expired is called when the descriptor has become readable. It reports whether the
// Wait is to end; if not, it arms the alarm for the time when it is.
func (a *alarm) expired() (end bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.armed <= now {
		a.armed = never // else it was set anew since it expired
	}
	if a.due <= now {
		return true, nil
	}
	return false, a.arm()
}

// reset forgets the deadline of the Wait that has ended.
func (a *alarm) reset() {
	a.mu.Lock()
	a.due = never
	a.mu.Unlock()
}
