package server

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A goroutine has found input for an idle session. If the session has run since then, the
// goroutine must not run it.
func TestSessionIsReclaimedOnlyIfItHasNotRun(t *testing.T) {
	var x Session
	before := x.release()
	require.True(t, x.claim())
	require.False(t, x.claim(), "it is running")
	again := x.release()
	require.False(t, x.reclaim(before), "it has run since")
	require.True(t, x.reclaim(again))
}

// miss claims the session, sends it a line, waits until the loop has taken in the event,
// and makes the session idle without reading the line.
func miss(t *testing.T, x *Session, peer net.Conn, line string) {
	t.Helper()
	require.Eventually(t, x.claim, time.Minute, time.Millisecond, "it becomes idle")
	_, err := io.WriteString(peer, line+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return x.Registration().Look(loop.Readable) != loop.Unready
	}, time.Minute, time.Millisecond, "the event comes")
	turned := make(chan struct{}) // by then the loop has notified the session
	require.NoError(t, x.engine().loop.Post(func() { close(turned) }))
	<-turned
	x.release()
}

// The server serves input that arrives while the timer has claimed the session.
func TestSessionIsServedAfterItsTimerHasLooked(t *testing.T) {
	_, x, peer := handled(t, Timeouts{Idle: time.Hour})
	miss(t, x, peer, "second")
	require.NoError(t, x.engine().loop.Post(x.checkIdle))
	answers(t, peer, "second", false)
	answers(t, peer, "third", true)
}

// The server serves input that arrives while Shutdown has claimed the session.
func TestSessionIsServedAfterShutdownHasLooked(t *testing.T) {
	srv, x, peer := handled(t, Timeouts{})
	miss(t, x, peer, "second")
	down := make(chan error, 1)
	go func() { down <- srv.Shutdown(t.Context()) }()
	answers(t, peer, "second", false)
	require.NoError(t, <-down)
}

// A session that begins after abortSessions has listed the sessions also ends.
func TestSessionThatBeginsTooLateIsAborted(t *testing.T) {
	srv, _, _ := handled(t, Timeouts{})
	srv.abortSessions()
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer b.Close()
	_, err = b.WriteString("a line\nno other")
	require.NoError(t, err)
	require.True(t, srv.enter())
	require.NoError(t, srv.attachSession(a, srv.engines, nil, nil))
	require.NoError(t, b.SetRecvTimeout(time.Minute))
	_, err = b.Recv(make([]byte, 1), 0)
	require.ErrorIs(t, err, unix.ECONNRESET, "its input was not read")
	require.Eventually(t, func() bool { return srv.conns.Load() == 0 }, time.Minute, time.Millisecond)
}

// handled returns a server that answers each line with the line, an idle session of it,
// and the session's peer.
func handled(t *testing.T, timeouts Timeouts) (srv *Server, x *Session, peer net.Conn) {
	t.Helper()
	srv = &Server{Timeouts: timeouts, Handler: func(s *Session) error {
		line, err := s.ReadLine()
		if err == nil {
			_, err = s.WriteString(line + "\n")
		}
		return err
	}}
	addr, err := srv.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { srv.Close() })
	peer, err = net.Dial("tcp4", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { peer.Close() })
	require.NoError(t, peer.SetDeadline(time.Now().Add(time.Minute)))
	answers(t, peer, "first", true)
	all := srv.Sessions()
	require.Len(t, all, 1)
	return srv, all[0], peer
}

// answers expects the answer to a line. If ask is set, it sends the line before.
func answers(t *testing.T, peer net.Conn, line string, ask bool) {
	t.Helper()
	if ask {
		_, err := io.WriteString(peer, line+"\n")
		require.NoError(t, err)
	}
	buf := make([]byte, len(line)+1)
	_, err := io.ReadFull(peer, buf)
	require.NoError(t, err)
	require.Equal(t, line+"\n", string(buf))
}

// atEnd of a Socket that the program has closed meanwhile makes no system call.
func TestAtEndOfAClosedSocket(t *testing.T) {
	t.Parallel()
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer b.Close()
	x := &Session{Socket: *a}
	require.NoError(t, x.atEnd())
	require.NoError(t, a.Close())
	require.Equal(t, net.ErrClosed, x.atEnd())
}

// A Socket that is closed when its session begins is counted out.
func TestSessionOfAClosedSocket(t *testing.T) {
	t.Parallel()
	srv, _, _ := handled(t, Timeouts{})
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer b.Close()
	require.True(t, srv.enter())
	x := &Session{Socket: *a}
	require.NoError(t, a.Close())
	require.False(t, srv.handle(x, srv.engines[0], socket.Addr{}))
	// For a moment the server also counts a connection that a listener is about to accept.
	require.Eventually(t, func() bool { return srv.conns.Load() == 1 }, time.Minute, time.Millisecond, "the other one")
}

// While a call of the program is in progress on the Socket, the engine does not get it.
func TestLeaveWhileACallIsInProgress(t *testing.T) {
	t.Parallel()
	_, x, peer := handled(t, Timeouts{})
	require.Eventually(t, x.claim, time.Minute, time.Millisecond)
	_, err := peer.Write([]byte("x"))
	require.NoError(t, err)
	require.Eventually(t, x.unread, time.Minute, time.Millisecond)
	require.NoError(t, x.Registration().Use())
	defer x.Registration().Done()
	defer x.release()
	require.False(t, x.leave())
}
