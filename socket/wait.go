package socket

import (
	"runtime"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// wait makes a system call that may have to wait for a direction. try makes the
// call once. If its errno is EAGAIN, wait calls try again when the direction is
// ready. more says whether another call might succeed without waiting. If the
// read side is shut and nothing is left to read, wait returns nil although no
// try has succeeded.
func (s *Socket) wait(d loop.Direction, limit time.Duration, try func(fd int) (more bool, errno syscall.Errno)) error {
	return s.waitTurn(d, limit, turn{}, func(fd int, _ bool) (bool, syscall.Errno) { return try(fd) })
}

// A turn says how a call differs from others while it has the turn of its
// direction.
type turn struct {
	// first runs before the first try. It reports whether the call is complete;
	// an error completes it too.
	first func() (done bool, err error)
	// expired runs when the time is up and the last try found nothing.
	expired func()
	// sign is what the call waits for before it tries again.
	sign sign
	// after says that this is a later part of a call that has already received
	// something. The call then leaves an error to the next call of the socket,
	// which may have the turn at once.
	after bool
}

type sign bool

const (
	readiness sign = false
	patience  sign = true // time, because the kernel reports no event
)

// waitTurn is wait for a call that does more in its turn, or whose result
// depends on whether it has waited.
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

// attempt tries, parks, and tries again, for a call that has the turn. It is
// the engine of every call that may wait; recvAs and sendAs repeat its first
// steps for speed (plain.go), and the program's own calls do without it
// (rawconn.go). ready says whether the first try needs no wait.
func (c *core) attempt(d loop.Direction, call *loop.Call, ready bool, t turn, try func(fd int, waited bool) (bool, syscall.Errno)) (more bool, err error) {
	fd := c.reg.FD()
	errno := unix.EAGAIN
	var retry backoff
	ready = ready || t.sign == patience ||
		d == loop.Read && c.lowWater.Load() > 1 // epoll does not report input below SO_RCVLOWAT
	messages := d == loop.Read && (c.typ == Dgram || c.typ == Raw)
	if messages && c.reg.LooksFirst() {
		ready = false
	}
	for waited := false; ; waited = true {
		if ready {
			if more, errno = try(fd, waited); errno != unix.EAGAIN {
				break
			}
			if d == loop.Read && c.stoppedAtMark(fd) {
				if more, errno = try(fd, waited); errno != unix.EAGAIN {
					break
				}
			}
			if d == loop.Read && c.reg.Broken() && c.paceWait(d) == 0 && polled(fd, unix.POLLRDHUP) {
				// A datagram socket or a unix listener whose read side is shut
				// says EAGAIN for ever; the kernel tells the end only to a
				// blocking call. One more try takes what came before the end.
				if more, errno = try(fd, true); errno == unix.EAGAIN {
					more, errno = true, 0 // no event tells the next call
				}
				break
			}
		}
		pause := c.paceWait(d)
		switch {
		case pause > 0:
			err = c.reg.Pause(d, call, pause)
		case t.sign == patience:
			err = retry.pause(&c.reg, d, call)
		case d == loop.Write && c.family == Unix && c.typ != Dgram:
			err = c.reg.WaitAtMost(d, call, unreadCheck)
		case messages:
			err = c.reg.WaitInput(call, ready)
		default:
			err = c.reg.Wait(d, call)
		}
		if err != nil {
			if err == loop.ErrTimeout {
				// One more try finds what came at the last moment, or before a
				// call that may not wait at all.
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
// whether its peer has shut its read side. The kernel then wakes a blocking
// send, but reports no event.
const unreadCheck = 100 * time.Millisecond

// A backoff asks again at growing intervals. It is for a condition that the
// kernel does not report: the full queue of a unix socket's peer.
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

// once makes a system call that must not wait, not even for the turn.
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

// settle returns the result of a call that may have transferred n bytes before
// it failed. If it has, the count is the result, and the next call reports the
// error, as the kernel would. On a unix socket the kernel drops the error.
func (c *core) settle(n int, err error) (int, error) {
	if n == 0 || err == nil {
		return n, err
	}
	if errno, ok := err.(syscall.Errno); ok && errno != unix.EPIPE && c.family != Unix {
		c.owed.Store(uint32(errno))
	}
	return n, nil
}

// leave keeps an error of the kernel for the next call of the socket.
func (c *core) leave(err error) {
	if errno, ok := err.(syscall.Errno); ok && errno != unix.EAGAIN {
		c.owed.Store(uint32(errno))
	}
}

// takeOwed returns the error that an earlier call had no way to report, and
// forgets it. A closed socket has none, because its calls say that it is
// closed.
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

// owes reports whether a receive must return an owed error now. On a stream,
// the bytes that are queued come first.
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

// polled reports whether poll(2) says any of the events.
func polled(fd int, events int16) bool {
	return sys.Polled(fd, events) != 0
}

// pending takes the error that the kernel holds for the socket. If there is
// none, it returns other.
func pending(fd int, other syscall.Errno) syscall.Errno {
	if errno, err := sys.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
		return syscall.Errno(errno)
	}
	return other
}

// queued returns how many bytes wait to be read.
func queued(fd int) int {
	n, err := sys.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// stoppedAtMark reports whether a receive that has said EAGAIN may have been stopped by a
// signal at TCP urgent data, and is worth another try.
func (c *core) stoppedAtMark(fd int) bool { return c.reg.Urgent() && sys.StoppedAtMark(fd) }

// atMark reports whether out-of-band data comes next. No call reads what is
// before the mark together with what is behind it.
func atMark(fd int) bool {
	at, err := sys.IoctlGetInt(fd, unix.SIOCATMARK)
	return err == nil && at != 0
}
