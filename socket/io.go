package socket

import (
	"io"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

var _ io.Writer = (*Socket)(nil)

// The methods whose results are recv(2)'s and send(2)'s, unlike those that read
// and write.
const (
	opRecv = "recv"
	opSend = "send"
)

// Recv receives into buf: recv(2) with its flags. It waits for data, within
// the receive timeout, and returns what there is, up to the buffer's length; at
// the end of a stream that is 0 and io.EOF. MSG_WAITALL fills the buffer, or
// returns the part that came in time; so does SO_RCVLOWAT, for so many bytes.
// MSG_DONTWAIT and MSG_OOB do not wait. Input that other methods have read ahead
// is dropped, even if Recv then fails; with MSG_PEEK or MSG_OOB it stays.
//
// Of a message, what does not fit is lost, and an empty one is 0 without an
// error. A nil buf is EFAULT.
func (s *Socket) Recv(buf []byte, flags int) (int, error) { return s.recvAs(opRecv, buf, flags) }

// received is the error of a read that gave n bytes: what failed, or the end,
// which is a read of nothing that asked for something.
func (s *Socket) received(op string, n, asked, flags int, err error) error {
	if err == nil && n > 0 {
		return nil
	}
	if err == nil && asked > 0 && flags&unix.MSG_ERRQUEUE == 0 && s.zeroIsEnd() {
		err = io.EOF
	}
	if err != nil {
		return s.core.failed(op, "", err)
	}
	return nil
}

// zeroIsEnd reports whether a read of nothing was the end. On a stream it is;
// and on a seqpacket socket if no more can come: an empty message is read the
// same way, so one just before the end is taken for it, and the next read says
// which it was. A datagram socket has no end.
func (s *Socket) zeroIsEnd() bool {
	if s.core.typ != SeqPacket {
		return s.core.stream()
	}
	end := false
	err := s.control("recv", "", func(fd int) error {
		end = s.core.ended(fd)
		return nil
	})
	return err == nil && end
}

// ended is zeroIsEnd for a caller that has the descriptor.
func (c *core) ended(fd int) bool {
	return c.stream() || c.typ == SeqPacket && polled(fd, unix.POLLRDHUP) && queued(fd) == 0
}

// past is the turn of a call that receives past the input buffer, and so drops
// what is there before the first try. An error may be owed by who had the turn
// before.
func (c *core) past(flags int, after bool) turn {
	return turn{after: after, first: func() (bool, error) {
		if err := c.receivable(flags); err != nil {
			return false, err
		}
		c.dropInput(flags)
		return false, nil
	}}
}

// waitRecv is wait for a system call that receives.
func (s *Socket) waitRecv(t turn, try func(fd int, waited bool) (more bool, errno syscall.Errno)) error {
	return s.waitTurn(loop.Read, s.core.recvTimeout.get(), t, try)
}

// onceRecv is once for a call that receives past the input buffer.
func (s *Socket) onceRecv(flags int, try func(fd int) (int, syscall.Errno)) (int, error) {
	s.core.dropInput(flags)
	return s.once(try)
}

// receivable is why nothing can be received at all: an error owed.
func (c *core) receivable(flags int) error {
	if !c.owes() {
		return nil
	}
	err := c.takeOwed()
	if err != nil {
		c.dropInput(flags)
	}
	return err
}

// recv receives, and tells who from if from is not nil.
func (s *Socket) recv(buf []byte, flags int, from *sockaddr) (int, error) {
	c := s.core
	if buf == nil {
		return 0, invalid("recv", "nil buffer", unix.EFAULT, "a buffer is needed")
	}
	if err := c.receivable(flags); err != nil {
		return 0, err
	}
	if c.immediate(flags) {
		return s.onceRecv(flags, func(fd int) (int, syscall.Errno) {
			return sys.Recvfrom(fd, buf, flags|unix.MSG_DONTWAIT, (*sys.Sockaddr)(from))
		})
	}
	return s.recvInto(buf, flags, from, c.past(flags, false))
}

// recvInto receives what the flags and SO_RCVLOWAT ask for.
func (s *Socket) recvInto(buf []byte, flags int, from *sockaddr, t turn) (int, error) {
	c := s.core
	if target := c.target(len(buf), flags); target > 1 {
		if c.family == Unix {
			return s.recvWithin(buf, target, flags, from, t)
		}
		return s.recvAtLeast(target, flags, t, func(fd, done, flags int) (int, bool, syscall.Errno) {
			n, errno := sys.Recvfrom(fd, buf[done:], flags, (*sys.Sockaddr)(from))
			return n, false, errno
		})
	}
	var n int
	err := s.waitRecv(t, func(fd int, waited bool) (bool, syscall.Errno) {
		if waited && len(buf) == 0 && c.tcp() {
			return true, 0 // one wait is all that TCP makes for nothing
		}
		var errno syscall.Errno
		n, errno = sys.Recvfrom(fd, buf, flags, (*sys.Sockaddr)(from))
		return c.leftover(n, len(buf), flags), errno
	})
	return n, err
}

// tcp reports whether the socket is one of TCP, or of a protocol like it.
func (c *core) tcp() bool { return c.stream() && (c.family == Inet || c.family == Inet6) }

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
// an urgent mark. A unix stream also stops behind descriptors and where the
// sender changes, and recv(2) does not tell.
func (c *core) leftover(n, asked, flags int) bool {
	return n == asked || flags&unix.MSG_PEEK != 0 || !c.stream() || c.family == Unix || c.reg.Broken() || c.reg.Urgent()
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
// stream ends: one budget of time for all that it takes. read reads into what is
// left after done bytes, and may say that this is enough.
func (s *Socket) recvAtLeast(target, flags int, t turn, read func(fd, done, flags int) (n int, enough bool, errno syscall.Errno)) (int, error) {
	flags &^= unix.MSG_WAITALL
	total := 0
	err := s.waitRecv(t, func(fd int, _ bool) (bool, syscall.Errno) {
		if flags&unix.MSG_PEEK != 0 {
			// Nothing is taken, so each try starts over. A peek goes no further
			// than an urgent mark; and at the end it does not become 0, which
			// attempt notices.
			n, enough, errno := read(fd, 0, flags)
			if errno == 0 {
				total = n
				if n > 0 && n < target && !enough && !polled(fd, unix.POLLPRI) {
					errno = unix.EAGAIN
				}
			}
			return true, errno
		}
		for {
			n, enough, errno := read(fd, total, flags)
			total += n
			if errno != 0 && errno != unix.EAGAIN && total > 0 {
				// Owed already now: the next one has the turn at once.
				_, _ = s.core.settle(total, errno)
				return true, 0
			}
			if errno != 0 || n == 0 || enough || total >= target || atMark(fd) {
				return true, errno
			}
		}
	})
	return s.core.settle(total, err)
}

// Send sends buf: send(2) with its flags. It waits, within the send timeout,
// until all of it is queued in the kernel, and returns how much is: less than
// all, without an error, when the time was up or the connection broke midway;
// the next call tells of the break. A message is sent whole or not at all
// (EMSGSIZE). A broken connection gives EPIPE, and no signal. MSG_DONTWAIT does
// not wait. The input buffer is not affected. A nil buf is EFAULT.
func (s *Socket) Send(buf []byte, flags int) (int, error) { return s.sendAs(opSend, buf, flags) }

// send sends what it can, to an address if to is not nil, and says why if that
// is not all.
func (s *Socket) send(buf []byte, flags int, to *sockaddr) (int, error) {
	c := s.core
	if err := c.sendable(buf); err != nil {
		return 0, err
	}
	if flags&unix.MSG_DONTWAIT != 0 {
		return s.once(func(fd int) (int, syscall.Errno) { return sys.Sendto(fd, buf, flags, (*sys.Sockaddr)(to)) })
	}
	total := 0
	if to != nil && c.opens(flags) {
		err := s.fastOpen(to.decode(), &total, len(buf), c.opening(buf, &total, flags, to))
		return total, err
	}
	err := s.waitTurn(loop.Write, c.sendTimeout.get(), turn{sign: c.signOfRoom(to != nil)}, func(fd int, waited bool) (bool, syscall.Errno) {
		return c.sendRest(fd, buf, &total, flags, to, waited)
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
func (c *core) sendRest(fd int, buf []byte, total *int, flags int, to *sockaddr, waited bool) (more bool, errno syscall.Errno) {
	if c.brokenMidway(fd, *total) {
		return true, unix.EPIPE
	}
	n, errno := sys.Sendto(fd, buf[*total:], flags, (*sys.Sockaddr)(to))
	*total += n
	if errno == 0 && *total < len(buf) && c.stream() {
		return false, unix.EAGAIN // the kernel took what it had room for
	}
	return true, c.pipeError(fd, errno, waited)
}

// brokenMidway reports whether the connection broke while a call was sending:
// the error then stays in the kernel for the next call. POLLERR would not tell: an
// error queue with notifications of sending (MSG_ZEROCOPY, SO_TIMESTAMPING) raises
// it, too.
func (c *core) brokenMidway(fd, total int) bool {
	return total > 0 && c.reg.Broken() && c.tcp() && polled(fd, unix.POLLHUP)
}

// pipeError is the error of a send. For EPIPE on a unix socket, a call that has
// waited is told what broke the connection.
func (c *core) pipeError(fd int, errno syscall.Errno, waited bool) syscall.Errno {
	if errno == unix.EPIPE && waited && c.family == Unix {
		return pending(fd, errno)
	}
	return errno
}

// signOfRoom is what tells when more can be sent. That the queue of a unix
// socket has room again is reported to those that are connected to it, and not
// to who sends there by address.
func (c *core) signOfRoom(byAddress bool) sign {
	return sign(byAddress && c.family == Unix && !c.stream())
}

// Write sends all of buf, for io.Writer: send(2), within the send timeout. When
// it sends less, the error says why: EAGAIN when the time was up, or what broke
// the connection.
func (s *Socket) Write(buf []byte) (int, error) { return s.sendAs("write", buf, 0) }

// notSent is what sendAs returns when not all was sent, and why.
func (s *Socket) notSent(op string, n int, err error) (int, error) {
	if op == opSend {
		if n, err = s.core.settle(n, err); err != nil {
			err = s.core.failed(op, "", err)
		}
		return n, err
	}
	return n, s.short(op, n, err)
}

// short is the error of a call that had to send everything, and sent n bytes.
func (s *Socket) short(op string, n int, err error) error {
	if err == unix.EPIPE && n > 0 {
		_ = s.control(op, "", func(fd int) error { err = pending(fd, unix.EPIPE); return nil })
	}
	if err != nil {
		return s.core.failed(op, "", err)
	}
	return nil
}
