package server

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// attached returns a connection of a server without listeners, and its peer.
func attached(t *testing.T, srv *Server) (c *Conn, peer *socket.Socket) {
	t.Helper()
	conns := make(chan *Conn, 1)
	srv.Events.Open = func(c *Conn) error { conns <- c; return nil }
	t.Cleanup(func() { srv.Close() })
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	require.NoError(t, b.SetRecvTimeout(time.Minute))
	require.NoError(t, srv.Attach(a, nil))
	return <-conns, b
}

// The loop queues a piece when the descriptor is already closed. The piece completes
// once, with the error that ends the connection.
func TestWriteAsyncOfAClosedDescriptorCompletesOnce(t *testing.T) {
	srv := &Server{Loops: 1}
	c, _ := attached(t, srv)
	for c.Queued() == 0 {
		_, err := c.Write(make([]byte, 64<<10))
		require.NoError(t, err)
	}
	done := make(chan error, 4)
	require.NoError(t, c.WriteAsync([]byte("x"), func(err error) { done <- err }))
	var closed error
	c.eng.do(func() { // nothing else uses the descriptor
		closed = c.reg.Close()
		if err := c.WriteAsync([]byte("xyz"), func(err error) { done <- err }); err != nil {
			done <- err
		}
	})
	require.NoError(t, closed)
	require.NoError(t, srv.Close())
	require.ErrorIs(t, <-done, ErrClosed)
	require.ErrorIs(t, <-done, ErrClosed)
	require.Empty(t, done)
}

// While a goroutine sends bytes that the queue does not have, they count for MaxOutput:
// the kernel may refuse them, and then they are queued before what others have written.
func TestMaxOutputIncludesAWriteInProgress(t *testing.T) {
	const most = 100
	srv := &Server{Loops: 1, HighWater: most, MaxOutput: most}
	c, _ := attached(t, srv)
	c.eng.do(func() {
		c.mu.Lock()
		_, err := c.beginSend(60)
		require.NoError(t, err)
		n, err := c.Write(make([]byte, 41))
		require.Zero(t, n)
		require.Equal(t, ErrOutputFull, err)
		_, err = c.Write(make([]byte, 40))
		require.NoError(t, err)
		c.mu.Lock()
		require.Equal(t, most, c.waiting())
		c.mu.Unlock()
		require.NoError(t, c.endSend(0))
		c.mu.Unlock()
	})
}
