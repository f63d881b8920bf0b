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
	return s.waitFor(d, limit, readiness, try)
}

// waitFor is wait for calls of which the kernel may not report the readiness.
func (s *Socket) waitFor(d loop.Direction, limit time.Duration, sign sign, try func(fd int) (more bool, errno syscall.Errno)) error {
	reg := s.core.reg
	call := loop.Call{Timeout: limit, Context: s.ctx}
	ready, err := reg.Begin(d, &call)
	if err == nil {
		var more bool
		more, err = s.core.attempt(d, &call, ready, sign, try)
		reg.End(d, more)
	}
	runtime.KeepAlive(s)
	return err
}

// A sign is what tells a waiting call to try again.
type sign bool

const (
	readiness sign = false
	patience  sign = true // nothing but time: the kernel does not report it
)

// attempt is what every call does that has the turn: try, park, and try again.
// It is the one place that does.
func (c *core) attempt(d loop.Direction, call *loop.Call, ready bool, sign sign, try func(fd int) (bool, syscall.Errno)) (more bool, err error) {
	var retry backoff
	errno := unix.EAGAIN
	for {
		if ready || sign == patience {
			if more, errno = try(c.reg.FD()); errno != unix.EAGAIN {
				break
			}
		}
		if sign == patience {
			err = retry.pause(c.reg, d, call)
		} else {
			err = c.reg.Wait(d, call)
		}
		if err != nil {
			if err == loop.ErrTimeout {
				// What came at the last moment, or before a call that may not
				// wait at all, is not passed by.
				more, errno = try(c.reg.FD())
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

// A backoff is for conditions that the kernel does not report: a unix socket
// whose peer has a full queue. It is asked again, at growing intervals.
type backoff struct{ next time.Duration }

const (
	firstRetry = time.Millisecond
	lastRetry  = 16 * time.Millisecond
)

func (b *backoff) pause(reg *loop.Registration, d loop.Direction, call *loop.Call) error {
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
	n, err := s.recv(buf, flags, nil)
	return n, s.received("recv", n, len(buf), flags, err)
}

// received is the error of a read that gave n bytes: what failed, or the end,
// which is a read of nothing that asked for something.
func (s *Socket) received(op string, n, asked, flags int, err error) error {
	switch {
	case err != nil:
		return fail(op, "", err)
	case n == 0 && asked > 0 && flags&unix.MSG_ERRQUEUE == 0 && s.atEnd():
		return io.EOF
	}
	return nil
}

// atEnd reports whether a read of nothing was the end. On a stream it is; and
// on a seqpacket socket if no more can come: an empty message is read the same
// way, so one just before the end is taken for it, and the next read says
// which it was. A datagram socket has no end.
func (s *Socket) atEnd() bool {
	if s.core.typ != SeqPacket {
		return s.core.stream()
	}
	end := false
	err := s.control("recv", "", func(fd int) error {
		end = ended(fd) && queued(fd) == 0
		return nil
	})
	return err == nil && end
}

// recv receives, and tells who from if from is not nil.
func (s *Socket) recv(buf []byte, flags int, from *sockaddr) (int, error) {
	c := s.core
	if buf == nil {
		return 0, invalid("recv", "nil buffer", unix.EFAULT, "a buffer is needed")
	}
	if err := c.takeOwed(); err != nil {
		return 0, err
	}
	if c.immediate(flags) {
		return s.once(func(fd int) (int, syscall.Errno) { return recvfrom(fd, buf, flags|unix.MSG_DONTWAIT, from) })
	}
	if flags&unix.MSG_WAITALL != 0 && c.stream() {
		return s.recvAll(len(buf), flags, func(fd, done, flags int) (int, bool, syscall.Errno) {
			n, errno := recvfrom(fd, buf[done:], flags, from)
			return n, false, errno
		})
	}
	var n int
	err := s.wait(loop.Read, c.recvTimeout.get(), func(fd int) (bool, syscall.Errno) {
		var errno syscall.Errno
		n, errno = recvfrom(fd, buf, flags, from)
		return c.leftover(n, len(buf), flags), c.unlessShut(fd, errno)
	})
	return n, err
}

// unlessShut is the errno of a read that would wait: none on a socket with
// messages whose receiving side is shut down. There the kernel's blocking call
// returns 0, but the non-blocking one says EAGAIN.
func (c *core) unlessShut(fd int, errno syscall.Errno) syscall.Errno {
	if errno == unix.EAGAIN && !c.stream() && c.reg.Broken() && ended(fd) {
		return 0
	}
	return errno
}

// immediate reports whether a read with these flags waits for nothing. Out of
// band, streams do not wait, and what has no such data ignores or refuses the
// flag; an error queue is looked into where there is one.
func (c *core) immediate(flags int) bool {
	switch {
	case flags&unix.MSG_DONTWAIT != 0:
		return true
	case flags&unix.MSG_OOB != 0 && c.stream():
		return true
	case flags&unix.MSG_ERRQUEUE != 0:
		return c.family != Unix && c.family != Netlink
	}
	return false
}

// leftover tells from a read's result whether another might find something. A
// stream that gave less than was asked for is drained, and trying again would
// only say EAGAIN; unless its end or an error is behind that, or it stopped at
// an urgent mark.
func (c *core) leftover(n, asked, flags int) bool {
	return n == asked || flags&unix.MSG_PEEK != 0 || !c.stream() || c.reg.Broken() || c.reg.Urgent()
}

// recvAll is MSG_WAITALL on a stream: one budget of time for all that it takes
// to fill the buffer. read reads into what is left of it after done bytes, and
// may say that this is enough.
func (s *Socket) recvAll(size, flags int, read func(fd, done, flags int) (n int, enough bool, errno syscall.Errno)) (int, error) {
	c := s.core
	flags &^= unix.MSG_WAITALL
	total := 0
	err := s.wait(loop.Read, c.recvTimeout.get(), func(fd int) (bool, syscall.Errno) {
		if flags&unix.MSG_PEEK != 0 {
			// Nothing is taken, so each try starts over; and while there is
			// data the end does not show as a read of 0, but as RDHUP.
			n, enough, errno := read(fd, 0, flags)
			if errno == 0 {
				total = n
				if n > 0 && n < size && !enough && !ended(fd) {
					errno = unix.EAGAIN
				}
			}
			return true, errno
		}
		for {
			n, enough, errno := read(fd, total, flags)
			total += n
			if errno != 0 || n == 0 || enough || total == size {
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

// queued is how many bytes wait to be read.
func queued(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return n
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
	n, err := s.send(buf, flags, nil)
	if n, err = s.core.settle(n, err); err != nil {
		return n, fail("send", "", err)
	}
	return n, nil
}

// send sends what it can, to an address if to is not nil, and says why if that
// is not all.
func (s *Socket) send(buf []byte, flags int, to *sockaddr) (int, error) {
	c := s.core
	if err := c.sendable(buf); err != nil {
		return 0, err
	}
	if flags&unix.MSG_DONTWAIT != 0 {
		return s.once(func(fd int) (int, syscall.Errno) { return sendto(fd, buf, flags, to) })
	}
	total := 0
	err := s.waitFor(loop.Write, c.sendTimeout.get(), c.signOfRoom(to != nil), func(fd int) (bool, syscall.Errno) {
		return c.sendRest(fd, buf, &total, flags, to)
	})
	return total, err
}

// sendable is why nothing can be sent at all: no buffer, or an error owed.
func (c *core) sendable(buf []byte) error {
	if buf == nil {
		return invalid("send", "nil buffer", unix.EFAULT, "a buffer is needed; an empty one sends nothing")
	}
	return c.takeOwed()
}

// sendRest makes one try to send what is left of buf.
func (c *core) sendRest(fd int, buf []byte, total *int, flags int, to *sockaddr) (more bool, errno syscall.Errno) {
	n, errno := sendto(fd, buf[*total:], flags, to)
	*total += n
	if errno == 0 && *total < len(buf) && c.stream() {
		return false, unix.EAGAIN // the kernel took what it had room for
	}
	return true, errno
}

// signOfRoom is what tells when more can be sent. That the queue of a unix
// socket has room again is reported to those that are connected to it, and not
// to who sends there by address.
func (c *core) signOfRoom(byAddress bool) sign {
	return sign(byAddress && c.family == Unix && !c.stream())
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
	n, err := s.send(buf, 0, nil)
	if err != nil {
		return n, fail("write", "", err)
	}
	return n, nil
}

var (
	_ io.Reader = (*Socket)(nil)
	_ io.Writer = (*Socket)(nil)
)
