package socket

import (
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// This file has the short way of most calls: on a stream, without flags, with
// nothing read ahead, by a system call that succeeds at once or after one wait. As
// soon as anything else is needed, it goes on by attempt, as all other calls do.
//
// The short way repeats what attempt does, because speed asks for it. A goroutine
// that returns from a wait pays about 15 ns for every function that it returns
// from, because the processor no longer predicts where to. So recvAs and sendAs do
// everything themselves, and Recv, Read, Send and Write are small enough to be
// inlined in their callers: an echo server then answers 1.017 to 1.020 times as
// many requests. Closures, too, would touch memory that is cold when there are
// many connections.

// plain reports whether nothing about the socket forbids the short way.
func (c *core) plain() bool {
	return c.typ == Stream && c.owed.Load() == 0 && c.pace == nil
}

// recvAs receives for the method that op names: Recv, Read or Fread.
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
	more, waited := false, !ready
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
			// Also when the time is up: what came at the last moment counts.
			n, errno = sys.Recvfrom(c.reg.FD(), buf, 0, nil)
			if errno == unix.EAGAIN && c.stoppedAtMark(c.reg.FD()) {
				n, errno = sys.Recvfrom(c.reg.FD(), buf, 0, nil)
			}
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
		if !ready { // the wake-up has brought nothing
			n, more, err = c.recvOn(&call, buf)
			break
		}
		ready, waited = false, true
	}
	c.reg.End(loop.Read, more)
	if waited {
		c.rested()
	} else {
		c.goesOn(n)
	}
	runtime.KeepAlive(s)
	if err == nil && n > 0 {
		return n, nil
	}
	return n, s.received(op, n, len(buf), 0, err)
}

// A goroutine that sends or receives without end, and never waits because its peer is as
// quick, keeps other goroutines and the loop from running. So it yields after mostSpree
// calls; 16 KiB count as one more.
const mostSpree = 64

// goesOn counts a call of n bytes that has not waited.
func (c *core) goesOn(n int) {
	if w := &c.atEnd.word; w.Add((1+uint32(n>>14))*spreeUnit)/spreeUnit >= mostSpree {
		w.And(flagBit)
		c.reg.Loop().Yield()
	}
}

// rested ends a spree: others have run.
func (c *core) rested() {
	if w := &c.atEnd.word; w.Load() >= spreeUnit {
		w.And(flagBit)
	}
}

// A flagAndSpree is a flag, and what Send and Recv have done since a Recv last waited.
type flagAndSpree struct{ word atomic.Uint32 }

// The parts of the word.
const (
	flagBit   = 1
	spreeUnit = 2 // one of the spree; the bits above the flag count them
)

func (f *flagAndSpree) Load() bool { return f.word.Load()&flagBit != 0 }

func (f *flagAndSpree) Store(on bool) {
	if on {
		f.word.Or(flagBit)
	} else {
		f.word.And(^uint32(flagBit))
	}
}

// recvOn continues a recvAs that has the turn, by attempt.
func (c *core) recvOn(call *loop.Call, buf []byte) (n int, more bool, err error) {
	more, err = c.attempt(loop.Read, call, false, turn{}, func(fd int, _ bool) (bool, syscall.Errno) {
		var errno syscall.Errno
		n, errno = sys.Recvfrom(fd, buf, 0, nil)
		return c.leftover(n, len(buf), 0), errno
	})
	return n, more, err
}

// recvGenerally receives by the way that suits every socket.
func (s *Socket) recvGenerally(op string, buf []byte, flags int) (n int, err error) {
	if op == opRecv {
		n, err = s.recv(buf, flags, nil)
	} else {
		n, err = s.readAhead(buf)
	}
	return n, s.received(op, n, len(buf), flags, err)
}

// sendAs sends for the method that op names: Send, or one that writes all.
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
		n, errno = sys.Sendto(c.reg.FD(), buf[:min(len(buf), mostAtOnce)], 0, nil)
	}
	switch {
	case !ready, errno == unix.EAGAIN, errno == 0 && n < len(buf):
		n, more, err = c.sendOn(&call, buf, n)
	case errno != 0:
		err = errno
	}
	c.reg.End(loop.Write, more)
	c.goesOn(n)
	runtime.KeepAlive(s)
	if err != nil {
		return s.notSent(op, n, err)
	}
	return n, nil
}

// sendOn continues a sendAs that has the turn and has sent total bytes.
func (c *core) sendOn(call *loop.Call, buf []byte, total int) (n int, more bool, err error) {
	room := total == mostAtOnce // the first system call has found room for all that it was given
	if room {
		c.reg.Loop().Yield()
	}
	more, err = c.attempt(loop.Write, call, room, turn{}, func(fd int, waited bool) (bool, syscall.Errno) {
		return c.sendRest(fd, buf, &total, 0, nil, waited)
	})
	return total, more, err
}

// sendGenerally sends by the way that suits every socket.
func (s *Socket) sendGenerally(op string, buf []byte, flags int) (n int, err error) {
	if op != opSend && len(buf) == 0 && s.core.stream() {
		return 0, nil
	}
	if n, err = s.send(buf, flags, nil); err != nil {
		return s.notSent(op, n, err)
	}
	return n, nil
}
