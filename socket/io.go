package socket

import (
	"io"
	"syscall"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

var _ io.Writer = (*Socket)(nil)

// The methods in this file return what recv(2) and send(2) return, unlike those
// that read and write.
const (
	opRecv = "recv"
	opSend = "send"
)

// Recv receives into buf: recv(2) with its flags. It waits for data, within the
// receive timeout, and returns what there is, up to the length of buf. At the
// end of a stream it returns 0 and io.EOF. With MSG_WAITALL it fills buf, or
// returns the part that came in time; with SO_RCVLOWAT it does so for that many
// bytes. With MSG_DONTWAIT or MSG_OOB it does not wait. Recv drops the input
// that other methods have read ahead, even if it then fails; with MSG_PEEK or
// MSG_OOB it keeps it.
//
// What does not fit of a message is lost. An empty message is 0 without an
// error. A nil buf is EFAULT.
func (s *Socket) Recv(buf []byte, flags int) (int, error) { return s.recvAs(opRecv, buf, flags) }

// received returns the error of a read that gave n bytes: err, or io.EOF if the
// read asked for something and found the end.
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

// zeroIsEnd reports whether a read of 0 bytes means the end. On a stream it
// does. On a seqpacket socket it does if nothing more can come: an empty
// message just before the end looks the same, and is taken for the end. A
// datagram socket has no end.
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

// ended is zeroIsEnd for a caller that holds the descriptor.
func (c *core) ended(fd int) bool {
	return c.stream() || c.typ == SeqPacket && polled(fd, unix.POLLRDHUP) && queued(fd) == 0
}

// past returns the turn of a call that receives past the input buffer. The call
// drops the buffer before its first try. The call that had the turn before may
// have left an error.
func (c *core) past(flags int, after bool) turn {
	return turn{after: after, first: func() (bool, error) {
		if err := c.receivable(flags); err != nil {
			return false, err
		}
		c.dropInput(flags)
		return false, nil
	}}
}

// waitRecv is waitTurn for a system call that receives.
func (s *Socket) waitRecv(t turn, try func(fd int, waited bool) (more bool, errno syscall.Errno)) error {
	return s.waitTurn(loop.Read, s.core.recvTimeout.get(), t, try)
}

// onceRecv is once for a call that receives past the input buffer.
func (s *Socket) onceRecv(flags int, try func(fd int) (int, syscall.Errno)) (int, error) {
	s.core.dropInput(flags)
	return s.once(try)
}

// receivable returns the owed error that keeps a call from receiving, or nil.
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

// recv receives, and stores the sender in from unless that is nil.
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
			return c.recvfrom(fd, buf, flags|unix.MSG_DONTWAIT, from)
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
			n, errno := c.recvfrom(fd, buf[done:], flags, from)
			return n, false, errno
		})
	}
	var n int
	err := s.waitRecv(t, func(fd int, waited bool) (bool, syscall.Errno) {
		if waited && len(buf) == 0 && c.tcp() {
			return true, 0 // TCP waits once for a read of 0 bytes
		}
		var errno syscall.Errno
		n, errno = c.recvfrom(fd, buf, flags, from)
		return c.leftover(n, len(buf), flags), errno
	})
	return n, err
}

// tcp reports whether the socket is a stream of inet or inet6: TCP, or a
// protocol like it.
func (c *core) tcp() bool { return c.stream() && (c.family == Inet || c.family == Inet6) }

// immediate reports whether a read with these flags never waits. With MSG_OOB a
// stream does not wait; other types ignore the flag or refuse it. With
// MSG_ERRQUEUE a socket that has an error queue does not wait.
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

// leftover reports, from what a read returned, whether another read might find
// something. A stream that returned less than was asked for is drained, so that
// another read would say EAGAIN. There are exceptions: the end or an error may
// follow, or the read stopped at an urgent mark. A unix stream also stops
// behind descriptors and where the sender changes, and recv(2) does not report
// that. A socket with a pace asks for less than there may be.
func (c *core) leftover(n, asked, flags int) bool {
	return n == asked || flags&unix.MSG_PEEK != 0 || !c.stream() || c.family == Unix || c.pace != nil || c.reg.Broken() || c.reg.Urgent()
}

// target returns how many bytes of a stream a receive waits for, by MSG_WAITALL
// or SO_RCVLOWAT. The kernel ignores both on a non-blocking descriptor. A peek
// at a unix socket never waits for more than there is.
func (c *core) target(asked, flags int) int {
	switch {
	case !c.stream() || flags&unix.MSG_PEEK != 0 && c.family == Unix:
		return 0
	case flags&unix.MSG_WAITALL != 0:
		return asked
	}
	return min(int(c.lowWater.Load()), asked)
}

