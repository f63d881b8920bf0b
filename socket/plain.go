package socket

import (
	"runtime"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// The way of most calls: a stream, no flags, nothing read ahead, and a system
// call that succeeds at once or after one wait. It goes without the closures
// and the depth of stack of the general way, which touch memory that is cold
// when there are many connections. What turns out to be less simple is left to
// the general way.
//
// recvAs and sendAs do all in one, and their methods are inlined in the caller:
// a goroutine that comes back from a wait, or from deep in the kernel, pays for
// every function that it returns from, since the processor has forgotten where
// to. It is 1.5 % of an echo server's requests.

// plain reports whether nothing about the socket asks for the general way.
func (c *core) plain() bool {
	return c.typ == Stream && c.owed.Load() == 0
}

// recvAs is the method of that name: Recv, Read or Fread.
func (s *Socket) recvAs(op string, buf []byte, flags int) (n int, err error) {
	c := s.core
	if flags != 0 || !c.plain() || c.lowWater.Load() > 1 || c.input.Load() != nil || len(buf) == 0 {
		return s.recvGenerally(op, buf, flags)
	}
	call := loop.Call{Timeout: c.recvTimeout.get(), Context: s.ctx}
	ready, err := c.reg.Begin(loop.Read, &call)
	if err != nil {
		return 0, c.failed(op, "", err)
	}
	if c.input.Load() != nil || c.owed.Load() != 0 { // by a call that had the turn before
		c.reg.End(loop.Read, ready)
		return s.recvGenerally(op, buf, flags)
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
			sys.RaceReceived(buf[:n])
		} else {
			// At the end of the time too: what came at the last moment counts.
			n, errno = sys.Recvfrom(c.reg.FD(), buf, 0, nil)
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
		if !ready { // woken in vain
			n, more, err = c.recvOn(&call, buf)
			break
		}
		ready = false
	}
	c.reg.End(loop.Read, more)
	runtime.KeepAlive(s)
	if err == nil && n > 0 {
		return n, nil
	}
	return n, s.received(op, n, len(buf), 0, err)
}

// recvOn goes on with the turn of recvAs.
func (c *core) recvOn(call *loop.Call, buf []byte) (n int, more bool, err error) {
	more, err = c.attempt(loop.Read, call, false, turn{}, func(fd int, _ bool) (bool, syscall.Errno) {
		var errno syscall.Errno
		n, errno = sys.Recvfrom(fd, buf, 0, nil)
		return c.leftover(n, len(buf), 0), errno
	})
	return n, more, err
}

// recvGenerally is recvAs the general way.
func (s *Socket) recvGenerally(op string, buf []byte, flags int) (n int, err error) {
	if op == opRecv {
		n, err = s.recv(buf, flags, nil)
	} else {
		n, err = s.readAhead(buf)
	}
	return n, s.received(op, n, len(buf), flags, err)
}

// sendAs is the method of that name: Send, or one of those that write.
func (s *Socket) sendAs(op string, buf []byte, flags int) (n int, err error) {
	c := s.core
	if flags != 0 || !c.plain() || len(buf) == 0 {
		return s.sendGenerally(op, buf, flags)
	}
	call := loop.Call{Timeout: c.sendTimeout.get(), Context: s.ctx}
	ready, err := c.reg.Begin(loop.Write, &call)
	if err != nil {
		return 0, c.failed(op, "", err)
	}
	more := true
	var errno syscall.Errno
	if ready {
		n, errno = sys.Sendto(c.reg.FD(), buf, 0, nil)
	}
	switch {
	case !ready, errno == unix.EAGAIN, errno == 0 && n < len(buf):
		n, more, err = c.sendOn(&call, buf, n)
	case errno != 0:
		err = errno
	}
	c.reg.End(loop.Write, more)
	runtime.KeepAlive(s)
	if err != nil {
		return s.notSent(op, n, err)
	}
	return n, nil
}

// sendOn goes on with the turn of sendAs, which has sent a part.
func (c *core) sendOn(call *loop.Call, buf []byte, total int) (n int, more bool, err error) {
	more, err = c.attempt(loop.Write, call, false, turn{}, func(fd int, waited bool) (bool, syscall.Errno) {
		return c.sendRest(fd, buf, &total, 0, nil, waited)
	})
	return total, more, err
}

// sendGenerally is sendAs the general way.
func (s *Socket) sendGenerally(op string, buf []byte, flags int) (n int, err error) {
	if op != opSend && len(buf) == 0 && s.core.stream() {
		return 0, nil
	}
	if n, err = s.send(buf, flags, nil); err != nil {
		return s.notSent(op, n, err)
	}
	return n, nil
}
