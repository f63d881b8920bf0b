package socket

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A timeout is SO_RCVTIMEO or SO_SNDTIMEO. The socket keeps it, because the
// kernel ignores both on a non-blocking descriptor. Zero means no limit. A
// negative one, which setsockopt(2) accepts and reads back as zero, lets no
// call wait.
type timeout struct{ d atomic.Int64 }

// get returns the timeout of a call: loop.Forever if none was set.
func (t *timeout) get() time.Duration {
	switch d := time.Duration(t.d.Load()); {
	case d > 0:
		return d
	case d == 0:
		return loop.Forever
	}
	return loop.NoWait
}

func (t *timeout) set(d time.Duration)   { t.d.Store(int64(d)) }
func (t *timeout) inherit(from *timeout) { t.d.Store(from.d.Load()) }

// SetRecvTimeout sets SO_RCVTIMEO: how long a call may wait to receive. It
// applies to Accept and every method that reads. Zero means no limit; a
// negative d is EDOM. All waits of a call have the time together, but each
// message of RecvBatch has it anew. A call in progress keeps the timeout that
// it began with. When the time is up, a call returns what it has, or EAGAIN:
// never early, and late by a tenth of a millisecond plus scheduling. See
// socket(7).
func (s *Socket) SetRecvTimeout(d time.Duration) error {
	return s.setTimeout("SO_RCVTIMEO", &s.core.recvTimeout, d)
}

// SetSendTimeout sets SO_SNDTIMEO: how long a call may wait to send. It applies
// to Connect and every method that writes; otherwise it is as SetRecvTimeout.
// When the time of a Connect is up, it returns EINPROGRESS, and the kernel goes
// on connecting.
func (s *Socket) SetSendTimeout(d time.Duration) error {
	return s.setTimeout("SO_SNDTIMEO", &s.core.sendTimeout, d)
}

func (s *Socket) setTimeout(option string, t *timeout, d time.Duration) error {
	const op = "setsockopt"
	if d < 0 {
		return invalid(op, option+" "+d.String(), unix.EDOM, "a timeout is not negative; 0 is none")
	}
	return s.control(op, option, func(int) error { t.set(d); return nil })
}

// RecvTimeout returns the timeout that SetRecvTimeout or Setsockopt has set, or
// that an accepted socket has inherited. 0 means no limit.
func (s *Socket) RecvTimeout() time.Duration { return max(s.core.recvTimeout.get(), 0) }

// SendTimeout returns the timeout that SetSendTimeout or Setsockopt has set, or
// that an accepted socket has inherited. 0 means no limit.
func (s *Socket) SendTimeout() time.Duration { return max(s.core.sendTimeout.get(), 0) }

// SetDeadline calls SetReadDeadline and SetWriteDeadline.
func (s *Socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline sets the moment at which Accept and every method that reads
// end, as in package net; the zero time means none. Unlike the timeout, it also
// applies to calls in progress. A call that begins after it returns EAGAIN at
// once, even if there is something to read. If a timeout is set too, the
// earlier one ends the call. Calls that cannot wait, such as those with
// MSG_DONTWAIT, ignore it. Accepted sockets do not inherit it.
func (s *Socket) SetReadDeadline(t time.Time) error {
	return s.setDeadline("set read deadline", loop.Read, t)
}

// SetWriteDeadline sets the moment at which Connect and every method that
// writes end. Otherwise it is as SetReadDeadline.
func (s *Socket) SetWriteDeadline(t time.Time) error {
	return s.setDeadline("set write deadline", loop.Write, t)
}

func (s *Socket) setDeadline(op string, d loop.Direction, t time.Time) error {
	err := s.core.reg.SetDeadline(d, t)
	runtime.KeepAlive(s)
	if err != nil {
		return fail(op, "", err)
	}
	return nil
}
