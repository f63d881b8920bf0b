package socket

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// late is how long after its timeout a call may end on a busy machine.
const late = 30 * time.Second

func (b blockedCall) setTimeout(s *Socket, d time.Duration) error {
	if b.sends {
		return s.SetSendTimeout(d)
	}
	return s.SetRecvTimeout(d)
}

func (b blockedCall) requireTimeout(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, isErrno(err, b.late), "%v", err)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var timeout net.Error
	require.True(t, errors.As(err, &timeout) && timeout.Timeout())
	require.NotErrorIs(t, err, net.ErrClosed)
}

// A call times out, and never early, whatever the fraction of the timeout. The next call
// succeeds. The timeout of the other direction has no effect.
func TestTimeoutEndsEveryBlockedCall(t *testing.T) {
	for _, b := range blockedCalls() {
		t.Run(b.name, func(t *testing.T) {
			s, call, satisfy := b.begin(t)
			other := b
			other.sends = !b.sends
			require.NoError(t, other.setTimeout(s, time.Nanosecond))
			for i, limit := range []time.Duration{1, 300 * time.Microsecond, 1999999 * time.Nanosecond, 7500 * time.Microsecond, 20 * time.Millisecond} {
				require.NoError(t, b.setTimeout(s, limit))
				start := time.Now()
				err := call(s)
				took := time.Since(start)
				if b.method == "ConnectAddr" && s.Family() == Inet && i > 0 {
					b.late = unix.EALREADY // the first call has begun the connect
				}
				b.requireTimeout(t, err)
				require.GreaterOrEqual(t, took, limit)
				require.Less(t, took, limit+late)
			}
			require.NoError(t, b.setTimeout(s, 0))
			satisfy()
			require.NoError(t, call(s))
		})
	}
}

// A call keeps the timeout with which it began, even while it waits for the turn.
func TestTimeoutChangedDuringACall(t *testing.T) {
	for _, b := range blockedCalls() {
		t.Run(b.name, func(t *testing.T) {
			s, call, satisfy := b.begin(t)
			unbounded := b.start(t, s, call)
			require.NoError(t, b.setTimeout(s, 60*time.Millisecond))
			start := time.Now()
			queued := b.start(t, s, call)
			require.NoError(t, b.setTimeout(s, time.Millisecond))
			err := soon(t, queued)
			require.GreaterOrEqual(t, time.Since(start), 60*time.Millisecond)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Empty(t, unbounded)
			satisfy()
			require.NoError(t, soon(t, unbounded))
		})
	}
}

// The timeout bounds the whole call, and not each wait in it.
func TestTimeoutIsOfTheWholeCall(t *testing.T) {
	const limit = 80 * time.Millisecond
	s, peer := inputPair(t, Stream)
	require.NoError(t, s.SetRecvTimeout(limit))
	start := time.Now()
	stop := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(over)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-tick.C:
				peer.Send([]byte{'x'}, 0)
			case <-stop:
				tick.Stop()
				return
			}
		}
	}()
	n, err := s.Recv(make([]byte, 1<<20), unix.MSG_WAITALL)
	took := time.Since(start)
	close(stop)
	<-over
	require.NoError(t, err)
	require.Positive(t, n)
	require.GreaterOrEqual(t, took, limit)
	require.Less(t, took, limit+late)
}

// An accepted socket inherits the listener's timeouts on inet. On unix it has none.
func TestTimeoutsInherited(t *testing.T) {
	for family, want := range map[Family]time.Duration{Inet: 1, Inet6: 1, Unix: 0} {
		t.Run(family.String(), func(t *testing.T) {
			var local Config
			if family == Inet6 {
				machine.NeedIPv6(t)
				local.Address = "::1"
			}
			l := listening(t, family, 1, local)
			connectedTo(t, l)
			require.NoError(t, l.SetRecvTimeout(3*time.Second)) // after the connection has arrived
			require.NoError(t, l.SetSendTimeout(5*time.Second))
			s, err := l.Accept()
			require.NoError(t, err)
			defer s.Close()
			require.Equal(t, want*3*time.Second, s.RecvTimeout())
			require.Equal(t, want*5*time.Second, s.SendTimeout())
			require.NoError(t, l.SetRecvTimeout(time.Hour))
			require.Equal(t, want*3*time.Second, s.RecvTimeout(), "they are two sockets")
		})
	}
}

func TestNegativeTimeoutIsRefused(t *testing.T) {
	s := newTCP(t)
	for option, set := range map[string]func(time.Duration) error{"SO_RCVTIMEO": s.SetRecvTimeout, "SO_SNDTIMEO": s.SetSendTimeout} {
		require.NoError(t, set(time.Minute))
		err := set(-time.Millisecond)
		require.ErrorIs(t, err, unix.EDOM)
		require.ErrorContains(t, err, "setsockopt "+option+" -1ms")
	}
	require.Equal(t, time.Minute, s.RecvTimeout(), "it stays as it was")
	require.Equal(t, time.Minute, s.SendTimeout())
}
