package simnet_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T, h *simnet.Host, loops int, timeouts server.Timeouts) *server.Server {
	srv := &server.Server{
		Group:    h.Group(loops),
		Timeouts: timeouts,
		Events: server.Events{Data: func(c *server.Conn) error {
			_, err := c.Write(c.Next(-1))
			return err
		}},
	}
	_, err := srv.Listen("tcp", "10.0.0.1:80")
	require.NoError(t, err)
	t.Cleanup(func() { srv.Close() })
	return srv
}

func dial(t *testing.T, h *simnet.Host) net.Conn {
	d := weirnet.Dialer{Group: h.Group(1)}
	c, err := d.Dial("tcp", "10.0.0.1:80")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// A server ends a connection whose client has been silent for an hour.
func TestExampleIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(t, simnet.Options{Link: simnet.Link{Latency: 20 * time.Millisecond}})
		echo(t, n.Host("10.0.0.1"), 1, server.Timeouts{Idle: time.Hour})
		c := dial(t, n.Host("10.0.0.2"))
		begin := time.Now() // one latency after the server has begun to count
		_, err := c.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.InDelta(t, time.Hour+20*time.Millisecond, time.Since(begin), float64(time.Millisecond)+float64(20*time.Millisecond))
	})
}

// A lost segment of TCP arrives when it is sent again. A lost datagram does not arrive.
func TestExampleLostPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(t, simnet.Options{})
		echo(t, n.Host("10.0.0.1"), 1, server.Timeouts{})
		c := dial(t, n.Host("10.0.0.2"))

		n.Cut("10.0.0.1", "10.0.0.2")
		_, err := c.Write([]byte("x"))
		require.NoError(t, err)
		time.Sleep(100 * time.Millisecond)
		n.Heal("10.0.0.1", "10.0.0.2")

		begin := time.Now()
		_, err = io.ReadFull(c, make([]byte, 1))
		require.NoError(t, err)
		require.InDelta(t, 100*time.Millisecond, time.Since(begin), float64(time.Millisecond)) // of 200 ms

		there := socket.Config{Group: n.Host("10.0.0.1").Group(1), Port: 53}
		a, err := there.New(socket.Inet, socket.Dgram, 0)
		require.NoError(t, err)
		defer a.Close()
		here := weirnet.Dialer{Group: n.Host("10.0.0.2").Group(1)}
		b, err := here.Dial("udp", "10.0.0.1:53")
		require.NoError(t, err)
		defer b.Close()
		n.Link("10.0.0.2", "10.0.0.1", simnet.Link{Loss: 1})
		_, err = b.Write([]byte("lost"))
		require.NoError(t, err)
		require.NoError(t, a.SetRecvTimeout(time.Minute))
		_, err = a.Recv(make([]byte, 9), 0)
		require.ErrorIs(t, err, syscall.EAGAIN)
	})
}

// A connection is reset when its 4,097th byte is on its way.
func TestExampleReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(t, simnet.Options{})
		n.Link("10.0.0.1", "10.0.0.2", simnet.Link{Latency: time.Millisecond, ResetAt: 4097})
		ended := make(chan error, 1)
		srv := &server.Server{
			Group: n.Host("10.0.0.1").Group(1),
			Events: server.Events{
				Open:   func(c *server.Conn) error { _, err := c.Write(make([]byte, 10_000)); return err },
				Data:   func(*server.Conn) error { return nil },
				Closed: func(_ *server.Conn, err error) { ended <- err },
			},
		}
		_, err := srv.Listen("tcp", "10.0.0.1:80")
		require.NoError(t, err)
		defer srv.Close()
		c := dial(t, n.Host("10.0.0.2"))
		got, err := io.ReadAll(c)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.Len(t, got, 4096)
		err = <-ended
		require.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE), "%v", err)
	})
}
