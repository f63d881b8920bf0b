package server

import (
	"math"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// clogged returns a TCP descriptor and its peer. The descriptor has sent more than the
// peer takes.
func clogged(t *testing.T) (fd int, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	peer = narrow(t, l.Addr().String())
	c, err := l.Accept()
	require.NoError(t, err)
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(number uintptr) {
		fd, err = unix.FcntlInt(number, unix.F_DUPFD_CLOEXEC, 0)
	}))
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	for {
		_, err := unix.Write(fd, make([]byte, 64<<10))
		if err == syscall.EAGAIN {
			return fd, peer
		}
		require.NoError(t, err)
	}
}

// idle returns a TCP descriptor that has sent nothing.
func idle(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestFarewellChecksLessAndLessOften(t *testing.T) {
	fd, _ := clogged(t)
	const begin = time.Minute // on the fake clock
	f := newFarewell(begin, 500*time.Millisecond)
	require.Equal(t, begin+500*time.Millisecond, f.next(), "while output is queued, only the deadline counts")
	f.linger(begin)
	var at []time.Duration
	now := begin
	for {
		now = f.next()
		at = append(at, (now-begin)/time.Millisecond)
		require.Equal(t, keepWaiting, f.check(fd, now-1), "never early")
		if v := f.check(fd, now); v != keepWaiting {
			require.Equal(t, lingerOver, v)
			break
		}
	}
	require.Equal(t, []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 228, 328, 428, 500}, at)
}

func TestFarewellEndsWhenAllIsAcknowledged(t *testing.T) {
	f := newFarewell(0, time.Second)
	f.linger(0)
	require.Equal(t, delivered, f.check(idle(t), f.next()))
}

// A peer that still sends would get a reset. Its farewell ends one check after its last
// byte.
func TestFarewellWaitsForAPeerThatSends(t *testing.T) {
	fd := idle(t)
	f := newFarewell(0, time.Second)
	f.linger(0)
	for range 3 {
		f.received()
		require.Equal(t, keepWaiting, f.check(fd, f.next()))
	}
	require.Equal(t, 428*time.Millisecond, f.next(), "the checks are 100 ms apart")
	require.Equal(t, delivered, f.check(fd, f.next()))
}

func TestFarewellCountsItsChecksFromTheLingering(t *testing.T) {
	f := newFarewell(0, time.Second)
	f.linger(999500 * time.Microsecond)
	require.Equal(t, time.Second, f.next(), "the deadline does not move")
	f = newFarewell(0, time.Hour)
	f.linger(time.Minute)
	require.Equal(t, time.Minute+time.Millisecond, f.next())
}

func TestFarewellWithAnEndlessLimit(t *testing.T) {
	f := newFarewell(time.Second, math.MaxInt64)
	require.EqualValues(t, math.MaxInt64, f.next())
	f.linger(time.Second)
	require.Equal(t, time.Second+time.Millisecond, f.next())
}
