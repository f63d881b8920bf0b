package server

import (
	"io"
	"net"
	"testing"

	"github.com/seed-2334f180/weir/loop"
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
