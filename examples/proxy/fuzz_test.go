package main

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// FuzzHalfClose has both sides send pieces and end their streams in an order that the
// bytes choose. Each side gets all that the other has sent, and then the end.
func FuzzHalfClose(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x10, 0x21, 0x00, 0x31})
	f.Add([]byte{0x01, 0x50, 0x50, 0xf0})
	f.Add([]byte{0xf1, 0xf0, 0xe1, 0x00, 0xf1, 0x01})
	l, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	require.NoError(f, err)
	require.NoError(f, l.Listen(16))
	f.Cleanup(func() { l.Close() })
	connect := func(t *testing.T) (peer *net.TCPConn, mine *socket.Socket) {
		c, err := net.Dial("tcp4", l.LocalAddr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(programtest.Patience)))
		mine, err = l.Accept()
		require.NoError(t, err)
		return c.(*net.TCPConn), mine
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		var peers [2]*net.TCPConn
		var mine [2]*socket.Socket
		for i := range peers {
			peers[i], mine[i] = connect(t)
		}
		x := &link{client: mine[0], server: mine[1], idle: programtest.Patience}
		relayed := make(chan error, 1)
		go func() { relayed <- x.relay() }()
		var all sync.WaitGroup
		var got, sent [2][]byte
		var errs [2]error
		for i := range peers {
			all.Go(func() { got[i], errs[i] = io.ReadAll(peers[i]) })
		}
		var ended [2]bool
		end := func(i int) {
			if !ended[i] {
				ended[i] = true
				require.NoError(t, peers[i].CloseWrite())
			}
		}
		// The lowest bit of a step is the side, and the rest how much it sends: nothing
		// is the end.
		for n, step := range script[:min(len(script), 32)] {
			i, size := int(step&1), int(step>>1)
			switch {
			case size == 0:
				end(i)
			case !ended[i]:
				p := make([]byte, size*size)
				for j := range p {
					p[j] = byte(n + j)
				}
				_, err := peers[i].Write(p)
				require.NoError(t, err)
				sent[i] = append(sent[i], p...)
			}
		}
		end(0)
		end(1)
		all.Wait()
		require.NoError(t, <-relayed)
		for i := range peers {
			require.NoError(t, errs[i])
			require.Equal(t, len(sent[i]), len(got[1-i]))
			require.Equal(t, string(sent[i]), string(got[1-i]))
		}
	})
}
