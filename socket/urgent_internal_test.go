package socket

import (
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A signal may stop a receive at TCP urgent data with EAGAIN, although bytes follow. No
// event comes for them, so the call tries again before it waits.
func TestReceiveThatASignalStopsAtUrgentDataTriesAgain(t *testing.T) {
	s, peer := urgentAtOnce(t)
	fd := s.core.reg.FD()
	require.True(t, s.core.stoppedAtMark(fd))
	buf, tries, n := make([]byte, 10), 0, 0
	err := s.waitTurn(loop.Read, 50*time.Millisecond, turn{}, func(fd int, waited bool) (bool, syscall.Errno) {
		if tries++; tries == 1 {
			return false, unix.EAGAIN // as for a signal
		}
		require.False(t, waited)
		var errno syscall.Errno
		n, errno = sys.Recv(fd, buf, 0)
		return false, errno
	})
	require.NoError(t, err)
	require.Equal(t, 2, tries)
	require.Equal(t, "cd", string(buf[:n]))

	require.False(t, s.core.stoppedAtMark(fd), "the urgent byte is behind")
	_, err = peer.Send([]byte("!"), unix.MSG_OOB)
	require.NoError(t, err)
	require.False(t, s.core.stoppedAtMark(fd), "there is nothing but the urgent byte")
}

// urgentAtOnce returns a Socket that has "cd" behind an urgent byte, of which Weir knows, and
// its peer.
func urgentAtOnce(t *testing.T) (s, peer *Socket) {
	l := open(t, Inet, Stream, Config{Address: "127.0.0.1"})
	require.NoError(t, l.Listen(1))
	peer = open(t, Inet, Stream, Config{})
	require.NoError(t, peer.ConnectAddr(l.LocalAddr()))
	s, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	require.NoError(t, s.core.reg.Watch())
	_, err = peer.Send([]byte("!"), unix.MSG_OOB)
	require.NoError(t, err)
	_, err = peer.Send([]byte("cd"), 0)
	require.NoError(t, err)
	require.Eventually(t, s.core.reg.Urgent, time.Minute, time.Millisecond)
	return s, peer
}
