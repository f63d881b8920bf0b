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
// says whether another call might succeed without waiting. When the read side
// is shut and nothing is left, wait returns nil without try's having succeeded.
func (s *Socket) wait(d loop.Direction, limit time.Duration, try func(fd int) (more bool, errno syscall.Errno)) error {
	return s.attempt(d, limit, func(fd int, _ bool) (bool, syscall.Errno) { return try(fd) })
}

// attempt is wait for calls whose result depends on whether they have waited:
// the one place that takes the turn, tries, parks, and tries again.
func (s *Socket) attempt(d loop.Direction, limit time.Duration, try func(fd int, waited bool) (more bool, errno syscall.Errno)) error {
	reg := s.core.reg
	call := loop.Call{Timeout: limit, Context: s.ctx}
	ready, err := reg.Begin(d, &call)
	if err != nil {
		runtime.KeepAlive(s)
		return err
	}
	var more bool
	errno := unix.EAGAIN
	for waited := false; ; waited = true {
		if ready {
			if more, errno = try(reg.FD(), waited); errno != unix.EAGAIN {
				break
			}
			if d == loop.Read && reg.Broken() && polled(reg.FD(), unix.POLLRDHUP) {
				// A datagram socket or a unix listener whose read side is shut
				// says EAGAIN for ever; only a blocking call is told of the
				// end. All that came before that is there for one more try.
				if more, errno = try(reg.FD(), true); errno == unix.EAGAIN {
					errno = 0
				}
				break
			}
		}
		if err = reg.Wait(d, &call); err != nil {
			if err == loop.ErrTimeout {
				// What came at the last moment, or before a call that may not
				// wait at all, is not passed by.
				more, errno = try(reg.FD(), true)
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
	s.core.reg.Done()
	if errno != 0 {
		return n, errno
	}
	return n, nil
}

// Recv receives into buf: recv(2) with its flags. It waits for data, within
// the receive timeout, and returns what there is, up to the buffer's length; at
// the end of a stream that is 0 and io.EOF. MSG_WAITALL fills the buffer, or
// returns the part that came in time. MSG_DONTWAIT and MSG_OOB do not wait.
func (s *Socket) Recv(buf []byte, flags int) (int, error) {
	n, err := s.recv(buf, flags)
	if err != nil {
		return n, fail("recv", "", err)
	}
	if n == 0 && len(buf) > 0 && s.core.stream() {
		return 0, io.EOF
	}
	return n, nil
}

func (s *Socket) recv(buf []byte, flags int) (int, error) {
	c := s.core
	if buf == nil {
		return 0, invalid("recv", "nil buffer", unix.EFAULT, "a buffer is needed")
	}
	if err := c.takeOwed(); err != nil {
		return 0, err
	}
	if flags&c.neverWaiting() != 0 {
		return s.once(func(fd int) (int, syscall.Errno) { return recv(fd, buf, flags|unix.MSG_DONTWAIT) })
	}
	if c.fills(flags) && len(buf) > 0 {
		return s.recvAll(buf, flags)
	}
	var n int
	err := s.attempt(loop.Read, c.recvTimeout.get(), func(fd int, waited bool) (bool, syscall.Errno) {
		if waited && len(buf) == 0 && c.tcp() {
			return true, 0 // one wait is all that TCP makes for nothing
		}
		var errno syscall.Errno
		n, errno = recv(fd, buf, flags)
		return c.leftover(n, len(buf), flags), errno
	})
	return n, err
}

// tcp reports whether the socket is one of TCP, or of a protocol like it.
func (c *core) tcp() bool { return c.stream() && (c.family == Inet || c.family == Inet6) }

// neverWaiting is the flags of recv(2) with which it does not wait. Sockets
// that do not know out-of-band data or an error queue ignore those flags, and
// wait, or refuse them.
func (c *core) neverWaiting() int {
	flags := unix.MSG_DONTWAIT
	if c.stream() {
		flags |= unix.MSG_OOB
	}
	if c.family == Inet || c.family == Inet6 {
		flags |= unix.MSG_ERRQUEUE
	}
	return flags
}

// fills reports whether recv(2) fills the buffer: with MSG_WAITALL on a
// stream. A unix socket that only peeks is content with what there is.
func (c *core) fills(flags int) bool {
	peeks := flags&unix.MSG_PEEK != 0
	return flags&unix.MSG_WAITALL != 0 && c.stream() && !(peeks && c.family == Unix)
}

// leftover tells from a read's result whether another might find something. A
// stream that gave less than was asked for is drained, and trying again would
// only say EAGAIN; unless its end or an error is behind that, or it stopped at
// an urgent mark.
func (c *core) leftover(n, asked, flags int) bool {
	return n == asked || flags&unix.MSG_PEEK != 0 || !c.stream() || c.reg.Broken() || c.reg.Urgent()
}

// recvAll is MSG_WAITALL on a stream: one budget of time for all that it takes
// to fill the buffer.
func (s *Socket) recvAll(buf []byte, flags int) (int, error) {
	c := s.core
	total := 0
	err := s.wait(loop.Read, c.recvTimeout.get(), func(fd int) (bool, syscall.Errno) {
		if flags&unix.MSG_PEEK != 0 {
			// Nothing is taken, so each try starts over. A peek goes no further
			// than an urgent mark; and at the end it does not become 0, which
			// attempt notices.
			n, errno := recv(fd, buf, flags&^unix.MSG_WAITALL)
			if errno == 0 {
				total = n
				if n > 0 && n < len(buf) && !polled(fd, unix.POLLPRI) {
					errno = unix.EAGAIN
				}
			}
			return true, errno
		}
		for {
			n, errno := recv(fd, buf[total:], flags&^unix.MSG_WAITALL)
			total += n
			if errno != 0 || n == 0 || total == len(buf) || atMark(fd) {
				return true, errno
			}
		}
	})
	return c.settle(total, err)
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

// atMark reports whether out-of-band data comes next: no call reads beyond it
// and what is before it at once.
func atMark(fd int) bool {
	at, err := unix.IoctlGetInt(fd, unix.SIOCATMARK)
	return err == nil && at != 0
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
		return n, fail("send", "", err)
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
	err := s.attempt(loop.Write, c.sendTimeout.get(), func(fd int, waited bool) (bool, syscall.Errno) {
		if total > 0 && c.reg.Broken() && c.tcp() && polled(fd, unix.POLLERR) {
			return true, unix.EPIPE // the error stays for the next call
		}
		n, errno := send(fd, buf[total:], flags)
		total += n
		if errno == unix.EPIPE && waited && c.family == Unix {
			errno = pending(fd, errno) // which a call that waited sees first
		}
		if errno == 0 && total < len(buf) && c.stream() {
			return false, unix.EAGAIN // the kernel took what it had room for
		}
		return true, errno
	})
	return total, err
}

// Read is Recv without flags, for io.Reader. An empty buffer reads nothing.
func (s *Socket) Read(buf []byte) (int, error) {
	if len(buf) == 0 {
		return 0, nil
	}
	return s.Recv(buf, 0)
}

// Write sends all of buf, for io.Writer. When it sends less, the error says
// why: EAGAIN when the time was up, or what broke the connection.
func (s *Socket) Write(buf []byte) (int, error) {
	if len(buf) == 0 && s.core.stream() {
		return 0, nil
	}
	n, err := s.send(buf, 0)
	if err == unix.EPIPE && n > 0 {
		_ = s.control("write", "", func(fd int) error { err = pending(fd, unix.EPIPE); return nil })
	}
	if err != nil {
		return n, fail("write", "", err)
	}
	return n, nil
}

var (
	_ io.Reader = (*Socket)(nil)
	_ io.Writer = (*Socket)(nil)
)
