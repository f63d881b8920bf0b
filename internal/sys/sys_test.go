//go:build linux

package sys

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func pair(t *testing.T) (a, b int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func TestStream(t *testing.T) {
	a, b := pair(t)
	buf := make([]byte, 8)
	_, errno := Recv(b, buf, 0)
	require.Equal(t, unix.EAGAIN, errno)
	n, errno := Send(a, []byte("abc"), 0)
	require.Zero(t, errno)
	require.Equal(t, 3, n)
	for _, flags := range []int{unix.MSG_PEEK, 0} {
		n, errno = Recv(b, buf, flags)
		require.Zero(t, errno)
		require.Equal(t, "abc", string(buf[:n]))
	}
	n, errno = Sendto(a, nil, 0, nil)
	require.Zero(t, errno, "an empty buffer is in memory somewhere")
	require.Zero(t, n)
	unix.Close(b)
	_, errno = Send(a, buf, 0)
	require.Equal(t, unix.EPIPE, errno, "and no signal")
	_, errno = Writev(a, [][]byte{buf})
	require.Equal(t, unix.EPIPE, errno, "and no signal")
}

func TestWritev(t *testing.T) {
	a, b := pair(t)
	bufs := [][]byte{nil, []byte("ab"), {}, []byte("c")}
	n, errno := Writev(a, bufs)
	require.Zero(t, errno)
	require.Equal(t, 3, n)
	many := make([][]byte, 2*MaxWritev)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	n, errno = Writev(a, many)
	require.Zero(t, errno)
	require.Equal(t, MaxWritev, n)
	buf := make([]byte, 100)
	n, errno = Recvfrom(b, buf, 0, nil)
	require.Zero(t, errno)
	require.Equal(t, "abc\x00\x01", string(buf[:5]))
	require.Equal(t, 3+MaxWritev, n)
}

func TestAccept(t *testing.T) {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(l)
	require.NoError(t, unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(l, 1))
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	var at, own, from, peer Sockaddr
	require.Zero(t, Getsockname(l, &at))
	require.Equal(t, unix.ENOTCONN, Getpeername(c, &peer))
	require.Zero(t, Connect(c, &at))
	fd, errno := Accept(l, &from)
	require.Zero(t, errno)
	defer unix.Close(fd)
	require.Zero(t, Getsockname(c, &own))
	require.Equal(t, own, from)
	require.Zero(t, Getpeername(c, &peer))
	require.Equal(t, at, peer)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.O_NONBLOCK)
	flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC)

	// A linger time of 0 makes the close a reset.
	require.NoError(t, SetLinger(c, 5))
	v, err := unix.GetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER)
	require.NoError(t, err)
	require.Equal(t, unix.Linger{Onoff: 1, Linger: 5}, *v)
	require.NoError(t, SetLinger(c, -1))
	v, err = unix.GetsockoptLinger(c, unix.SOL_SOCKET, unix.SO_LINGER)
	require.NoError(t, err)
	require.Zero(t, v.Onoff)
	require.NoError(t, SetLinger(c, 0))
	require.NoError(t, unix.Close(c))
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	_, err = machine.Poll(fds, int(time.Minute.Milliseconds()))
	require.NoError(t, err)
	_, errno = Recv(fd, make([]byte, 1), 0)
	require.Equal(t, unix.ECONNRESET, errno)
}
