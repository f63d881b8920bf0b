package server_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// meet returns the two ends of a TCP connection.
func meet(t *testing.T) (*socket.Socket, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	var d weirnet.Dialer
	s, err := d.DialSocket(t.Context(), "tcp4", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	peer, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { peer.Close() })
	require.NoError(t, peer.SetDeadline(time.Now().Add(weirtest.Patience)))
	return s, peer
}

// A prefixed sends a line together with its first bytes.
type prefixed struct {
	net.Conn
	line string
}

func (p *prefixed) Write(b []byte) (int, error) {
	line := p.line
	p.line = ""
	n, err := p.Conn.Write(append([]byte(line), b...))
	return max(0, n-len(line)), err
}

// As server or client side, by Events or by a Handler, in the middle of a connection. The
// beginning of the handshake may have been read ahead.
func TestAttachTLS(t *testing.T) {
	for name, srv := range map[string]*server.Server{"events": {Events: server.Events{Data: echo}}, "handler": {Handler: echoHandler}} {
		for _, side := range []string{"server", "client"} {
			for _, ahead := range []bool{false, true} {
				if ahead && side == "client" {
					continue // the server side never speaks first
				}
				t.Run(name+" as "+side+map[bool]string{true: ", read ahead"}[ahead], func(t *testing.T) {
					users := make(chan any, 1)
					srv := &server.Server{Events: srv.Events, Handler: srv.Handler}
					if srv.Handler == nil {
						srv.Events.Open = func(c *server.Conn) error {
							_, ok := c.TLS()
							require.True(t, ok)
							users <- c.User
							return nil
						}
					} else {
						srv.Begin = func(s *server.Session) error {
							_, ok := s.TLS()
							require.True(t, ok)
							users <- s.User
							return nil
						}
					}
					t.Cleanup(func() { srv.Close() })
					s, peer := meet(t)
					var c *tls.Conn
					if side == "client" {
						c = tls.Server(peer, serverTLS())
						require.NoError(t, srv.AttachTLSClient(s, clientTLS(), nil, "the user"))
					} else {
						p := &prefixed{peer, "STARTTLS\n"}
						c = tls.Client(p, clientTLS())
						shaken := make(chan error, 1)
						if ahead {
							go func() { shaken <- c.Handshake() }()
						} else {
							send(t, p, "")
						}
						line, err := s.ReadLine()
						require.NoError(t, err)
						require.Equal(t, "STARTTLS", line)
						require.Equal(t, ahead, s.Buffered() > 0)
						require.NoError(t, srv.AttachTLS(s, serverTLS(), nil, "the user"))
						if !ahead {
							go func() { shaken <- c.Handshake() }()
						}
						require.NoError(t, weirtest.Take(t, shaken))
					}
					send(t, c, "hello")
					expect(t, c, "hello")
					require.Equal(t, "the user", weirtest.Take(t, users))
					require.Equal(t, uint64(1), srv.Stats().Attached)
					require.NoError(t, c.CloseWrite())
					expectEnd(t, c) // with close_notify
					weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "the connection ends")
				})
			}
		}
	}
}

// A callback detaches its connection after a plain line, and attaches it with TLS.
func TestStartTLSWithEvents(t *testing.T) {
	srv := &server.Server{}
	var secure server.Service
	secure.Events.Data = echo
	srv.Events.Data = func(c *server.Conn) error {
		if string(c.Next(-1)) != "STARTTLS\n" {
			return io.ErrUnexpectedEOF
		}
		if _, err := c.WriteString("go ahead\n"); err != nil {
			return err
		}
		s, err := c.Detach()
		if err != nil {
			return err
		}
		return srv.AttachTLS(s, serverTLS(), &secure, nil)
	}
	plain := client(t, serve(t, srv))
	send(t, plain, "STARTTLS\n")
	line, err := bufio.NewReaderSize(plain, 16).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "go ahead\n", line)
	c := tls.Client(plain, clientTLS())
	send(t, c, "hello")
	expect(t, c, "hello")
}

func TestAttachTLSRefuses(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo}}
	t.Cleanup(func() { srv.Close() })
	s, _ := meet(t)
	require.ErrorContains(t, srv.AttachTLS(s, nil, nil, nil), "the tls.Config is nil")
	require.ErrorContains(t, srv.AttachTLS(s, &tls.Config{}, nil, nil), "Certificates")
	require.ErrorContains(t, srv.AttachTLSClient(s, nil, nil, nil), "the tls.Config is nil")
	require.ErrorContains(t, srv.AttachTLSClient(s, &tls.Config{}, nil, nil), "ServerName")
	require.ErrorContains(t, srv.AttachTLSClient(s, &tls.Config{ServerName: "x", Renegotiation: tls.RenegotiateOnceAsClient}, nil, nil), "Renegotiation")
	require.ErrorContains(t, srv.AttachTLS(nil, serverTLS(), nil, nil), "the socket is nil")
	require.Zero(t, srv.Stats().Conns)
	_, err := s.Write([]byte("x")) // it still belongs to the caller
	require.NoError(t, err)
}

// No callback sees a connection whose handshake fails, and the log says why.
func TestAttachTLSHandshakeFails(t *testing.T) {
	for name, why := range map[string]string{"silent": "handshake timeout of 50ms is over", "plain": "does not look like a TLS handshake", "gone": ""} {
		t.Run(name, func(t *testing.T) {
			log := &journal{}
			srv := &server.Server{Log: log.logger(), Timeouts: server.Timeouts{Handshake: 50 * time.Millisecond}, Events: server.Events{
				Open: func(*server.Conn) error { t.Error("Open"); return nil }, Data: echo,
			}}
			if name != "silent" {
				srv.Timeouts.Handshake = weirtest.Patience
			}
			t.Cleanup(func() { srv.Close() })
			s, peer := meet(t)
			require.NoError(t, srv.AttachTLSClient(s, clientTLS(), nil, nil))
			if name == "plain" {
				send(t, peer, "220 ready for mail\n")
			}
			if name == "gone" {
				require.NoError(t, peer.(*net.TCPConn).CloseWrite())
			}
			weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "the connection ends")
			if name == "gone" { // that is the peer's right
				require.Empty(t, log.all())
				return
			}
			weirtest.Eventually(t, func() bool { return log.count(why) == 1 }, "the log says why")
		})
	}
}
