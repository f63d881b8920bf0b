package poller

import (
	"math"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// An alarm ends a wait at a deadline, for both strategies: a timerfd(2) in the
// epoll set. It strikes within microseconds, where the timeout of the Go
// scheduler's own poll is rounded to milliseconds, and any goroutine can move
// it with one system call, without waking the waiter.
//
// Times are nanoseconds since base.
type alarm struct {
	fd   int
	base time.Time

	mu    sync.Mutex
	due   int64 // when the current wait, or the next one, is to end
	armed int64 // when the descriptor will become readable
	near  int64 // the last such time that within has set
}

// never is a time that does not come.
const never = math.MaxInt64

func (a *alarm) open() (err error) {
	a.base, a.due, a.armed, a.near = time.Now(), never, never, 0
	a.fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	return os.NewSyscallError("timerfd_create", err)
}

func (a *alarm) now() int64 { return int64(time.Since(a.base)) }

// hasten moves the end of the wait to t, if it is later now.
func (a *alarm) hasten(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.due = min(a.due, max(int64(t.Sub(a.base)), 0)) // arm subtracts from it
	return a.arm()
}

// arm sees to it that the descriptor strikes no later than due. Setting it is a
// system call, so an earlier time is left to strike in vain, once, rather than
// moved with every wait.
func (a *alarm) arm() error {
	if a.due >= a.armed {
		return nil
	}
	return a.set(max(a.due-a.now(), 1), a.due)
}

// within sees to it that the descriptor strikes before d is over, or has been
// set so and has yet to strike.
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
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(left)}
	if err := unix.TimerfdSettime(a.fd, 0, &spec, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	a.armed = t
	return nil
}

// struck takes note that the descriptor became readable, and reports whether
// the wait is to end. If not, the alarm is set for when it is.
func (a *alarm) struck() (end bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.armed <= now {
		a.armed = never // else it has been set anew since it struck
	}
	if a.due <= now {
		return true, nil
	}
	return false, a.arm()
}

// reset forgets the wait that has ended.
func (a *alarm) reset() {
	a.mu.Lock()
	a.due = never
	a.mu.Unlock()
}
