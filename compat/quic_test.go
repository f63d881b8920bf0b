package compat

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"
)

// quicClient serves echoes of streams, and returns a client's connection.
func quicClient(tb testing.TB, f face) *quic.Conn {
	serverTLS, clientTLS := certificates(tb, "echo")
	at, err := f.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(tb, err)
	from, err := f.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(tb, err)
	server, client := &quic.Transport{Conn: at}, &quic.Transport{Conn: from}
	tb.Cleanup(func() {
		client.Close()
		server.Close()
		from.Close()
		at.Close()
	})
	l, err := server.Listen(serverTLS, nil)
	require.NoError(tb, err)
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				for {
					s, err := c.AcceptStream(context.Background())
					if err != nil {
						return
					}
					go func() {
						_, _ = io.Copy(s, s)
						s.Close()
					}()
				}
			}()
		}
	}()
	c, err := client.Dial(bounded(tb), at.LocalAddr(), clientTLS, nil)
	require.NoError(tb, err)
	return c
}

// echo sends on a stream of its own, and reads all that comes back.
func echo(c *quic.Conn, data []byte) ([]byte, error) {
	s, err := c.OpenStreamSync(context.Background())
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = s.Write(data)
		s.Close()
	}()
	return io.ReadAll(s)
}

func TestQUIC(t *testing.T) {
	onFaces(t, func(t *testing.T, f face) {
		c := quicClient(t, f)
		data := make([]byte, 4<<20)
		rand.Read(data)
		for _, size := range []int{1, 1000, len(data)} {
			got, err := echo(c, data[:size])
			require.NoError(t, err)
			require.True(t, bytes.Equal(data[:size], got))
		}
		require.NoError(t, c.CloseWithError(0, ""))
	})
}
