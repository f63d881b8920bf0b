package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The PROXY header comes before the TLS handshake, and its address is known after it.
func TestTLSBehindAProxyHeader(t *testing.T) {
	for name, srv := range map[string]*server.Server{
		"events": {Events: server.Events{Data: func(c *server.Conn) error {
			c.Next(-1)
			_, err := fmt.Fprintf(c, "%v\n", c.RemoteAddr())
			return err
		}}},
		"handler": {Handler: func(s *server.Session) error {
			if _, err := s.Read(make([]byte, 100)); err != nil {
				return err
			}
			_, err := fmt.Fprintf(s, "%v\n", s.RemoteAddr())
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			srv.TLS, srv.ProxyProtocol = serverTLS(), &server.ProxyProtocol{}
			c, err := net.Dial("tcp", serve(t, srv).String())
			require.NoError(t, err)
			defer c.Close()
			send(t, c, "PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n")
			secure := tls.Client(c, clientTLS())
			for range 2 { // with a Handler, the second time after it has rested
				send(t, secure, "x")
				line, err := bufio.NewReader(secure).ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, "192.0.2.7:4711\n", line)
			}
		})
	}
}

// A file is not sent past the encryption.
func TestTLSSendsNoFile(t *testing.T) {
	f, err := os.Open(os.Args[0])
	require.NoError(t, err)
	defer f.Close()
	results := make(chan error, 1)
	srv := &server.Server{TLS: serverTLS(), Events: server.Events{Data: func(c *server.Conn) error {
		c.Next(-1)
		results <- c.SendFile(f, 0, 10)
		return nil
	}}}
	send(t, tlsClient(t, serve(t, srv), clientTLS()), "x")
	require.ErrorIs(t, weirtest.Take(t, results), unix.EOPNOTSUPP)
}
