package server_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// tlsEchoServers are an echo server on net, one with Events and one with a Handler. Each
// function returns the server's address.
var tlsEchoServers = []struct {
	name  string
	serve func(b *testing.B) string
}{
	{"net", func(b *testing.B) string {
		l, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS())
		require.NoError(b, err)
		b.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func(c net.Conn) {
					defer c.Close()
					buf := make([]byte, 32<<10)
					for {
						n, err := c.Read(buf)
						if err != nil {
							return
						}
						_, _ = c.Write(buf[:n])
					}
				}(c)
			}
		}()
		return l.Addr().String()
	}},
	{"events", func(b *testing.B) string {
		return serve(b, &server.Server{TLS: serverTLS(), Events: server.Events{Data: echo}}).String()
	}},
	{"handler", func(b *testing.B) string {
		return serve(b, &server.Server{TLS: serverTLS(), Handler: echoHandler}).String()
	}},
}

// BenchmarkTLSEcho measures echoes of messages by clients on net, which are in the same
// process.
func BenchmarkTLSEcho(b *testing.B) {
	for _, size := range []int{128, 16 << 10} {
		for _, s := range tlsEchoServers {
			b.Run(fmt.Sprintf("%d/%s", size, s.name), func(b *testing.B) {
				addr := s.serve(b)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
					if err != nil {
						b.Error(err)
						return
					}
					defer c.Close()
					buf := make([]byte, size)
					for pb.Next() {
						if _, err := c.Write(buf); err != nil {
							b.Error(err)
							return
						}
						if _, err := io.ReadFull(c, buf); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

// BenchmarkTLSHandshake measures connections that are opened, used once and closed.
func BenchmarkTLSHandshake(b *testing.B) {
	for _, s := range tlsEchoServers {
		b.Run(s.name, func(b *testing.B) {
			addr := s.serve(b)
			buf := make([]byte, 16)
			for b.Loop() {
				c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
				require.NoError(b, err)
				_, err = c.Write(buf)
				require.NoError(b, err)
				_, err = io.ReadFull(c, buf)
				require.NoError(b, err)
				c.Close()
			}
		})
	}
}
