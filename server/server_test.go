package server

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestEchoEvents(t *testing.T) {
	srv := &Server{Events: Events{Data: func(c *Conn) error {
		_, err := c.Write(c.Next(-1))
		return err
	}}}
	addr, err := srv.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	for range 100 {
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		buf := make([]byte, 5)
		_, err = io.ReadFull(c, buf)
		require.NoError(t, err)
		require.Equal(t, "hello", string(buf))
	}
	require.NoError(t, c.Close())
	require.NoError(t, srv.Close())
}

func TestEchoHandle(t *testing.T) {
	srv := &Server{Handle: func(s *socket.Socket) error {
		line, err := s.ReadLine()
		if err != nil {
			return err
		}
		_, err = s.WriteLine(line)
		return err
	}}
	addr, err := srv.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	r := bufio.NewReader(c)
	for range 10 {
		_, err = c.Write([]byte("hello\nworld\n"))
		require.NoError(t, err)
		for _, want := range []string{"hello\n", "world\n"} {
			line, err := r.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, want, line)
		}
	}
	require.NoError(t, c.Close())
	require.NoError(t, srv.Shutdown(t.Context()))
}

// Who found something to read may not run the session if it has run since.
func TestSessionIsReclaimedOnlyIfItHasNotRun(t *testing.T) {
	var x session
	before := x.release()
	require.True(t, x.claim())
	require.False(t, x.claim(), "it is running")
	again := x.release()
	require.False(t, x.reclaim(before), "it has run since")
	require.True(t, x.reclaim(again))
}

// attached is a connection of a server without listeners, and its peer.
func attached(t *testing.T, srv *Server) (c *Conn, peer *socket.Socket) {
	t.Helper()
	conns := make(chan *Conn, 1)
	srv.Events.Open = func(c *Conn) error { conns <- c; return nil }
	t.Cleanup(func() { srv.Close() })
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	require.NoError(t, b.SetRecvTimeout(20*time.Second))
	require.NoError(t, srv.Attach(a, nil))
	return <-conns, b
}

// The loop may have closed the descriptor, and not told the connection yet.
func TestWriteAsyncThatFailsDoesNotCallDone(t *testing.T) {
	srv := &Server{Loops: 1}
	c, _ := attached(t, srv)
	for c.Queued() == 0 {
		_, err := c.Write(make([]byte, 64<<10))
		require.NoError(t, err)
	}
	first := make(chan error, 1)
	require.NoError(t, c.WriteAsync([]byte("x"), func(err error) { first <- err }))
	queued := c.Queued()
	var called atomic.Int64
	var closed, failed error
	c.eng.do(func() { // nothing else uses the descriptor
		closed = c.reg.Close()
		failed = c.WriteAsync([]byte("xyz"), func(error) { called.Add(1) })
	})
	require.NoError(t, closed)
	require.ErrorIs(t, failed, net.ErrClosed)
	require.Equal(t, queued, c.Queued())
	require.NoError(t, srv.Close())
	require.ErrorIs(t, <-first, ErrServerClosed)
	require.Zero(t, called.Load())
}

// What the kernel has is presented when a server ends, though no event has told of
// it yet, and though it is more than a turn may take.
func TestCatchUpAsksTheKernel(t *testing.T) {
	var got []byte
	srv := &Server{Loops: 1, Chunk: 10, Events: Events{Data: func(c *Conn) error {
		got = append(got, c.Next(-1)...)
		return nil
	}}}
	c, peer := attached(t, srv)
	want := bytes.Repeat([]byte("0123456789"), 20)
	c.eng.do(func() {
		if _, err := peer.Write(want); err != nil {
			panic(err)
		}
		c.eng.catchUp()
		want = append(want, got...)
	})
	require.Equal(t, want[:200], want[200:])
}

