package socket

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestRawConnReadWaits(t *testing.T) {
	s, peer := inputPair(t, Stream)
	raw, err := s.SyscallConn()
	require.NoError(t, err)
	buf := make([]byte, 8)
	n := 0
	read := func() error {
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, failed = unix.Read(int(fd), buf)
			return failed != unix.EAGAIN
		})
		if err != nil {
			return err
		}
		return failed
	}
	for range 3 {
		result := blocked(t, "raw", read)
		put(t, peer, "hello")
		require.NoError(t, soon(t, result))
		require.Equal(t, "hello", string(buf[:n]))
	}

	result := blocked(t, "raw", read)
	require.NoError(t, s.SetReadDeadline(time.Unix(1, 0)))
	require.ErrorIs(t, soon(t, result), os.ErrDeadlineExceeded)
	require.NoError(t, s.SetReadDeadline(time.Time{}))

	require.NoError(t, s.SetRecvTimeout(time.Millisecond))
	require.ErrorIs(t, read(), os.ErrDeadlineExceeded)
	require.NoError(t, s.SetRecvTimeout(0))

	result = blocked(t, "raw", read)
	s.Interrupt()
	requireInterrupted(t, soon(t, result))

	result = blocked(t, "raw", read)
	require.NoError(t, s.Close())
	require.ErrorIs(t, soon(t, result), net.ErrClosed)
}

func TestRawConnWriteWaits(t *testing.T) {
	s, peer := inputPair(t, Stream)
	fillUp(t, s)
	raw, err := s.SyscallConn()
	require.NoError(t, err)
	var failed error
	result := blocked(t, "raw", func() error {
		return raw.Write(func(fd uintptr) bool {
			_, failed = unix.Write(int(fd), []byte("x"))
			return failed != unix.EAGAIN
		})
	})
	drainAll(t, peer)
	require.NoError(t, soon(t, result))
	require.NoError(t, failed)
}

// What f leaves behind is found by the call that follows.
func TestRawConnThatDoesNothing(t *testing.T) {
	s, peer := inputPair(t, Stream)
	raw, err := s.SyscallConn()
	require.NoError(t, err)
	put(t, peer, "hello")
	calls := 0
	require.NoError(t, raw.Read(func(uintptr) bool { calls++; return true }))
	require.Equal(t, 1, calls)
	require.Panics(t, func() { raw.Read(func(uintptr) bool { panic("mine") }) })
	n, err := s.Recv(make([]byte, 8), 0)
	require.NoError(t, err)
	require.Equal(t, 5, n)
}

func TestRawConnControl(t *testing.T) {
	s := newTCP(t)
	raw, err := s.SyscallConn()
	require.NoError(t, err)
	fd := -1
	require.NoError(t, raw.Control(func(p uintptr) { fd = int(p) }))
	require.Equal(t, s.Fd(), fd)
	require.NoError(t, s.Close())
	never := func(uintptr) { require.Fail(t, "the socket is closed") }
	neither := func(fd uintptr) bool { never(fd); return true }
	for _, err := range []error{raw.Control(never), raw.Read(neither), raw.Write(neither)} {
		require.ErrorIs(t, err, unix.EBADF)
		require.ErrorIs(t, err, net.ErrClosed)
	}
	_, err = s.SyscallConn()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestPrepareComesBeforeBind(t *testing.T) {
	var order []int
	s := open(t, Inet6, Stream, Address("::"), Prepare(func(fd int) error {
		order = append(order, 1)
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}), Prepare(func(fd int) error {
		order = append(order, 2)
		sa, err := unix.Getsockname(fd)
		require.NoError(t, err)
		require.Zero(t, sa.(*unix.SockaddrInet6).Port, "it is not bound")
		return nil
	}))
	require.Equal(t, []int{1, 2}, order)
	require.NotZero(t, s.LocalAddr().Port())

	before := openFDs(t)
	why := errors.New("my reason")
	_, err := New(Inet, Stream, 0, Prepare(func(int) error { return why }))
	require.Same(t, why, err)
	require.Equal(t, before, openFDs(t))
	_, err = New(Inet, Stream, 0, Prepare(nil))
	require.ErrorIs(t, err, unix.EINVAL)
}
