package server_test

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func fileOf(t *testing.T, content []byte) *os.File {
	t.Helper()
	path := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(path, content, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// sparseFile returns a file of n zero bytes.
func sparseFile(t *testing.T, n int64) *os.File {
	t.Helper()
	f := fileOf(t, nil)
	require.NoError(t, f.Truncate(n))
	return f
}

// The bytes of files leave in the order of the calls, together with all other writes.
// MaxOutput and Linger are no limits for a file, and the program may close it at once.
func TestSendFile(t *testing.T) {
	content := pattern(3 << 20)
	for _, network := range []string{"tcp", "unix"} {
		for _, inCallback := range []bool{false, true} {
			for _, rates := range []server.Rates{{}, {Write: 64 << 20, WriteBurst: 100_000}} {
				address := "127.0.0.1:0"
				if network == "unix" {
					address = t.TempDir() + "/s"
				}
				writes := func(c *server.Conn) error {
					f := fileOf(t, content)
					defer f.Close()
					_, err := c.WriteString("first,")
					for _, step := range []func() error{
						func() error { return err },
						func() error { return c.SendFile(f, 5, 10) },
						func() error { _, err := c.WriteString(",second,"); return err },
						func() error { return c.SendFile(f, int64(len(content)), 0) },
						func() error { return c.WriteAsync([]byte("third,"), func(error) {}) },
						func() error { return c.SendFile(f, 0, int64(len(content))) },
						func() error { return c.SendFile(f, 0, 3) },
						func() error { _, err := c.Writev([][]byte{[]byte(",la"), []byte("st")}); return err },
					} {
						if err := step(); err != nil {
							return err
						}
					}
					c.Close()
					return nil
				}
				want := "first," + string(content[5:15]) + ",second,third," + string(content) + string(content[:3]) + ",last"
				conns, open := opened()
				srv := &server.Server{Loops: 1, MaxOutput: 1 << 20, HighWater: 1 << 20, Rates: rates, Timeouts: server.Timeouts{Linger: time.Second}, Events: server.Events{Data: echo, Open: open}}
				if inCallback {
					srv.Events.Open = writes
				}
				peer := client(t, serveOn(t, srv, network, address))
				if !inCallback {
					require.NoError(t, writes(weirtest.Take(t, conns)))
				}
				got, err := io.ReadAll(peer)
				require.NoError(t, err, "after %d bytes", len(got))
				require.True(t, want == string(got), "%d bytes", len(got))
			}
		}
	}
}

// Linger counts from the last progress of a file.
func TestSendFileLingersWhileItLeaves(t *testing.T) {
	const linger, size = 200 * time.Millisecond, 4 << 20
	srv := &server.Server{
		Rates:    server.Rates{Write: 4 * size}, // the file takes longer than Linger
		Timeouts: server.Timeouts{Linger: linger},
		Events: server.Events{Data: echo, Open: func(c *server.Conn) error {
			defer c.Close()
			return c.SendFile(sparseFile(t, 2*size), 0, 2*size)
		}},
	}
	began := time.Now()
	peer := client(t, serve(t, srv))
	n, err := io.Copy(io.Discard, peer)
	require.NoError(t, err, "after %d bytes", n)
	require.EqualValues(t, 2*size, n)
	require.Greater(t, time.Since(began), linger)
}

func TestSendFileRefuses(t *testing.T) {
	conns, open := opened()
	peer := client(t, serve(t, &server.Server{Events: server.Events{Data: echo, Open: open}}))
	c := weirtest.Take(t, conns)
	f := fileOf(t, []byte("0123456789"))
	for _, bad := range [][2]int64{{-1, 1}, {0, -1}, {0, 11}, {11, 0}, {5, 1<<63 - 1}} {
		err := c.SendFile(f, bad[0], bad[1])
		require.ErrorIs(t, err, unix.EINVAL)
		require.ErrorContains(t, err, "the file has 10 bytes")
	}
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	defer r.Close()
	require.ErrorContains(t, c.SendFile(r, 0, 1), "not a regular file")
	require.ErrorIs(t, c.SendFile(nil, 0, 1), os.ErrInvalid)
	closed := fileOf(t, nil)
	closed.Close()
	require.ErrorIs(t, c.SendFile(closed, 0, 0), os.ErrClosed)
	send(t, peer, "x")
	expect(t, peer, "x")
	c.Close()
	require.ErrorIs(t, c.SendFile(f, 0, 1), net.ErrClosed)
}

// A file that becomes shorter ends the connection, by a reset: the peer must not take what
// it got for everything.
func TestSendFileThatBecomesShorter(t *testing.T) {
	over, closed := ended()
	f := sparseFile(t, 32<<20)
	srv := &server.Server{Loops: 1, Events: server.Events{Data: echo, Closed: closed, Open: func(c *server.Conn) error { return c.SendFile(f, 0, 32<<20) }}}
	peer := client(t, serve(t, srv))
	_, err := io.ReadFull(peer, make([]byte, 1000))
	require.NoError(t, err)
	require.NoError(t, f.Truncate(10))
	_, err = io.Copy(io.Discard, peer)
	require.ErrorIs(t, err, unix.ECONNRESET)
	require.ErrorIs(t, weirtest.Take(t, over), unix.ENODATA)
}

// However a connection ends, the descriptors of its files are closed.
func TestSendFileClosesItsDescriptors(t *testing.T) {
	over, closed := ended()
	conns, open := opened()
	srv := &server.Server{Loops: 1, Events: server.Events{Data: echo, Open: open, Closed: closed}}
	addr := serve(t, srv)
	f := sparseFile(t, 32<<20)
	round := func(end func(*server.Conn, net.Conn)) {
		peer := client(t, addr)
		defer peer.Close()
		c := weirtest.Take(t, conns)
		for range 10 {
			require.NoError(t, c.SendFile(f, 0, 32<<20))
		}
		end(c, peer)
		require.Error(t, weirtest.Take(t, over))
	}
	reset := func(_ *server.Conn, peer net.Conn) { peer.(*net.TCPConn).SetLinger(0); peer.Close() }
	round(reset)
	before := descriptors(t)
	round(reset)
	round(func(c *server.Conn, _ net.Conn) { c.Abort() })
	round(func(c *server.Conn, _ net.Conn) {
		onLoop(t, c, func() { _ = c.SetTimeouts(server.Timeouts{Write: short / 2}) })
	})
	weirtest.Eventually(t, func() bool { return descriptors(t) <= before+1 }, "which the reading of the directory takes")
}
