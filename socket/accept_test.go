package socket

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// If the process has no free descriptor, a connection stays in the backlog and no
// goroutine spins. The next Accept that finds a descriptor gets the connection.
func TestAcceptWithoutDescriptors(t *testing.T) {
	if os.Getenv("WEIR_TEST_EMFILE") == "" {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestAcceptWithoutDescriptors$")
		cmd.Env = append(os.Environ(), "WEIR_TEST_EMFILE=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS")
		return
	}
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	l := listening(t, Inet, 8, Config{Group: g})
	accepted := make(chan *Socket, 1)
	accept := func() error {
		s, err := l.Accept()
		if err == nil {
			accepted <- s
		}
		return err
	}
	waiting := blocked(t, "Accept", accept)
	client := unconnected(t, Inet)

	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	var none syscall.Rlimit // of package syscall, so that a child process does not inherit the limit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &none))
	none.Cur = 3
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	require.NoError(t, client.ConnectAddr(l.LocalAddr()))
	err = soon(t, waiting)
	require.True(t, isErrno(err, unix.EMFILE), "%v", err)
	turns := g.Loops()[0].Turns()
	for range 20 {
		err = accept()
		require.True(t, isErrno(err, unix.EMFILE), "%v", err)
	}
	time.Sleep(30 * time.Millisecond) // nothing may happen meanwhile
	require.Equal(t, turns, g.Loops()[0].Turns())
	_, err = New(Inet, Stream, 0)
	require.True(t, isErrno(err, unix.EMFILE), "%v", err)
	_, _, err = Pair(Unix, Stream, 0)
	require.True(t, isErrno(err, unix.EMFILE), "%v", err)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))

	require.NoError(t, accept())
	s := <-accepted
	put(t, client, "x")
	requireRune(t, s, 'x')
	require.NoError(t, s.Close())
}

// Accept returns a connection that the peer has reset before, and then the next one.
func TestAcceptAfterReset(t *testing.T) {
	l := listening(t, Inet, 8)
	first := connectedTo(t, l)
	put(t, first, "data")
	require.NoError(t, unix.SetsockoptLinger(first.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	require.NoError(t, first.Close())
	s, err := l.Accept()
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Recv(make([]byte, 8), 0)
	for err == nil {
		_, err = s.Recv(make([]byte, 8), 0)
	}
	require.True(t, isErrno(err, unix.ECONNRESET), "%v", err)

	connectedTo(t, l)
	s, err = l.Accept()
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestAcceptOfWhatDoesNotListen(t *testing.T) {
	for _, family := range []Family{Inet, Unix} {
		s := unconnected(t, family)
		_, err := s.Accept()
		require.True(t, isErrno(err, unix.EINVAL), "%v", err)

		l := listening(t, family, 1)
		accepting := blocked(t, "Accept", func() error { _, err := l.Accept(); return err })
		require.NoError(t, l.Shutdown(unix.SHUT_RD))
		err = soon(t, accepting)
		require.True(t, isErrno(err, unix.EINVAL), "%v", err)
	}
	datagrams := newUDP(t, Inet)
	_, err := datagrams.Accept()
	require.True(t, isErrno(err, unix.EOPNOTSUPP), "%v", err)
}

// Many calls of Accept wait for few connections. Each connection goes to one call, in the
// order of the calls.
func TestAcceptorsTakeTurns(t *testing.T) {
	l := listening(t, Unix, 8)
	var waiting []chan error
	for range 3 {
		waiting = append(waiting, blocked(t, "Accept", func() error {
			s, err := l.Accept()
			if err == nil {
				err = s.Close()
			}
			return err
		}))
	}
	for i, w := range waiting {
		connectedTo(t, l)
		require.NoError(t, soon(t, w))
		for _, later := range waiting[i+1:] {
			require.Empty(t, later)
		}
	}
}
