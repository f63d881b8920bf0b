package socket

import (
	"io"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A read ends at the urgent mark, even if there is data behind it. So a short read does
// not mean that nothing is left, and the next read does not wait.
func TestShortReadAtTheUrgentMark(t *testing.T) {
	for range 5 {
		readToTheUrgentMark(t, 4) // so few that the call does not wait alone, and the loop gets every event
	}
}

func readToTheUrgentMark(t *testing.T, times int) {
	s, peer := tcpPair(t)
	require.NoError(t, s.SetRecvTimeout(time.Minute))
	buf := make([]byte, 64)
	for range times {
		// The data comes while the read waits, so the loop gets all of it in one event.
		receiving := blocked(t, "Recv", func() error { _, err := s.Recv(buf[:1], 0); return err })
		require.NoError(t, peer.SetNoDelay(false))
		require.NoError(t, unix.SetsockoptInt(peer.Fd(), unix.IPPROTO_TCP, unix.TCP_CORK, 1))
		put(t, peer, "?before")
		_, err := peer.Send([]byte("!"), unix.MSG_OOB)
		require.NoError(t, err)
		put(t, peer, "after")
		require.NoError(t, unix.SetsockoptInt(peer.Fd(), unix.IPPROTO_TCP, unix.TCP_CORK, 0))
		require.NoError(t, soon(t, receiving))
		require.Eventually(t, func() bool {
			n, err := unix.IoctlGetInt(s.Fd(), unix.SIOCINQ)
			return err == nil && n >= len("before")
		}, time.Minute, time.Millisecond)
		require.True(t, s.core.reg.Urgent())
		quiesce(t, s)

		n, err := s.Recv(buf, 0)
		require.NoError(t, err)
		require.Equal(t, "before", string(buf[:n]), "short")
		n, err = s.Recv(buf, unix.MSG_OOB)
		require.NoError(t, err)
		require.Equal(t, "!", string(buf[:n]))
		n, err = s.Recv(buf, 0)
		require.NoError(t, err)
		require.Equal(t, "after", string(buf[:n]))
		_, err = s.Recv(buf, unix.MSG_OOB)
		require.True(t, isErrno(err, unix.EINVAL), "%v", err)
	}
}

// quiesce waits until the loop has handled all events so far.
func quiesce(t *testing.T, s *Socket) {
	t.Helper()
	for range 2 { // the first may run in the turn in which it was posted
		done := make(chan struct{})
		require.NoError(t, s.core.reg.Loop().Post(func() { close(done) }))
		<-done
	}
}

// The last data and the end come in one event. No other event follows.
func TestEndWithTheLastData(t *testing.T) {
	pairs := map[string]func(*testing.T) (a, b *Socket){
		"tcp":  tcpPair,
		"unix": func(t *testing.T) (a, b *Socket) { return inputPair(t, Stream) },
	}
	for kind, pair := range pairs {
		t.Run(kind, func(t *testing.T) {
			s, peer := pair(t)
			require.NoError(t, s.SetRecvTimeout(time.Minute))
			buf := make([]byte, 64)
			receiving := blocked(t, "Recv", func() error { _, err := s.Recv(buf[:1], 0); return err })
			put(t, peer, "last")
			require.NoError(t, peer.Shutdown(unix.SHUT_WR))
			require.NoError(t, soon(t, receiving))
			require.Eventually(t, s.core.reg.Broken, time.Minute, time.Millisecond)
			quiesce(t, s)
			n, err := s.Recv(buf, 0)
			require.NoError(t, err)
			require.Equal(t, "ast", string(buf[:n]), "short")
			for range 3 { // each further read returns the end, too
				_, err = s.Recv(buf, 0)
				require.Equal(t, io.EOF, err)
			}
			put(t, s, "the other way is open")
			line, err := peer.ReadString()
			require.NoError(t, err)
			require.Equal(t, "the other way is open", line)
		})
	}
}

// When the peer has gone, both the reader and the writer wake up.
func TestHangUpWakesBothWays(t *testing.T) {
	s, peer := inputPair(t, Stream)
	fillUp(t, s)
	reading := blocked(t, "Recv", func() error { _, err := s.Recv(make([]byte, 1), 0); return err })
	sending := blocked(t, "Send", func() error { _, err := s.Send(make([]byte, 1), 0); return err })
	require.NoError(t, peer.Close())
	err := soon(t, sending)
	require.True(t, isErrno(err, unix.EPIPE) || isErrno(err, unix.ECONNRESET), "%v", err)
	require.Error(t, soon(t, reading))

	s, peer = tcpPair(t)
	fillUp(t, s)
	reading = blocked(t, "Recv", func() error { _, err := s.Recv(make([]byte, 1), 0); return err })
	sending = blocked(t, "Send", func() error { _, err := s.Send(make([]byte, 1), 0); return err })
	require.NoError(t, unix.SetsockoptLinger(peer.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	require.NoError(t, peer.Close())
	require.Error(t, soon(t, sending))
	require.Error(t, soon(t, reading))
}

func TestReadersAreServedInTheirOrder(t *testing.T) {
	s, peer := inputPair(t, Stream)
	order := make(chan int, 5)
	var results []chan error
	for i := range cap(order) {
		results = append(results, blocked(t, "Recv", func() error {
			_, err := s.Recv(make([]byte, 1), 0)
			order <- i
			return err
		}))
	}
	for i, result := range results {
		put(t, peer, "x")
		require.NoError(t, soon(t, result))
		require.Equal(t, i, <-order)
	}
}

// A duplicate of the descriptor stays open after Close. It delivers no events of the
// socket, neither to the loop nor to the next socket with the same number.
func TestDuplicateOfAClosedSocket(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	l := listening(t, Unix, 1, Config{Group: g})
	peer := connectedTo(t, l)
	s, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, s.SetRecvTimeout(time.Millisecond))
	_, err = s.Recv(make([]byte, 1), 0)
	requireTimeout(t, err) // now the kernel watches the descriptor
	number := s.Fd()
	dup, err := unix.FcntlInt(uintptr(number), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(dup)
	require.NoError(t, s.Close())

	next, err := Config{Group: g}.New(Unix, Stream, 0)
	require.NoError(t, err)
	defer next.Close()
	require.Equal(t, number, next.Fd(), "the least that is free")
	quiesce(t, l)
	turns := g.Loops()[0].Turns()
	for range 10 {
		put(t, peer, "to the duplicate")
	}
	require.NoError(t, peer.Close())
	quiesce(t, listening(t, Unix, 1)) // a socket of another group, which gives the events time
	require.Equal(t, turns, g.Loops()[0].Turns())
	require.False(t, next.core.reg.Broken())
	buf := make([]byte, 4)
	_, err = unix.Read(dup, buf)
	require.NoError(t, err)
	require.Equal(t, "to t", string(buf))
}
