package socket

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A timeout is SO_RCVTIMEO or SO_SNDTIMEO, kept in user space: the kernel
// ignores both on a non-blocking descriptor. Zero is none; a negative one,
// which setsockopt(2) accepts and reads back as zero, lets no call wait.
type timeout struct{ d atomic.Int64 }

func (t *timeout) get() time.Duration  { return time.Duration(t.d.Load()) }
func (t *timeout) set(d time.Duration) { t.d.Store(int64(d)) }

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