// A connection that was counted in, and gets to its loop when that has closed all
// the others for Shutdown, is served and closed.
func TestWhoComesDuringShutdownIsClosed(t *testing.T) {
	srv := &Server{Loops: 1, Events: Events{Data: func(c *Conn) error {
		_, err := c.Write(c.Next(-1))
		return err
	}}}
	c, peer := attached(t, srv)
	c.eng.do(c.eng.retire)
	_, err := peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	a, late, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer late.Close()
	_, err = late.WriteString("hello")
	require.NoError(t, err)
	require.NoError(t, srv.Attach(a, nil))
	require.NoError(t, late.SetRecvTimeout(20*time.Second))
	got, err := io.ReadAll(late)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

// A connection that was counted in, and gets to its loop when the server is closed,
// is closed, too.
func TestWhoComesAfterCloseIsClosed(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	srv := &Server{Group: g, Events: Events{Data: func(*Conn) error { return nil }}}
	c, _ := attached(t, srv)
	require.True(t, srv.enter())
	a, late, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer late.Close()
	fd, _, err := a.Release()
	require.NoError(t, err)
	require.NoError(t, srv.Close())
	c.eng.do(func() { c.eng.open(arrival{fd: fd}) })
	require.NoError(t, late.SetRecvTimeout(20*time.Second))
	_, err = late.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.EqualValues(t, 0, srv.conns.Load())
}

// handled is a server of lines with an idle session, whose input, an answered
// line, comes back as a read of the peer.
func handled(t *testing.T, timeouts Timeouts) (srv *Server, x *session, peer net.Conn) {
	t.Helper()
	srv = &Server{Timeouts: timeouts, Handle: func(s *socket.Socket) error {
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
	require.NoError(t, peer.SetDeadline(time.Now().Add(20*time.Second)))
	answers(t, peer, "first", true)
	all := srv.sessions()
	require.Len(t, all, 1)
	return srv, all[0], peer
}

// answers expects the answer to a line, which it sends if it is asked to.
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

// miss has the session told of a line while somebody has claimed it, who then
// leaves it alone.
func miss(t *testing.T, x *session, peer net.Conn, line string) {
	t.Helper()
	require.Eventually(t, x.claim, 20*time.Second, time.Millisecond, "it becomes idle")
	_, err := io.WriteString(peer, line+"\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return x.sock.Registration().Look(loop.Readable) != loop.Unready
	}, 20*time.Second, time.Millisecond, "the event comes")
	turned := make(chan struct{}) // which is through with it then
	require.NoError(t, x.patience.eng.loop.Post(func() { close(turned) }))
	<-turned
	x.release()
}

// Input that comes while the timer has claimed a session is served.
func TestSessionIsServedAfterItsTimerHasLooked(t *testing.T) {
	_, x, peer := handled(t, Timeouts{Idle: time.Hour})
	miss(t, x, peer, "second")
	require.NoError(t, x.patience.eng.loop.Post(x.impatient))
	answers(t, peer, "second", false)
	answers(t, peer, "third", true)
}

// So it is when Shutdown has claimed it.
func TestSessionIsServedAfterShutdownHasLooked(t *testing.T) {
	srv, x, peer := handled(t, Timeouts{})
	miss(t, x, peer, "second")
	down := make(chan error, 1)
	go func() { down <- srv.Shutdown(t.Context()) }()
	answers(t, peer, "second", false)
	require.NoError(t, <-down)
}

// A session that begins when the server has already looked for those to abort
// ends as well.
func TestSessionThatBeginsTooLateIsAborted(t *testing.T) {
	srv, _, _ := handled(t, Timeouts{})
	srv.abortSessions()
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer b.Close()
	_, err = b.WriteString("a line\nno other")
	require.NoError(t, err)
	require.True(t, srv.enter())
	require.NoError(t, srv.attachSession(a))
	require.NoError(t, b.SetRecvTimeout(20*time.Second))
	_, err = b.Recv(make([]byte, 1), 0)
	require.ErrorIs(t, err, unix.ECONNRESET, "its input was not read")
	require.Eventually(t, func() bool { return srv.conns.Load() == 0 }, 20*time.Second, time.Millisecond)
}
