package server_test

import (
	"crypto/tls"
	"io"
	"testing"

	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

func TestTLSEcho(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			end, closed := ended()
			addr := serve(t, &server.Server{TLS: serverTLS(), Events: server.Events{Data: echo, Closed: closed}})
			config := clientTLS()
			config.MaxVersion = version
			c := tlsClient(t, addr, config)
			for range 3 {
				send(t, c, "hello")
				expect(t, c, "hello")
			}
			require.NoError(t, c.CloseWrite())
			expectEnd(t, c)
			require.Equal(t, io.EOF, <-end)
		})
	}
}

func TestTLSHandler(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			addr := serve(t, &server.Server{TLS: serverTLS(), Handler: func(s *server.Session) error {
				buf := make([]byte, 100)
				n, err := s.Conn().Read(buf)
				if err != nil {
					return err
				}
				_, err = s.Conn().Write(buf[:n])
				return err
			}})
			config := clientTLS()
			config.MaxVersion = version
			c := tlsClient(t, addr, config)
			for range 3 {
				send(t, c, "hello")
				expect(t, c, "hello")
			}
			require.NoError(t, c.CloseWrite())
			expectEnd(t, c)
		})
	}
}
