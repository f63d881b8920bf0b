package loop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ownSeat returns a seat that no call of another test takes, and both ends of a stream.
func ownSeat(t *testing.T) (s *seat, fd int32, peer int) {
	t.Helper()
	wakefd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	require.NoError(t, err)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, fd := range []int{wakefd, fds[0], fds[1]} {
			unix.Close(fd)
		}
	})
	return &seat{wakefd: int32(wakefd)}, int32(fds[0]), fds[1]
}

const longer = 10 * time.Second // than any wait of these tests takes

// A ring ends one block. Without that, each later block would end at once.
func TestRingEndsOneBlock(t *testing.T) {
	s, fd, peer := ownSeat(t)
	for range 2 {
		s.ring()
		start := time.Now()
		require.False(t, s.block(fd, longer))
		require.Less(t, time.Since(start), longer)
		_, err := unix.Read(int(s.wakefd), make([]byte, 8))
		require.Equal(t, unix.EAGAIN, err, "it still rings")
	}
	require.False(t, s.block(fd, time.Millisecond), "nothing has come")
	_, err := unix.Write(peer, []byte("x"))
	require.NoError(t, err)
	require.True(t, s.block(fd, longer))
	s.ring()
	require.True(t, s.block(fd, longer), "input comes before the ring")
}

// A ring that comes late, for an earlier call, does not end a linger.
func TestLateRingDoesNotEndALinger(t *testing.T) {
	for _, busy := range []time.Duration{0, longer} {
		s, fd, peer := ownSeat(t)
		s.ring()
		time.AfterFunc(time.Millisecond, func() { unix.Write(peer, []byte("x")) })
		require.True(t, s.linger(fd, busy, longer), "busy %v", busy)
		unix.Shutdown(peer, unix.SHUT_WR)
		require.False(t, s.linger(fd, busy, longer), "the stream has ended")
	}
}
