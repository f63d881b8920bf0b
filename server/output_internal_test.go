package server

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

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
	require.ErrorIs(t, <-first, ErrClosed)
	require.Zero(t, called.Load())
}
