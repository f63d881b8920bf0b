package server_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// FuzzFraming sends frames in pieces that the bytes of cuts choose, over a server whose
// Data takes them in ways that the bytes of takes choose. All input comes back.
func FuzzFraming(f *testing.F) {
	for _, seed := range []struct{ stream, cuts, takes string }{
		{"", "", ""},
		{"hello, world", "\x01", "\x00\x01\x02\x03"},
		{"\x00\x05frame\x00\x00\x00\x03abc", "\x02\x01", "\x03\x03\x01"},
		{string(bytes.Repeat([]byte("0123456789"), 3000)), "\xff\x01\x80", "\x00\xff\x05"},
	} {
		f.Add([]byte(seed.stream), []byte(seed.cuts), []byte(seed.takes))
	}
	type reader struct {
		takes []byte
		n     int
	}
	takes := make(chan []byte, 1)
	addr := serve(f, &server.Server{Loops: 1, Chunk: 1 << 10, HighWater: 1 << 10, Events: server.Events{
		Open: func(c *server.Conn) error { c.User = &reader{takes: <-takes}; return nil },
		Data: func(c *server.Conn) error {
			r := c.User.(*reader)
			for c.Buffered() > 0 && c.Queued() <= 1<<10 {
				how := byte(1)
				if len(r.takes) > 0 {
					how = r.takes[r.n%len(r.takes)]
					r.n++
				}
				n := 1 + int(how>>2)
				if n > c.Buffered() {
					if how&128 != 0 {
						return nil // wait for more
					}
					n = c.Buffered()
				}
				switch how % 4 {
				case 0:
					c.Write(c.Next(n))
				case 1:
					c.Write(c.Peek(-1))
					c.Discard(c.Buffered())
				case 2:
					c.Write(c.Peek(n))
					c.Discard(n)
				case 3:
					buf := make([]byte, n)
					k, err := c.Read(buf)
					if err != nil {
						return err
					}
					c.Write(buf[:k])
				}
			}
			return nil
		},
		End: func(c *server.Conn) error { // what Data waits for does not come
			c.Write(c.Next(-1))
			c.Close()
			return nil
		},
	}})
	f.Fuzz(func(t *testing.T, stream, cuts, how []byte) {
		if len(stream) > 1<<16 {
			return
		}
		takes <- bytes.Clone(how)
		c := client(t, addr).(*net.TCPConn)
		sent := make(chan error, 1)
		go func() {
			rest := stream
			for i := 0; len(rest) > 0; i++ {
				n := len(rest)
				if len(cuts) > 0 {
					n = min(n, 1+int(cuts[i%len(cuts)])*(1+len(stream)/4096))
				}
				if _, err := c.Write(rest[:n]); err != nil {
					sent <- err
					return
				}
				rest = rest[n:]
			}
			sent <- c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.NoError(t, <-sent)
		require.True(t, bytes.Equal(stream, got), "%d bytes of %d", len(got), len(stream))
		c.Close()
	})
}
