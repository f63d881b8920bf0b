package socket

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func (b blockedCall) setDeadline(s *Socket, t time.Time) error {
	if b.sends {
		return s.SetWriteDeadline(t)
	}
	return s.SetReadDeadline(t)
}

// The call times out by a deadline that expires, by one that moves into the past during
// the call, and by one that has passed before. The deadline of the other direction has no
// effect.
func TestDeadlineEndsEveryBlockedCall(t *testing.T) {
	for _, b := range blockedCalls() {
		t.Run(b.name, func(t *testing.T) {
			s, call, satisfy := b.begin(t)
			other := b
			other.sends = !b.sends
			require.NoError(t, other.setDeadline(s, time.Unix(1, 0)))

			end := time.Now().Add(10 * time.Millisecond)
			require.NoError(t, b.setDeadline(s, end))
			err := call(s)
			require.False(t, time.Now().Before(end))
			b.requireTimeout(t, err)
			if b.method == "ConnectAddr" && s.Family() == Inet {
				b.late = unix.EALREADY // the first call has begun the connect
			}

			require.NoError(t, b.setDeadline(s, time.Now().Add(time.Hour)))
			first := b.start(t, s, call)
			queued := b.start(t, s, call)
			require.NoError(t, b.setDeadline(s, time.Unix(1, 0)))
			b.requireTimeout(t, soon(t, first))
			if b.method == "ConnectAddr" || b.method == "Connect" {
				b.late = unix.EINPROGRESS // the call made no system call
			}
			b.requireTimeout(t, soon(t, queued))

			satisfy()
			b.requireTimeout(t, call(s)) // even if the call need not wait
			require.NoError(t, b.setDeadline(s, time.Time{}))
			require.NoError(t, call(s))
		})
	}
}

func TestDeadlineMayBeMovedOn(t *testing.T) {
	for _, b := range blockedCalls() {
		t.Run(b.name, func(t *testing.T) {
			for span := 100 * time.Millisecond; ; span *= 2 {
				s, call, satisfy := b.begin(t)
				first := time.Now().Add(span)
				require.NoError(t, s.SetDeadline(first))
				result := b.start(t, s, call)
				require.NoError(t, s.SetDeadline(time.Now().Add(time.Hour)))
				if !time.Now().Before(first) { // a busy machine was too late
					require.NoError(t, s.Close())
					require.Error(t, soon(t, result))
					continue
				}
				<-time.After(time.Until(first) + 10*time.Millisecond)
				require.Empty(t, result)
				satisfy()
				require.NoError(t, soon(t, result))
				return
			}
		})
	}
}

func TestDeadlineOfClosedSocket(t *testing.T) {
	s := newTCP(t)
	require.NoError(t, s.Close())
	for _, set := range []func(time.Time) error{s.SetDeadline, s.SetReadDeadline, s.SetWriteDeadline} {
		err := set(time.Time{})
		require.ErrorIs(t, err, unix.EBADF)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorContains(t, err, "deadline")
	}
}

// Calls that cannot wait ignore the deadline.
func TestDeadlineAndDontWait(t *testing.T) {
	s, peer := inputPair(t, Stream)
	require.NoError(t, s.SetDeadline(time.Unix(1, 0)))
	put(t, peer, "x")
	n, err := s.Recv(make([]byte, 8), unix.MSG_DONTWAIT)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = s.Send([]byte("y"), unix.MSG_DONTWAIT)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
