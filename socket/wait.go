package socket

import (
	"runtime"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// wait makes a system call that may have to wait. try makes the call once; its
// EAGAIN means that it should be made again when the direction is ready. more
// says whether another call might succeed without waiting. When the read side
// is shut and nothing is left, wait returns nil without try's having succeeded.
func (s *Socket) wait(d loop.Direction, limit time.Duration, try func(fd int) (more bool, errno syscall.Errno)) error {
	return s.waitTurn(d, limit, turn{}, func(fd int, _ bool) (bool, syscall.Errno) { return try(fd) })
}

// A turn is what is special in a call while it has the turn.
type turn struct {
	// first comes before the system call and any wait for it. It reports
	// whether that is the whole call; an error is that, too.
	first func() (done bool, err error)
	// expired comes when the time is up, and the last try found nothing.
	expired func()
	// sign is what tells the call to try again.
	sign sign
	// after says that the same call has received something before: an error is
	// then left to the next call, which may have the turn at once.
	after bool
}

type sign bool

const (
	readiness sign = false
	patience  sign = true // nothing but time: the kernel does not report it
)

// waitTurn is wait for calls that do more in their turn, or whose result
// depends on whether they have waited.
func (s *Socket) waitTurn(d loop.Direction, limit time.Duration, t turn, try func(fd int, waited bool) (more bool, errno syscall.Errno)) error {
	reg := &s.core.reg
	call := loop.Call{Timeout: limit, Context: s.ctx}
	ready, err := reg.Begin(d, &call)
	if err == nil {
		more, done := ready, false
		if t.first != nil {
			done, err = t.first()
		}
		if !done && err == nil {
			more, err = s.core.attempt(d, &call, ready, t, try)
		}
		if t.after {
			s.core.leave(err)
		}
		reg.End(d, more)
	}
	runtime.KeepAlive(s)
	return err
}

// attempt is what every call does that has the turn: try, park, and try again.
// It is the one place that does.
func (c *core) attempt(d loop.Direction, call *loop.Call, ready bool, t turn, try func(fd int, waited bool) (bool, syscall.Errno)) (more bool, err error) {
	fd := c.reg.FD()
	errno := unix.EAGAIN
	var retry backoff
	ready = ready || t.sign == patience ||
		d == loop.Read && c.lowWater.Load() > 1 // less than SO_RCVLOWAT may be there, which is not reported
	for waited := false; ; waited = true {
		if ready {
			if more, errno = try(fd, waited); errno != unix.EAGAIN {
				break
			}
			if d == loop.Read && c.reg.Broken() && polled(fd, unix.POLLRDHUP) {
				// A datagram socket or a unix listener whose read side is shut
				// says EAGAIN for ever; only a blocking call is told of the
				// end. All that came before that is there for one more try.
				if more, errno = try(fd, true); errno == unix.EAGAIN {
					more, errno = true, 0 // no event tells the next call
				}
				break
			}
		}
		switch {
		case t.sign == patience:
			err = retry.pause(&c.reg, d, call)
		case d == loop.Write && c.family == Unix && c.typ != Dgram:
			err = c.reg.WaitAtMost(d, call, unreadCheck)
		default:
			err = c.reg.Wait(d, call)
		}
		if err != nil {
			if err == loop.ErrTimeout {
				// What came at the last moment, or before a call that may not
				// wait at all, is not passed by.
				more, errno = try(fd, true)
				if errno == unix.EAGAIN && t.expired != nil {
					t.expired()
				}
			}
			break
		}
		ready = true
	}
	switch errno {
	case 0:
		return more, nil
	case unix.EAGAIN:
		return more, err
	}
	return more, errno
}

// unreadCheck is how often a blocked sender of a connected unix socket asks
// whether its peer has shut its read side: the kernel wakes a blocking send
// then, but does not report it as an event.
const unreadCheck = 100 * time.Millisecond

// A backoff is for conditions that the kernel does not report: a unix socket
// whose peer has a full queue. It is asked again, at growing intervals.
type backoff struct{ next time.Duration }

const (
	firstRetry = time.Millisecond
	lastRetry  = 16 * time.Millisecond
)

func (b *backoff) pause(reg *loop.Blocking, d loop.Direction, call *loop.Call) error {
	pause := max(b.next, firstRetry)
	b.next = min(2*pause, lastRetry)
	return reg.Pause(d, call, pause)
}

// once makes a system call that must not wait, whoever else is at work on the
// socket.
func (s *Socket) once(try func(fd int) (int, syscall.Errno)) (int, error) {
	defer runtime.KeepAlive(s)
	if err := s.core.reg.Use(); err != nil {
		return 0, err
	}
	n, errno := try(s.core.reg.FD())
	s.core.reg.Unsure()
	s.core.reg.Done()
	if errno != 0 {
		return n, errno
	}
	return n, nil
}

// settle ends a call that may have transferred something before it failed: then
// the count is its result, and the error, if the kernel would keep it, is owed
// to the next call. A unix socket's error the kernel drops.
func (c *core) settle(n int, err error) (int, error) {
	if n == 0 || err == nil {
		return n, err
	}
	if errno, ok := err.(syscall.Errno); ok && errno != unix.EPIPE && c.family != Unix {
		c.owed.Store(uint32(errno))
	}
	return n, nil
}

// leave leaves an error to the next call, whoever makes it, if it is the kernel's.
func (c *core) leave(err error) {
	if errno, ok := err.(syscall.Errno); ok && errno != unix.EAGAIN {
		c.owed.Store(uint32(errno))
	}
}

// takeOwed is the error that an earlier call had no way to report, once. A
// closed socket has none: that it is closed is what its calls say.
func (c *core) takeOwed() error {
	if c.owed.Load() == 0 || c.reg.Use() != nil {
		return nil
	}
	defer c.reg.Done()
	if errno := syscall.Errno(c.owed.Swap(0)); errno != 0 {
		return errno
	}
	return nil
}

// owes reports whether an error is owed to a receive: on a stream, what is
// queued comes before it.
func (c *core) owes() bool {
	if c.owed.Load() == 0 {
		return false
	}
	if !c.stream() || c.reg.Use() != nil {
		return true
	}
	n := queued(c.reg.FD())
	c.reg.Done()
	return n == 0
}

// polled reports whether any of some events of poll(2) holds.
func polled(fd int, events int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(fds, 0)
	return n > 0 && err == nil && fds[0].Revents&events != 0
}

// pending takes the error that the kernel has to tell, or else is the other
// one.
func pending(fd int, other syscall.Errno) syscall.Errno {
	if errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
		return syscall.Errno(errno)
	}
	return other
}

// queued is how many bytes wait to be read.
func queued(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// atMark reports whether out-of-band data comes next: no call reads beyond it
// and what is before it at once.
func atMark(fd int) bool {
	at, err := unix.IoctlGetInt(fd, unix.SIOCATMARK)
	return err == nil && at != 0
}
