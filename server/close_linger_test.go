package server

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// serveOnce serves connections. It sends size bytes to each and then closes it. The
// channel gets the error of each Closed.
func serveOnce(t *testing.T, size int, linger time.Duration) (address string, ended chan error) {
	t.Helper()
	ended = make(chan error, 1)
	srv := &Server{
		Loops:      1,
		Timeouts:   Timeouts{Linger: linger},
		SendBuffer: 4 << 20, // the kernel takes all output at once
		Events: Events{
			Data: func(c *Conn) error {
				c.Discard(c.Buffered())
				_, err := c.Write(make([]byte, size))
				c.Close()
				return err
			},
			Closed: func(_ *Conn, err error) { ended <- err },
		},
	}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return addr.String(), ended
}

// narrow connects with a small receive buffer.
func narrow(t *testing.T, address string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			require.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096))
		})
	}}
	c, err := d.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}

// The server closes a connection while the peer still sends. The peer gets everything
// that the server has written before, and then an orderly end.
func TestCloseWhilePeerSends(t *testing.T) {
	const size = 1 << 20
	address, ended := serveOnce(t, size, 0)
	c := narrow(t, address)
	_, err := c.Write([]byte("go"))
	require.NoError(t, err)
	buf := make([]byte, 4096)
	got := 0
	for {
		n, err := c.Read(buf)
		got += n
		if err == io.EOF {
			break
		}
		require.NoError(t, err, "after %d bytes", got)
		_, _ = c.Write([]byte("more")) // Read finds out whether the connection has ended
	}
	require.Equal(t, size, got)
	require.NoError(t, c.Close())
	require.NoError(t, <-ended)
}

// Close does not wait for a peer that has received everything and keeps its side open.
func TestCloseDoesNotWaitForPeer(t *testing.T) {
	address, ended := serveOnce(t, 1000, time.Hour)
	c := narrow(t, address)
	_, err := c.Write([]byte("go"))
	require.NoError(t, err)
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		require.Fail(t, "Close waits for the peer")
	}
}

// Close waits until Linger is over for a peer that reads nothing.
func TestLingerEnds(t *testing.T) {
	const linger = 100 * time.Millisecond
	address, ended := serveOnce(t, 1<<20, linger)
	c := narrow(t, address)
	begun := time.Now()
	_, err := c.Write([]byte("go"))
	require.NoError(t, err)
	require.ErrorIs(t, <-ended, os.ErrDeadlineExceeded)
	require.GreaterOrEqual(t, time.Since(begun), linger)
}
