package socket

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A timeout is SO_RCVTIMEO or SO_SNDTIMEO, kept in user space: the kernel
// ignores both on a non-blocking descriptor. Zero is none; a negative one,
// which setsockopt(2) accepts and reads back as zero, lets no call wait.
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

// SetRecvTimeout bounds the time that a call may wait to receive: SO_RCVTIMEO,
// for Accept and everything that reads. Zero is no bound, negative is EDOM. The
// time is the whole call's, however often it waits, but each message's of
// RecvBatch; a call in progress keeps the bound that it began with. A call whose
// time is up returns what it has, or EAGAIN: never early, and late by a tenth of
// a millisecond plus scheduling. See socket(7).
func (s *Socket) SetRecvTimeout(d time.Duration) error {
	return s.setTimeout("SO_RCVTIMEO", &s.core.recvTimeout, d)
}

// SetSendTimeout bounds the time that a call may wait to send: SO_SNDTIMEO,
// for Connect and everything that writes; otherwise as SetRecvTimeout. When
// Connect runs out of time it returns EINPROGRESS, and the connection is still
// being made.
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

// RecvTimeout is what SetRecvTimeout or Setsockopt set, or an accepted socket
// inherited; 0 is none.
func (s *Socket) RecvTimeout() time.Duration { return max(s.core.recvTimeout.get(), 0) }

// SendTimeout is for sending what RecvTimeout is for receiving.
func (s *Socket) SendTimeout() time.Duration { return max(s.core.sendTimeout.get(), 0) }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (s *Socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline bounds Accept and everything that reads by a time, as net's
// method of that name does; the zero time is no bound. Unlike the timeout it
// holds for calls in progress, too, and wakes them if it has passed; and a call
// that begins after it returns EAGAIN at once, even if there is something to
// read. Both may be set: the earlier ends the call. Calls that cannot wait, such
// as those with MSG_DONTWAIT, do not mind it. Accepted sockets do not inherit it.
func (s *Socket) SetReadDeadline(t time.Time) error {
	return s.setDeadline("set read deadline", loop.Read, t)
}

// SetWriteDeadline is for Connect and everything that writes what
// SetReadDeadline is for reading.
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
