package server_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestDialServesAConnectionByEvents(t *testing.T) {
	listener, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer listener.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	got, ended := make(chan string, 1), make(chan error, 1)
	srv := &server.Server{Events: server.Events{
		Open: func(c *server.Conn) error {
			_, err := c.WriteString(c.User.(string))
			return err
		},
		Data:  func(c *server.Conn) error { got <- string(c.Next(-1)); return nil },
		Close: func(_ *server.Conn, err error) { ended <- err },
	}}
	defer srv.Close()
	c, err := srv.Dial(t.Context(), weirnet.Dialer{}, "tcp", listener.Addr().String(), "hello")
	require.NoError(t, err)
	require.Equal(t, listener.Addr().String(), c.RemoteAddr().String())
	peer := <-accepted
	buf := make([]byte, 5)
	_, err = io.ReadFull(peer, buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf))
	_, err = peer.Write([]byte("answer"))
	require.NoError(t, err)
	require.Equal(t, "answer", <-got)
	require.NoError(t, peer.Close())
	require.ErrorIs(t, <-ended, io.EOF)
}

func TestDialFails(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: func(*server.Conn) error { return nil }}}
	defer srv.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	_, err = srv.Dial(t.Context(), weirnet.Dialer{}, "tcp", closed.Addr().String(), nil)
	require.ErrorIs(t, err, unix.ECONNREFUSED)

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	full := fullListener(t)
	_, err = srv.Dial(ctx, weirnet.Dialer{}, "tcp", full, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, srv.Stats().Conns)

	require.NoError(t, srv.Close())
	_, err = srv.Dial(t.Context(), weirnet.Dialer{}, "tcp", full, nil)
	require.ErrorIs(t, err, server.ErrServerClosed)

	blocking := &server.Server{Handle: func(*socket.Socket) error { return nil }}
	defer blocking.Close()
	_, err = blocking.Dial(t.Context(), weirnet.Dialer{}, "tcp", full, nil)
	require.Error(t, err)
}

// fullListener is the address of one whose backlog is full: it does not answer.
func fullListener(t *testing.T) string {
	l, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	require.NoError(t, l.Listen(0))
	for range 2 { // the backlog of 0 holds one
		c, err := socket.New(socket.Inet, socket.Stream, 0)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetSendTimeout(20*time.Millisecond))
		if err := c.ConnectAddr(l.LocalAddr()); err != nil {
			break
		}
	}
	return l.LocalAddr().String()
}
