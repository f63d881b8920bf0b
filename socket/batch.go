package socket

import (
	"syscall"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// mostReceived is how many messages the kernel takes in one call.
const mostReceived = 1024

// RecvBatch receives messages: recvmmsg(2) with its flags. It waits until all of
// msgs are received, for each message within the receive timeout, and returns how
// many arrived in time. If none did, the error says why. With
// MSG_WAITFORONE it waits for the first and takes what else is there; with
// MSG_DONTWAIT it does not wait. It changes only the messages that were
// received. At most 1024 come at once. Fewer, or none, come without an error
// when the receiving side is shut down.
//
// An error that comes after some messages, such as an ICMP refusal, is left to
// the next call. So is the end of a wait by Close, Interrupt or a context, if
// it still applies then. Other calls that receive may come in between two
// waits, as in the kernel. Each message has the results that RecvMsg gives. The
// socket's remote address stays as it is. RecvBatch allocates nothing once its
// buffers have grown.
func (s *Socket) RecvBatch(msgs []Message, flags int) (n int, err error) {
	c := s.core
	msgs = msgs[:min(len(msgs), mostReceived)]
	if len(msgs) == 0 {
		return 0, nil
	}
	if err := c.receivable(flags); err != nil {
		return 0, c.failed("recvmmsg", "", err)
	}
	if !c.immediate(flags) && c.target(2, flags) > 1 { // the target does not depend on the 2
		n, err = s.recvFull(msgs, flags)
	} else {
		n, err = s.recvBatch(msgs, flags)
	}
	if err != nil && n == 0 {
		return 0, c.failed("recvmmsg", "", err)
	}
	return n, nil
}

// recvFull receives parts of a stream that must have a certain length, by
// MSG_WAITALL or SO_RCVLOWAT.
func (s *Socket) recvFull(msgs []Message, flags int) (n int, err error) {
	// As in the kernel, an error comes before what is queued.
	_ = s.control("recvmmsg", "", func(fd int) error {
		if errno := pending(fd, 0); errno != 0 {
			err = errno
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	h := takeHeaders(s.core)
	defer h.free()
	// What a part of a message has left is for the next call, and nothing comes
	// before it.
	for n < len(msgs) && !(h.after && s.core.owes()) {
		m := msgs[n] // it stays as it is if nothing comes
		m.forget()
		if m.N, err = s.recvMsg(h, &m, flags); err != nil {
			break
		}
		msgs[n] = m
		n++
		h.after = true
		if flags&unix.MSG_WAITFORONE != 0 {
			flags |= unix.MSG_DONTWAIT
		}
	}
	return n, err
}

// recvBatch waits once with MSG_WAITFORONE. Otherwise it waits until all
// messages have come. Each wait has the whole receive timeout, as each message
// has in the kernel.
func (s *Socket) recvBatch(msgs []Message, flags int) (n int, err error) {
	c := s.core
	h := takeHeaders(c)
	defer h.free()
	h.receive(msgs)
	defer func() { h.told(msgs[:n]) }()
	if c.immediate(flags) {
		return s.onceRecv(flags, func(fd int) (int, syscall.Errno) { return h.recvmmsg(fd, 0, flags|unix.MSG_DONTWAIT) })
	}
	for n < len(msgs) {
		got := 0
		err = s.waitRecv(c.past(flags, n > 0), func(fd int, _ bool) (bool, syscall.Errno) {
			var errno syscall.Errno
			if got, errno = h.recvmmsg(fd, n, flags); errno != 0 {
				return true, errno
			}
			// Fewer than were asked for: the last try in there said EAGAIN. But
			// the end is found by another try, and no event tells of it again.
			return n+got == len(msgs) || c.stream() || c.reg.Broken(), 0
		})
		n += got
		if err != nil || got == 0 || flags&unix.MSG_WAITFORONE != 0 {
			break
		}
	}
	return n, err
}

// SendBatch sends messages: sendmmsg(2) with its flags. It waits, within one
// send timeout, until all of them are queued in the kernel. If fewer are, it
// returns how many, and the error says why: EAGAIN when the time is up, or what
// is wrong with the next message. It sets N of each message. It refuses a bad
// address or segment before it sends anything. It allocates nothing once its
// buffers have grown.
//
// The kernel's own call forgets an error that occurs after the first message.
// SendBatch goes on then, and reports what stops it.
func (s *Socket) SendBatch(msgs []Message, flags int) (n int, err error) {
	const op = "sendmmsg"
	c := s.core
	if len(msgs) == 0 {
		return 0, nil
	}
	if err := c.takeOwed(); err != nil {
		return 0, c.failed(op, "", err)
	}
	h := takeHeaders(c)
	defer h.free()
	if err := h.send(msgs); err != nil {
		return 0, c.failed(op, "", err)
	}
	byAddress := false
	for i := range msgs {
		msgs[i].N = 0
		byAddress = byAddress || msgs[i].Addr.IsValid()
	}
	if flags&unix.MSG_DONTWAIT != 0 {
		k, err := s.once(func(fd int) (int, syscall.Errno) { return h.sendmmsg(fd, 0, flags) })
		if err != nil {
			return 0, c.failed(op, msgs[0].Addr.String(), err)
		}
		return h.sent(msgs, 0, k), nil
	}
	err = s.waitTurn(loop.Write, c.sendTimeout.get(), turn{sign: c.signOfRoom(byAddress)}, func(fd int, _ bool) (bool, syscall.Errno) {
		for n < len(msgs) {
			k, errno := h.sendmmsg(fd, n, flags)
			if errno != 0 {
				return true, errno
			}
			n = h.sent(msgs, n, k)
		}
		return true, 0
	})
	if err != nil {
		return n, c.failed(op, msgs[n].Addr.String(), err)
	}
	return n, nil
}

// sent notes that k messages from index from on were sent, and returns the
// index of the first message that is not sent whole. On a stream, a part of the
// last one may have been sent.
func (h *headers) sent(msgs []Message, from, k int) (next int) {
	for i := from; i < from+k; i++ {
		n := int(h.msgs[i].Len)
		msgs[i].N += n
		if h.core.stream() && n < h.remaining(i) {
			h.wasSent(i, n)
			return i
		}
	}
	return from + k
}
