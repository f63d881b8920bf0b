package socket

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSockoptInt(t *testing.T) {
	s := newTCP(t)
	require.NoError(t, s.SetsockoptInt(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	v, err := s.GetsockoptInt(unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	require.NoError(t, err)
	require.Equal(t, 1, v)
	byName, err := s.Getsockopt(nil, "SO_KEEPALIVE")
	require.NoError(t, err)
	require.Equal(t, true, byName)

	require.NoError(t, s.SetsockoptInt(unix.SOL_SOCKET, unix.SO_RCVLOWAT, 7))
	require.EqualValues(t, 7, s.core.lowWater.Load(), "calls keep to it")

	s.core.owed.Store(uint32(unix.ECONNRESET))
	for _, want := range []unix.Errno{unix.ECONNRESET, 0} {
		v, err = s.GetsockoptInt(unix.SOL_SOCKET, unix.SO_ERROR)
		require.NoError(t, err)
		require.Equal(t, int(want), v)
	}
	require.Zero(t, testing.AllocsPerRun(10, func() {
		_ = s.SetsockoptInt(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
		_, _ = s.GetsockoptInt(unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	}))
}

func TestSockoptIntRefuses(t *testing.T) {
	s := newTCP(t)
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		require.ErrorIs(t, s.SetsockoptInt(unix.SOL_SOCKET, option, 1), unix.EINVAL)
		_, err := s.GetsockoptInt(unix.SOL_SOCKET, option)
		require.ErrorIs(t, err, unix.EINVAL)
	}
	require.ErrorIs(t, s.SetsockoptInt(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1<<33), unix.EINVAL)
	err := s.SetsockoptInt(unix.SOL_SOCKET, 9999, 1)
	require.ErrorIs(t, err, unix.ENOPROTOOPT)
	require.EqualError(t, err, "setsockopt level 1 option 9999 to 1: protocol not available")
	_, err = s.GetsockoptInt(-1, 1)
	require.Error(t, err)
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.SetsockoptInt(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1), unix.EBADF)
	_, err = s.GetsockoptInt(unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	require.ErrorIs(t, err, unix.EBADF)
}

func TestSetLinger(t *testing.T) {
	s := newTCP(t)
	for seconds, want := range map[int][]int{5: {1, 5}, 0: {1, 0}, -1: {0, 0}} {
		require.NoError(t, s.SetLinger(seconds))
		v, err := s.Getsockopt(nil, "SO_LINGER")
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.SetLinger(0), unix.EBADF)
}
