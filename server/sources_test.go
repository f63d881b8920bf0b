package server_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// from returns a connection to addr from another address of this machine.
func from(t *testing.T, local string, addr socket.Addr) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	c, err := d.Dial("tcp4", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(weirtest.Patience)))
	return c
}

// An address has two connections. A third is closed at once; another address is served.
// When one of the two ends, in whatever way, there is room for another.
func TestMaxConnsPerIP(t *testing.T) {
	events := &server.Server{Events: server.Events{Data: echo}}
	handler := &server.Server{Handler: func(s *server.Session) error {
		r, _, err := s.ReadRune()
		if err == nil {
			_, err = s.WriteRune(r)
		}
		return err
	}}
	for name, srv := range map[string]*server.Server{"Events": events, "Handler": handler} {
		t.Run(name, func(t *testing.T) {
			srv.MaxConnsPerIP = 2
			addr := serve(t, srv)
			var held []net.Conn
			for i := range 3 { // three rounds: what has ended does not count
				for range 2 {
					c := from(t, "127.0.0.1", addr)
					send(t, c, "x")
					expect(t, c, "x")
					held = append(held, c)
				}
				_, err := from(t, "127.0.0.1", addr).Read(make([]byte, 1))
				require.Error(t, err)
				require.Equal(t, uint64(i+1), srv.Stats().Refused)
				other := from(t, "127.0.0.2", addr)
				send(t, other, "y")
				expect(t, other, "y")
				held = append(held, other)
				for _, c := range held {
					if i == 1 {
						require.NoError(t, c.(*net.TCPConn).SetLinger(0)) // a reset
					}
					c.Close()
				}
				held = nil
				require.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, weirtest.Patience, time.Millisecond)
			}
		})
	}
}

// A detached connection does not count. Neither do those that Control refuses.
func TestMaxConnsPerIPForgetsWhatIsNotServed(t *testing.T) {
	detached := make(chan *socket.Socket, 10)
	srv := &server.Server{MaxConnsPerIP: 1, Events: server.Events{Data: func(c *server.Conn) error {
		s, err := c.Detach()
		detached <- s
		return err
	}}}
	var refuses atomic.Bool
	refuses.Store(true)
	srv.Control = func(int) error {
		if refuses.Load() {
			return net.ErrClosed
		}
		return nil
	}
	addr := serve(t, srv)
	for range 3 {
		_, err := from(t, "127.0.0.1", addr).Read(make([]byte, 1))
		require.Error(t, err)
	}
	refuses.Store(false)
	for range 3 {
		send(t, from(t, "127.0.0.1", addr), "x")
		weirtest.Take(t, detached).Close()
	}
	require.EqualValues(t, 3, srv.Stats().Refused, "by Control, and none because of the bound")
}
