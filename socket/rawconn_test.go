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
		result := blocked(t, "rawConn.Read", read)
		put(t, peer, "hello")
		require.NoError(t, soon(t, result))
		require.Equal(t, "hello", string(buf[:n]))
	}

	result := blocked(t, "rawConn.Read", read)
	require.NoError(t, s.SetReadDeadline(time.Unix(1, 0)))
	require.ErrorIs(t, soon(t, result), os.ErrDeadlineExceeded)
	require.NoError(t, s.SetReadDeadline(time.Time{}))

	require.NoError(t, s.SetRecvTimeout(time.Millisecond))
	require.ErrorIs(t, read(), os.ErrDeadlineExceeded)
	require.NoError(t, s.SetRecvTimeout(0))

	result = blocked(t, "rawConn.Read", read)
	s.Interrupt()
	requireInterrupted(t, soon(t, result))

	result = blocked(t, "rawConn.Read", read)
	require.NoError(t, s.Close())
	require.ErrorIs(t, soon(t, result), net.ErrClosed)
}

func TestRawConnWriteWaits(t *testing.T) {
	s, peer := inputPair(t, Stream)
	fillUp(t, s)
	raw, err := s.SyscallConn()
	require.NoError(t, err)
	var failed error
	result := blocked(t, "rawConn.Write", func() error {
		return raw.Write(func(fd uintptr) bool {
			_, failed = unix.Write(int(fd), []byte("x"))
			return failed != unix.EAGAIN
		})
	})
	drainAll(t, peer)
	require.NoError(t, soon(t, result))
	require.NoError(t, failed)
}

// The next call finds the input that f leaves.
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
	called := 0
	s := open(t, Inet, Stream, Config{Address: "127.0.0.1", Prepare: func(fd int) error {
		called++
		sa, err := unix.Getsockname(fd)
		require.NoError(t, err)
		require.Zero(t, sa.(*unix.SockaddrInet4).Port, "it is not bound")
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	}})
	require.Equal(t, 1, called)
	on, err := s.Getsockopt(nil, "SO_KEEPALIVE")
	require.NoError(t, err)
	require.Equal(t, true, on)
	require.NotZero(t, s.LocalAddr().Port())

	before := openFDs(t)
	why := errors.New("my reason")
	_, err = Config{Prepare: func(int) error { return why }}.New(Inet, Stream, 0)
	require.Same(t, why, err)
	require.LessOrEqual(t, openFDs(t), before)
}
