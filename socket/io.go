package socket

import (
	"io"
	"runtime"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// wait makes a system call that may have to wait. try makes the call once; its
// EAGAIN means that it should be made again when the direction is ready. more
// says whether another call might succeed without waiting.
func (s *Socket) wait(d loop.Direction, limit time.Duration, try func(fd int) (more bool, errno syscall.Errno)) error {
	return s.waitTurn(d, limit, turn{}, try)
}

// A turn is what a call does beside its system call while it has the turn.
type turn struct {
	// first comes before the system call and any wait for it. It reports
	// whether that is the whole call.
	first func() bool
	// expired comes when the time is up, and the last try found nothing.
	expired func()
}

// waitTurn is wait, and the one place that takes the turn, tries, parks, and
// tries again.
func (s *Socket) waitTurn(d loop.Direction, limit time.Duration, t turn, try func(fd int) (more bool, errno syscall.Errno)) error {
	reg := &s.core.reg
	call := loop.Call{Timeout: limit, Context: s.ctx}
	ready, err := reg.Begin(d, &call)
	if err != nil {
		runtime.KeepAlive(s)
		return err
	}
	if t.first != nil && t.first() {
		reg.End(d, ready) // as it was: no system call has used it up
		runtime.KeepAlive(s)
		return nil
	}
	if !ready && d == loop.Read && s.core.lowWater.Load() > 1 {
		ready = true // less than SO_RCVLOWAT may be there, which is not reported
	}
	var more bool
	errno := unix.EAGAIN
	for {
		if ready {
			if more, errno = try(reg.FD()); errno != unix.EAGAIN {
				break
			}
		}
		if err = reg.Wait(d, &call); err != nil {
			if err == loop.ErrTimeout {
				// What came at the last moment, or before a call that may not
				// wait at all, is not passed by.
				more, errno = try(reg.FD())
				if errno == unix.EAGAIN && t.expired != nil {
					t.expired()
				}
			}
			break
		}
		ready = true
	}
	reg.End(d, more)
	runtime.KeepAlive(s)
	if errno != unix.EAGAIN {
		if errno == 0 {
			return nil
		}
		return errno
	}
	return err
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

// Recv receives into buf: recv(2) with its flags. It waits for data, within
// the receive timeout, and returns what there is, up to the buffer's length; at
// the end of a stream that is 0 and io.EOF. MSG_WAITALL fills the buffer, or
// returns the part that came in time; so does SO_RCVLOWAT, for so many bytes.
// MSG_DONTWAIT and MSG_OOB do not wait. Input that other methods have read ahead
// is dropped, even if Recv then fails; with MSG_PEEK or MSG_OOB it stays.
func (s *Socket) Recv(buf []byte, flags int) (int, error) {
	n, err := s.recv(buf, flags)
	if err == nil && n == 0 && len(buf) > 0 && s.core.stream() {
		err = io.EOF
	}
	if err != nil {
		return n, s.core.failed("recv", err)
	}
	return n, nil
}

// waitRecv is wait for a system call that receives past the input buffer, and
// so drops what is there: under the turn, and before the first try.
func (s *Socket) waitRecv(flags int, try func(fd int) (more bool, errno syscall.Errno)) error {
	first := func() bool { s.core.dropInput(flags); return false }
	return s.waitTurn(loop.Read, s.core.recvTimeout.get(), turn{first: first}, try)
}

func (s *Socket) recv(buf []byte, flags int) (int, error) {
	c := s.core
	if buf == nil {
		return 0, invalid("recv", "nil buffer", unix.EFAULT, "a buffer is needed")
	}
	if err := c.takeOwed(); err != nil {
		c.dropInput(flags)
		return 0, err
	}
	if flags&(unix.MSG_DONTWAIT|unix.MSG_OOB) != 0 {
		c.dropInput(flags)
		return s.once(func(fd int) (int, syscall.Errno) { return recv(fd, buf, flags|unix.MSG_DONTWAIT) })
	}
	if target := c.target(len(buf), flags); target > 1 {
		return s.recvAtLeast(target, buf, flags)
	}
	var n int
	err := s.waitRecv(flags, func(fd int) (bool, syscall.Errno) {
		var errno syscall.Errno
		n, errno = recv(fd, buf, flags)
		return c.leftover(n, len(buf), flags), errno
	})
	return n, err
}

// leftover tells from a read's result whether another might find something. A
// stream that gave less than was asked for is drained, and trying again would
// only say EAGAIN; unless its end or an error is behind that, or it stopped at
// an urgent mark.
func (c *core) leftover(n, asked, flags int) bool {
	return n == asked || flags&unix.MSG_PEEK != 0 || !c.stream() || c.reg.Broken() || c.reg.Urgent()
}

// target is how much of a stream a receive waits for: MSG_WAITALL or
// SO_RCVLOWAT. The kernel minds neither on a non-blocking descriptor. A unix
// socket never peeks for more than there is.
func (c *core) target(asked, flags int) int {
	switch {
	case !c.stream() || flags&unix.MSG_PEEK != 0 && c.family == Unix:
		return 0
	case flags&unix.MSG_WAITALL != 0:
		return asked
	}
	return min(int(c.lowWater.Load()), asked)
}

// recvAtLeast receives no less than the target, unless the time is up or the
// stream ends: one budget of time for all that it takes.
func (s *Socket) recvAtLeast(target int, buf []byte, flags int) (int, error) {
	c := s.core
	total := 0
	err := s.waitRecv(flags, func(fd int) (bool, syscall.Errno) {
		if flags&unix.MSG_PEEK != 0 {
			// Nothing is taken, so each try starts over; and while there is
			// data the end does not show as a read of 0, but as RDHUP.
			n, errno := recv(fd, buf, flags&^unix.MSG_WAITALL)
			if errno == 0 {
				total = n
				if n > 0 && n < target && !ended(fd) {
					errno = unix.EAGAIN
				}
			}
			return true, errno
		}
		for {
			n, errno := recv(fd, buf[total:], flags&^unix.MSG_WAITALL)
			total += n
			if errno != 0 || n == 0 || total >= target {
				return true, errno
			}
		}
	})
	return c.settle(total, err)
}

// ended reports whether the peer will send no more.
func ended(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return n > 0 && err == nil
}

// settle ends a call that may have transferred something before it failed: then
// the count is its result, and the error, if the kernel would keep it, is owed
// to the next call.
func (c *core) settle(n int, err error) (int, error) {
	if n == 0 || err == nil {
		return n, err
	}
	if errno, ok := err.(syscall.Errno); ok && errno != unix.EPIPE {
		c.owed.Store(uint32(errno))
	}
	return n, nil
}

// takeOwed is the error that an earlier call had no way to report, once.
func (c *core) takeOwed() error {
	if c.owed.Load() == 0 {
		return nil
	}
	if errno := syscall.Errno(c.owed.Swap(0)); errno != 0 {
		return errno
	}
	return nil
}

// Send sends buf: send(2) with its flags. It waits, within the send timeout,
// until all of it is queued in the kernel, and returns how much is: less than
// all, without an error, when the time was up or the connection broke midway;
// the next call tells of the break. A broken connection gives EPIPE, and no
// signal. MSG_DONTWAIT does not wait.
func (s *Socket) Send(buf []byte, flags int) (int, error) {
	n, err := s.send(buf, flags)
	if n, err = s.core.settle(n, err); err != nil {
		return n, s.core.failed("send", err)
	}
	return n, nil
}

// send sends what it can and says why if that is not all.
func (s *Socket) send(buf []byte, flags int) (int, error) {
	c := s.core
	if buf == nil {
		return 0, invalid("send", "nil buffer", unix.EFAULT, "a buffer is needed; an empty one sends nothing")
	}
	if err := c.takeOwed(); err != nil {
		return 0, err
	}
	if flags&unix.MSG_DONTWAIT != 0 {
		return s.once(func(fd int) (int, syscall.Errno) { return send(fd, buf, flags) })
	}
	total := 0
	err := s.wait(loop.Write, c.sendTimeout.get(), func(fd int) (bool, syscall.Errno) {
		n, errno := send(fd, buf[total:], flags)
		total += n
		if errno == 0 && total < len(buf) && c.stream() {
			return false, unix.EAGAIN // the kernel took what it had room for
		}
		return true, errno
	})
	return total, err
}

// Write sends all of buf, for io.Writer. When it sends less, the error says
// why: EAGAIN when the time was up, or what broke the connection.
func (s *Socket) Write(buf []byte) (int, error) { return s.write("write", buf) }

var _ io.Writer = (*Socket)(nil)
