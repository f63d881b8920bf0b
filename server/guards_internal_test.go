package server

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// listening returns a server that listens, and its listener.
func listening(t *testing.T, srv *Server) *listener {
	t.Helper()
	t.Cleanup(func() { srv.Close() })
	if srv.Events.Data == nil && srv.Events.Packet == nil {
		srv.Events.Data = func(*Conn) error { return nil }
	}
	_, err := srv.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	return srv.listeners[0]
}

// onLoopOf calls f on the listener's loop.
func onLoopOf(t *testing.T, l *listener, f func()) {
	t.Helper()
	done := make(chan struct{})
	require.NoError(t, l.eng.loop.Post(func() { defer close(done); f() }))
	<-done
}

// A listener counts a connection, and finds the server full. Before it notes that it waits
// for room, the last other connection ends, and pokes nobody. The listener's second look
// finds the room.
func TestRoomThatComesBeforeTheListenerWaits(t *testing.T) {
	srv := &Server{MaxConns: 1, Loops: 1}
	l := listening(t, srv)
	onLoopOf(t, l, func() {
		l.pending = true
		srv.conns.Add(1) // as admit has done; the other connection is gone
		srv.waitForRoom(l)
	})
	accepts := func() (accepts bool) {
		onLoopOf(t, l, func() { accepts = !l.pending })
		return accepts
	}
	require.Eventually(t, accepts, time.Minute, time.Millisecond, "the listener accepts again")

	// While the server is full the listener waits.
	onLoopOf(t, l, func() {
		l.pending = true
		srv.conns.Add(2)
		srv.waitForRoom(l)
	})
	for range 3 {
		require.False(t, accepts())
	}
	srv.uncount() // now there is room
	require.Eventually(t, accepts, time.Minute, time.Millisecond, "the listener accepts again")
}

// Each connection that was reset in the backlog may fail one accept. When more than
// manyFailures fail in succession, the listener rests. One success ends the series.
func TestFailuresOfAccept(t *testing.T) {
	l := listening(t, &Server{Loops: 1})
	onLoopOf(t, l, func() {
		for range 2 {
			for i := range manyFailures {
				require.True(t, l.failed(unix.ECONNABORTED), "failure %d", i)
			}
			require.False(t, l.resting)
			l.works()
		}
		l.scarce = true // left by another failure
		for range manyFailures {
			require.True(t, l.failed(unix.EPERM))
		}
		require.False(t, l.failed(unix.EPERM))
		require.True(t, l.resting)
		require.False(t, l.scarce, "a descriptor that becomes free changes nothing")
	})
}

// More datagrams wait than one drain receives. No event tells of the rest.
func TestServePacketsBeyondADrain(t *testing.T) {
	const n = packetBatch*packetRounds + 50
	held, release := make(chan struct{}), make(chan struct{})
	got := make(chan string, n+1)
	srv := &Server{Loops: 1, Events: Events{Packet: func(_ *PacketConn, p []byte, _ socket.Addr) {
		if string(p) == "hold" {
			close(held)
			<-release
			return
		}
		got <- string(p)
	}}}
	defer srv.Close()
	addr, err := srv.Listen("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, srv.packets[0].sock.Setsockopt(nil, "SO_RCVBUF", 1<<20))
	c, err := net.Dial("udp", addr.String())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("hold"))
	require.NoError(t, err)
	<-held
	for i := range n {
		_, err := fmt.Fprint(c, i)
		require.NoError(t, err)
	}
	close(release)
	for i := range n {
		select {
		case p := <-got:
			require.Equal(t, fmt.Sprint(i), p)
		case <-time.After(time.Minute):
			require.Fail(t, "datagrams wait", "%d of %d were received", i, n)
		}
	}
}

func TestWithout(t *testing.T) {
	env := []string{"A=1", "B=2", "AB=3", "C=4"}
	require.Equal(t, []string{"AB=3", "C=4"}, without(env, "A", "B"))
	require.Equal(t, []string{"A=1", "AB=3", "C=4"}, without(env, "B"))
	require.Equal(t, env, without(env))
}