// recvAtLeast receives target bytes or more, unless the time is up or the
// stream ends. All its waits have one timeout together. read reads into what is
// left after done bytes, and may report that this is enough.
func (s *Socket) recvAtLeast(target, flags int, t turn, read func(fd, done, flags int) (n int, enough bool, errno syscall.Errno)) (int, error) {
	flags &^= unix.MSG_WAITALL
	total := 0
	err := s.waitRecv(t, func(fd int, _ bool) (bool, syscall.Errno) {
		if flags&unix.MSG_PEEK != 0 {
			// A peek takes nothing, so each try starts over. It does not go
			// beyond an urgent mark. At the end of the stream it keeps
			// returning the same bytes, and attempt notices the end.
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
				// The error is owed before the turn ends, because the next call
				// may have the turn at once.
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
// until all of buf is queued in the kernel, and returns how many bytes are. If
// the time is up, or the connection breaks midway, these are fewer, without an
// error, and the next call reports the break. A message is sent whole or not at
// all (EMSGSIZE). A broken connection gives EPIPE, and no signal. With
// MSG_DONTWAIT, Send does not wait. It leaves the input buffer alone. A nil buf
// is EFAULT.
func (s *Socket) Send(buf []byte, flags int) (int, error) { return s.sendAs(opSend, buf, flags) }

// send sends what it can, to an address if to is not nil. If that is not all of
// buf, it also returns why.
func (s *Socket) send(buf []byte, flags int, to *sockaddr) (int, error) {
	c := s.core
	if err := c.sendable(buf); err != nil {
		return 0, err
	}
	if flags&unix.MSG_DONTWAIT != 0 {
		return s.once(func(fd int) (int, syscall.Errno) { return c.sendto(fd, buf, flags, to) })
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

// sendable returns why nothing can be sent: buf is nil, or an error is owed.
func (c *core) sendable(buf []byte) error {
	if buf == nil {
		return invalid("send", "nil buffer", unix.EFAULT, "a buffer is needed; an empty one sends nothing")
	}
	return c.takeOwed()
}

// mostAtOnce is how many bytes of a stream one system call sends. If the peer receives
// meanwhile, a system call that sends more may take as long as all of them take. Then the
// goroutine keeps its P: with one P no other connection has an answer until it ends.
const mostAtOnce = 1 << 20

// sendRest sends what is left of buf, until the kernel has no room.
func (c *core) sendRest(fd int, buf []byte, total *int, flags int, to *sockaddr, waited bool) (more bool, errno syscall.Errno) {
	for {
		if c.brokenMidway(fd, *total) {
			return true, unix.EPIPE
		}
		p := buf[*total:]
		if flags == 0 && c.stream() { // a flag such as MSG_OOB is for the last byte of all
			p = p[:min(len(p), mostAtOnce)]
		}
		n, errno := c.sendto(fd, p, flags, to)
		*total += n
		switch {
		case errno != 0, *total == len(buf), !c.stream():
			return true, c.pipeError(fd, errno, waited)
		case n < len(p):
			return false, unix.EAGAIN // the kernel has no more room
		}
		c.reg.Loop().Yield()
		if c.reg.Look(loop.Writable) == loop.Gone {
			return true, unix.EAGAIN // the wait returns why
		}
	}
}

// brokenMidway reports whether the connection broke while a call was sending.
// The error then stays in the kernel for the next call. POLLERR would not show
// that, because notifications of sending (MSG_ZEROCOPY, SO_TIMESTAMPING) in the
// error queue raise it too.
func (c *core) brokenMidway(fd, total int) bool {
	return total > 0 && c.reg.Broken() && c.tcp() && polled(fd, unix.POLLHUP)
}

// pipeError returns the errno of a send. For EPIPE on a unix socket, a call
// that has waited returns what broke the connection.
func (c *core) pipeError(fd int, errno syscall.Errno, waited bool) syscall.Errno {
	if errno == unix.EPIPE && waited && c.family == Unix {
		return pending(fd, errno)
	}
	return errno
}

// signOfRoom returns what a send waits for. If the queue of a unix socket has
// room again, the kernel reports it to sockets that are connected to it, but
// not to a socket that sends by address.
func (c *core) signOfRoom(byAddress bool) sign {
	return sign(byAddress && c.family == Unix && !c.stream())
}

// Write sends all of buf, for io.Writer: send(2), within the send timeout. If
// it sends less, the error says why: EAGAIN when the time is up, or what broke
// the connection.
func (s *Socket) Write(buf []byte) (int, error) { return s.sendAs("write", buf, 0) }

// notSent returns the result of a sendAs that has sent n bytes and then failed.
func (s *Socket) notSent(op string, n int, err error) (int, error) {
	if op == opSend {
		if n, err = s.core.settle(n, err); err != nil {
			err = s.core.failed(op, "", err)
		}
		return n, err
	}
	return n, s.short(op, n, err)
}

// short returns the error of a call that had to send everything, and sent n
// bytes.
func (s *Socket) short(op string, n int, err error) error {
	if err == unix.EPIPE && n > 0 {
		_ = s.control(op, "", func(fd int) error { err = pending(fd, unix.EPIPE); return nil })
	}
	if err != nil {
		return s.core.failed(op, "", err)
	}
	return nil
}
