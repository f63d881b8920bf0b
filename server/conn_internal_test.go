package server

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// drive tells its callers when the connection is closed, so that they do nothing more with
// it. It closes a connection once.
func TestDriveOfAClosedConnection(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 4)
	c, _ := attached(t, &Server{Loops: 1, Events: Events{Closed: func(_ *Conn, err error) { closed <- err }}})
	var open, ending, again, over bool
	c.eng.do(func() {
		open = c.drive(nil)
		ending = c.drive(io.EOF)
		again, over = c.drive(nil), c.drive(io.ErrUnexpectedEOF)
	})
	require.True(t, open)
	require.False(t, ending)
	require.False(t, again)
	require.False(t, over)
	require.Equal(t, io.EOF, <-closed)
	require.Empty(t, closed)
}

// A write that has to wait for room finds that the loop was closed. The connection is
// closed then: the write has not failed by an error of the system.
func TestBlockOnAClosedLoop(t *testing.T) {
	t.Parallel()
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	srv := &Server{Group: g}
	c, _ := attached(t, srv)
	require.NoError(t, g.Close())
	c.mu.Lock()
	defer c.mu.Unlock()
	require.ErrorIs(t, c.block(), net.ErrClosed)
	require.Zero(t, c.signals.Load()&writeFailed)
}

// The loop is closed while another goroutine sends. When the system call has returned, that
// goroutine has Closed called.
func TestSenderOutlivesTheLoop(t *testing.T) {
	t.Parallel()
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	closed := make(chan error, 1)
	srv := &Server{Group: g, Events: Events{Closed: func(_ *Conn, err error) { closed <- err }}}
	c, _ := attached(t, srv)
	c.mu.Lock()
	c.output()
	_, err = c.beginSend(0)
	require.NoError(t, err)
	require.NoError(t, g.Close())
	require.Empty(t, closed)
	require.Error(t, c.endSend(0))
	c.mu.Unlock()
	select {
	case err := <-closed:
		require.ErrorIs(t, err, loop.ErrLoopClosed)
	case <-time.After(time.Minute):
		require.Fail(t, "Closed is not called")
	}
}

// A tls.Conn has the addresses of its Socket, and later those of its Conn.
func TestLinkHasTheAddresses(t *testing.T) {
	t.Parallel()
	conns := make(chan *Conn, 1)
	l := listening(t, &Server{Loops: 1, Events: Events{Open: func(c *Conn) error { conns <- c; return nil }}})
	peer, err := net.Dial("tcp4", l.addr.String())
	require.NoError(t, err)
	defer peer.Close()
	c := <-conns
	own := &link{owner: c}
	require.Equal(t, peer.RemoteAddr().String(), own.LocalAddr().String())
	require.Equal(t, peer.LocalAddr().String(), own.RemoteAddr().String())

	s, err := socket.New(socket.Inet, socket.Stream, 0)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.ConnectAddr(l.addr))
	<-conns
	other := &link{sock: s}
	require.Equal(t, s.LocalAddr().String(), other.LocalAddr().String())
	require.Equal(t, l.addr.String(), other.RemoteAddr().String())
}
