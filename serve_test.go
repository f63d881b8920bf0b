package weir

import (
	"bufio"
	"io"
	"net"
	"testing"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

func TestEchoEvents(t *testing.T) {
	srv := &Server{Events: Events{Data: func(c *Conn) error {
		_, err := c.Write(c.Next(-1))
		return err
	}}}
	addr, err := srv.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	for range 100 {
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		buf := make([]byte, 5)
		_, err = io.ReadFull(c, buf)
		require.NoError(t, err)
		require.Equal(t, "hello", string(buf))
	}
	require.NoError(t, c.Close())
	require.NoError(t, srv.Close())
}

func TestEchoHandle(t *testing.T) {
	srv := &Server{Handle: func(s *socket.Socket) error {
		line, err := s.ReadLine()
		if err != nil {
			return err
		}
		_, err = s.WriteLine(line)
		return err
	}}
	addr, err := srv.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	r := bufio.NewReader(c)
	for range 10 {
		_, err = c.Write([]byte("hello\nworld\n"))
		require.NoError(t, err)
		for _, want := range []string{"hello\n", "world\n"} {
			line, err := r.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, want, line)
		}
	}
	require.NoError(t, c.Close())
	require.NoError(t, srv.Shutdown(t.Context()))
}

// Who found something to read may not run the session if it has run since.
func TestSessionIsReclaimedOnlyIfItHasNotRun(t *testing.T) {
	var x session
	before := x.release()
	require.True(t, x.claim())
	require.False(t, x.claim(), "it is running")
	again := x.release()
	require.False(t, x.reclaim(before), "it has run since")
	require.True(t, x.reclaim(again))
}
