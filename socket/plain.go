package socket

import (
	"runtime"
	"syscall"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// The way of most calls: a stream, no flags, nothing read ahead, and a system
// call that succeeds at once or after one wait. It goes without the closures
// and the depth of stack of the general way, which touch memory that is cold
// when there are many connections. What turns out to be less simple is left to
// the general way.

// plain reports whether nothing about the socket asks for the general way.
func (c *core) plain() bool {
	return c.typ == Stream && c.owed.Load() == 0
}

// recvPlain receives. It is not done if the general way has to.
func (s *Socket) recvPlain(buf []byte) (n int, err error, done bool) {
	c := s.core
	if !c.plain() || c.lowWater.Load() > 1 || c.input.Load() != nil || len(buf) == 0 {
		return 0, nil, false
	}
	call := loop.Call{Timeout: c.recvTimeout.get(), Context: s.ctx}
	ready, err := c.reg.Begin(loop.Read, &call)
	if err != nil {
		return 0, err, true
	}
	if c.input.Load() != nil || c.owed.Load() != 0 { // by a call that had the turn before
		c.reg.End(loop.Read, ready)
		return 0, nil, false
	}
	more := false
	for {
		var errno syscall.Errno
		done := false
		if !ready {
			n, errno, done, err = c.reg.Receive(&call, buf)
		}
		if err != nil && err != loop.ErrTimeout {
			break
		}
		if done {
			raceReceived(buf[:n])
		} else {
			// At the end of the time too: what came at the last moment counts.
			n, errno = recvfrom(c.reg.FD(), buf, 0, nil)
		}
		if errno == 0 {
			more, err = c.leftover(n, len(buf), 0), nil
			break
		}
		if errno != unix.EAGAIN {
			more, err = true, errno
			break
		}
		if err != nil {
			break
		}
		if !ready {
			return s.recvOn(&call, buf) // woken in vain
		}
		ready = false
	}
	c.reg.End(loop.Read, more)
	runtime.KeepAlive(s)
	return n, err, true
}

// recvOn goes on with the turn of recvPlain.
func (s *Socket) recvOn(call *loop.Call, buf []byte) (n int, err error, done bool) {
	c := s.core
	more, err := c.attempt(loop.Read, call, false, turn{}, func(fd int, _ bool) (bool, syscall.Errno) {
		var errno syscall.Errno
		n, errno = recvfrom(fd, buf, 0, nil)
		return c.leftover(n, len(buf), 0), errno
	})
	c.reg.End(loop.Read, more)
	runtime.KeepAlive(s)
	return n, err, true
}

// sendPlain sends. It is not done, and nothing is sent, if the general way has
// to.
func (s *Socket) sendPlain(buf []byte) (n int, err error, done bool) {
	c := s.core
	if !c.plain() || len(buf) == 0 {
		return 0, nil, false
	}
	call := loop.Call{Timeout: c.sendTimeout.get(), Context: s.ctx}
	ready, err := c.reg.Begin(loop.Write, &call)
	if err != nil {
		return 0, err, true
	}
	var errno syscall.Errno
	if ready {
		n, errno = sendto(c.reg.FD(), buf, 0, nil)
	}
	switch {
	case !ready, errno == unix.EAGAIN, errno == 0 && n < len(buf):
		return s.sendOn(&call, buf, n)
	case errno != 0:
		err = errno
	}
	c.reg.End(loop.Write, true)
	runtime.KeepAlive(s)
	return n, err, true
}

// sendOn goes on with the turn of sendPlain.
func (s *Socket) sendOn(call *loop.Call, buf []byte, total int) (n int, err error, done bool) {
	c := s.core
	more, err := c.attempt(loop.Write, call, false, turn{}, func(fd int, waited bool) (bool, syscall.Errno) {
		return c.sendRest(fd, buf, &total, 0, nil, waited)
	})
	c.reg.End(loop.Write, more)
	runtime.KeepAlive(s)
	return total, err, true
}
