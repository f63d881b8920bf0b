package socket

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// arrived waits until there is input, or the end, and the loop knows of it.
func arrived(t *testing.T, s *Socket) {
	t.Helper()
	require.NoError(t, s.core.reg.Watch())
	require.Eventually(t, func() bool {
		return polled(s.Fd(), unix.POLLIN) && s.core.reg.Look(loop.Readable) != loop.Unready
	}, time.Minute, time.Millisecond)
}

// A take gets what has arrived and uses the ready mark up, so that the next one needs no
// system call. It does not wait, whatever the timeouts and other calls are.
func TestTake(t *testing.T) {
	peer, s := tcpPair(t)
	buf := make([]byte, 100)
	requireNothing := func() {
		t.Helper()
		n, err := s.take(buf)
		require.Zero(t, n)
		require.Equal(t, error(unix.EAGAIN), err)
		require.Equal(t, loop.Unready, s.core.reg.Look(loop.Readable))
	}
	requireTaken := func(want string, buf []byte) {
		t.Helper()
		arrived(t, s)
		n, err := s.take(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
	require.NoError(t, s.core.reg.Watch())
	requireNothing()
	put(t, peer, "hello")
	requireTaken("hello", buf)
	require.Equal(t, loop.Unready, s.core.reg.Look(loop.Readable), "a stream that returned less than was asked for is drained")
	requireNothing()

	put(t, peer, "full")
	requireTaken("full", buf[:4])
	require.Equal(t, loop.Doubtful, s.core.reg.Look(loop.Readable), "more may be there")
	requireNothing()

	require.NoError(t, s.SetReadDeadline(time.Unix(1, 0)))
	put(t, peer, "late")
	requireTaken("late", buf)
	require.NoError(t, s.SetReadDeadline(time.Time{}))

	require.NoError(t, s.Setsockopt(nil, "SO_RCVLOWAT", 50))
	put(t, peer, "few")
	require.Eventually(t, func() bool { return queued(s.Fd()) > 0 }, time.Minute, time.Millisecond)
	n, err := s.take(buf)
	require.NoError(t, err)
	require.Equal(t, "few", string(buf[:n]))
	require.NoError(t, s.Setsockopt(nil, "SO_RCVLOWAT", 1))

	require.NoError(t, peer.Close())
	arrived(t, s)
	for range 2 {
		n, err = s.take(buf)
		require.Zero(t, n)
		require.ErrorIs(t, err, io.EOF)
	}
	require.NoError(t, s.Close())
	_, err = s.take(buf)
	require.ErrorIs(t, err, net.ErrClosed)
}

// A take does not wait for a call that has the turn.
func TestTakeBesideACallThatHasTheTurn(t *testing.T) {
	peer, s := tcpPair(t)
	call := loop.Call{Timeout: loop.Forever}
	_, err := s.core.reg.Begin(loop.Read, &call)
	require.NoError(t, err)
	defer s.core.reg.End(loop.Read, true)
	buf := make([]byte, 100)
	_, err = s.take(buf)
	require.Equal(t, error(unix.EAGAIN), err)
	put(t, peer, "input")
	require.Eventually(t, func() bool { return queued(s.Fd()) > 0 }, time.Minute, time.Millisecond)
	n, err := s.take(buf)
	require.NoError(t, err)
	require.Equal(t, "input", string(buf[:n]))
}

// A take returns the error of the connection.
func TestTakeOfAReset(t *testing.T) {
	peer, s := tcpPair(t)
	require.NoError(t, peer.Setsockopt(nil, "SO_LINGER", []int{1, 0}))
	require.NoError(t, peer.Close())
	arrived(t, s)
	_, err := s.take(make([]byte, 100))
	require.ErrorIs(t, err, unix.ECONNRESET)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "recv", e.Op)
}
