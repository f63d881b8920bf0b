package server

import (
	"net"
	"testing"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A signal may stop a receive at TCP urgent data with EAGAIN, although bytes follow. No
// event comes for them, so the connection stays readable.
func TestReceiveThatASignalStopsAtUrgentDataIsMadeAgain(t *testing.T) {
	conns := make(chan *Conn, 1)
	srv := &Server{Loops: 1}
	srv.Events.Open = func(c *Conn) error { conns <- c; return nil }
	srv.Events.Data = func(c *Conn) error { c.Next(-1); return nil }
	addr, err := srv.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	peer, err := net.Dial("tcp4", addr.String())
	require.NoError(t, err)
	defer peer.Close()
	raw, err := peer.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	c := <-conns
	var before, after bool
	var got string
	c.eng.do(func() { // the loop receives nothing meanwhile
		_ = raw.Control(func(fd uintptr) {
			_ = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil)
			_ = unix.Sendto(int(fd), []byte("cd"), 0, nil)
		})
		c.shortReads = true // as the event says
		c.emptied()
		before = c.readable
		buf := make([]byte, 10)
		n, _ := sys.Recv(c.reg.FD(), buf, 0)
		got = string(buf[:n])
		c.emptied()
		after = c.readable
	})
	require.True(t, before)
	require.Equal(t, "cd", got)
	require.False(t, after)
}
