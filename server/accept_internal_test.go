package server

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// When a connection ends, its descriptor becomes free. Then the listener accepts at once
// and does not wait for its timer.
func TestAcceptGoesOnWhenADescriptorIsFree(t *testing.T) {
	if os.Getenv("WEIR_TEST_CHILD") == "" { // a process has one limit of descriptors
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "WEIR_TEST_CHILD="+t.Name())
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	firstPause, longestPause = time.Hour, time.Hour
	conns := make(chan *Conn, 2)
	srv := &Server{Loops: 1, Events: Events{Open: func(c *Conn) error { conns <- c; return nil }}}
	srv.Events.Data = func(*Conn) error { return nil }
	defer srv.Close()
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	first, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	defer first.Close()
	held := <-conns
	second, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(second)
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = uint64(highestDescriptor(t)) + 1
	var fill []int
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	for { // take the numbers below the limit
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			require.ErrorIs(t, err, unix.EMFILE)
			break
		}
		fill = append(fill, fd)
	}
	require.NoError(t, unix.Connect(second, &unix.SockaddrInet4{Port: addr.Port(), Addr: [4]byte{127, 0, 0, 1}}))
	require.Eventually(t, func() bool { return srv.Stats().Pauses == 1 }, time.Minute, time.Millisecond, "accepting pauses")
	held.Abort()
	select {
	case <-conns:
	case <-time.After(time.Minute):
		t.Error("the second connection is not accepted")
	}
	for _, fd := range fill {
		unix.Close(fd)
	}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
}

func highestDescriptor(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	for n := fd; ; n++ { // the lowest free number is fd; others may be above it
		if _, err := unix.FcntlInt(uintptr(n+1), unix.F_GETFD, 0); err != nil {
			return n
		}
	}
}

// A listener whose loop has short turns accepts few connections in each of them. Where a
// turn has taken long, it accepts more, so that the backlog does not grow.
func TestAcceptKeepsUpWhereTurnsAreLong(t *testing.T) {
	srv := &Server{Loops: 1, Events: Events{Data: func(*Conn) error { return nil }}}
	defer srv.Close()
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv.listeners[0].eng.do(func() {
		for range manyAccepts + 1 {
			c, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.Close() })
		}
		l := srv.listeners[0]
		l.pending = true
		accepts := func() uint64 {
			before := l.accepted.Load()
			require.True(t, l.accept(), "more wait")
			return l.accepted.Load() - before
		}
		require.Equal(t, uint64(fewAccepts), accepts(), "the loop may have rested before")
		l.goesOn, l.last = true, l.eng.loop.Elapsed()
		require.GreaterOrEqual(t, accepts(), uint64(fewAccepts))
		l.last = l.eng.loop.Elapsed() - time.Hour
		require.False(t, l.accept(), "all the others")
		require.Equal(t, uint64(manyAccepts+1), l.accepted.Load())
	})
}
