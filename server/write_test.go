package server_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// segments returns how many segments with data the connection has sent.
func segments(t testing.TB, c *server.Conn) (n uint32) {
	t.Helper()
	require.NoError(t, c.Control(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = info.Data_segs_out
		}
		return err
	}))
	return n
}

// The loop sends what a callback writes in one system call. With TCP_NODELAY each system
// call sends at least one segment.
func TestServeWritesOfACallbackLeaveTogether(t *testing.T) {
	conns, open := opened()
	var within uint32
	addr := serve(t, &server.Server{Events: server.Events{
		Open: open,
		Data: func(c *server.Conn) error {
			c.Next(-1)
			for i := range 10 {
				if _, err := c.Write([]byte{'a' + byte(i)}); err != nil {
					return err
				}
				if _, err := c.WriteString("-"); err != nil {
					return err
				}
				if _, err := c.Writev([][]byte{{'<'}, nil, {'>'}}); err != nil {
					return err
				}
			}
			within = segments(t, c)
			return nil
		},
	}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	before := segments(t, conn)
	send(t, c, "x")
	expect(t, c, "a-<>b-<>c-<>d-<>e-<>f-<>g-<>h-<>i-<>j-<>")
	turned(t, conn)
	require.Equal(t, before, within, "nothing leaves before the callback returns")
	require.Equal(t, before+1, segments(t, conn))
}

func TestServeWritesOfOthersKeepTheOrder(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		addr := listen(&server.Server{Events: server.Events{Data: func(c *server.Conn) error {
			c.Next(-1)
			var async atomic.Int64
			var errs []error
			other := func(f func() error) {
				var done sync.WaitGroup
				done.Go(func() { errs = append(errs, f()) })
				done.Wait()
			}
			note := func(_ int, err error) error { return err }
			errs = append(errs, note(c.WriteString("1")))
			other(func() error { return note(c.Write([]byte("2"))) })
			errs = append(errs, note(c.Writev([][]byte{[]byte("3"), []byte("4")})))
			errs = append(errs, c.WriteAsync([]byte("5"), func(error) { async.Add(1) }))
			errs = append(errs, note(c.WriteString("6")))
			other(func() error { return c.WriteAsync([]byte("7"), func(error) { async.Add(1) }) })
			errs = append(errs, note(c.WriteString("<")))
			errs = append(errs, note(c.WriteString(strings.Repeat("8", 70_000)))) // more than the connection gathers
			other(func() error { return note(c.WriteString("9")) })
			errs = append(errs, note(c.Write([]byte(strings.Repeat("0", 20_000))))) // the connection sends it at once
			errs = append(errs, note(c.WriteString(">")))
			return errors.Join(errs...)
		}}})
		c := client(t, addr)
		for range 3 {
			send(t, c, "x")
			expect(t, c, "1234567<"+strings.Repeat("8", 70_000)+"9"+strings.Repeat("0", 20_000)+">")
		}
	})
}

// Goroutines and callbacks write at the same time, by every method, to a peer that reads
// slowly. Every record arrives whole, and the records of one writer arrive in order.
func TestServeWritesAreWholeAndOrdered(t *testing.T) {
	const writers, each = 4, 300
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		conns, open := opened()
		var inCallback uint32
		done := make(chan struct{}, 1)
		record := func(writer, seq, size int) []byte {
			p := binary.BigEndian.AppendUint32(nil, uint32(writer))
			p = binary.BigEndian.AppendUint32(p, uint32(seq))
			p = binary.BigEndian.AppendUint32(p, uint32(size))
			return append(p, bytes.Repeat([]byte{byte(seq)}, size)...)
		}
		addr := listen(&server.Server{MaxOutput: 1 << 30, HighWater: 1 << 30, SendBuffer: 64 << 10, Events: server.Events{
			Open: open,
			Data: func(c *server.Conn) error {
				c.Next(-1)
				if inCallback < each {
					_, err := c.Write(record(writers, int(inCallback), 10))
					inCallback++
					c.Wake()
					return err
				}
				select {
				case done <- struct{}{}:
				default:
				}
				return nil
			},
		}})
		c := client(t, addr)
		conn := weirtest.Take(t, conns)
		conn.Wake()
		var completed atomic.Int64
		var asked atomic.Int64
		for writer := range writers {
			go func() {
				random := rand.New(rand.NewPCG(uint64(writer), 1))
				for seq := range each {
					p := record(writer, seq, random.IntN(3000))
					if seq%50 == 49 {
						p = record(writer, seq, 100_000)
					}
					var err error
					switch random.IntN(4) {
					case 0:
						_, err = conn.Write(p)
						clear(p) // Write has copied it
					case 1:
						_, err = conn.WriteString(string(p))
					case 2:
						_, err = conn.Writev([][]byte{p[:5], p[5:12], p[12:]})
						clear(p)
					case 3:
						asked.Add(1)
						var once atomic.Bool
						err = conn.WriteAsync(p, func(err error) {
							if err != nil || once.Swap(true) {
								panic("completed wrongly")
							}
							completed.Add(1)
						})
					}
					if err != nil {
						panic(err)
					}
				}
			}()
		}
		next := make([]int, writers+1)
		head := make([]byte, 12)
		for range (writers + 1) * each {
			_, err := io.ReadFull(c, head)
			require.NoError(t, err)
			writer, seq, size := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
			require.LessOrEqual(t, writer, uint32(writers))
			require.EqualValues(t, next[writer], seq)
			next[writer]++
			body := make([]byte, size)
			_, err = io.ReadFull(c, body)
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat([]byte{byte(seq)}, int(size)), body)
		}
		weirtest.Take(t, done)
		weirtest.Eventually(t, func() bool { return completed.Load() == asked.Load() }, "all are completed")
		weirtest.Eventually(t, func() bool { return conn.Queued() == 0 }, "the last writer has counted what it sent")
	})
}

// The buffers of one Writev stay together, whenever the loop begins and ends a turn.
func TestWritevStaysTogether(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		conns, open := opened()
		c := client(t, listen(&server.Server{Events: server.Events{Open: open, Data: echo}}))
		conn := weirtest.Take(t, conns)
		const writers, each, parts = 3, 2000, 500
		var all sync.WaitGroup
		for writer := range writers {
			all.Go(func() {
				bufs := make([][]byte, parts)
				for i := range bufs {
					bufs[i] = []byte{byte(writer)}
				}
				for range each {
					if n, err := conn.Writev(bufs); n != parts || err != nil {
						t.Errorf("%d of %d bytes: %v", n, parts, err)
						return
					}
					conn.Wake() // so that turns begin and end all the time
				}
			})
		}
		got := make([]byte, parts)
		for range writers * each {
			_, err := io.ReadFull(c, got)
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat(got[:1], parts), got)
		}
		all.Wait() // the last Writev may not know yet that the peer has everything
	})
}

// stuffed writes to a connection whose peer does not read, until that many bytes are
// queued. It returns how many bytes it has written.
func stuffed(t testing.TB, c *server.Conn, atLeast int) (written int) {
	t.Helper()
	written, err := stuff(c, atLeast)
	require.NoError(t, err)
	return written
}

// stuff also waits until the loop has offered the output to the kernel. Before that, output
// is queued that the kernel still takes.
func stuff(c *server.Conn, atLeast int) (written int, err error) {
	p := make([]byte, 32<<10)
	for err == nil {
		if c.Queued() >= atLeast {
			offered := make(chan struct{})
			// The loop may be within a turn now. It does the second task in a later turn.
			err = c.Loop().Post(func() {
				if c.Loop().Post(func() { close(offered) }) != nil {
					close(offered)
				}
			})
			if err != nil {
				break
			}
			if <-offered; c.Queued() >= atLeast {
				break
			}
		}
		var n int
		n, err = c.Write(p)
		written += n
	}
	return written, err
}

func TestServeWaterMarks(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		conns, open := opened()
		pressure := make(chan bool, 16)
		data := make(chan string, 16)
		srv := &server.Server{HighWater: 1 << 20, LowWater: 100 << 10, SendBuffer: 16 << 10, Events: server.Events{
			Open:     open,
			Data:     func(c *server.Conn) error { data <- string(c.Next(-1)); return nil },
			Pressure: func(_ *server.Conn, on bool) { pressure <- on },
		}}
		addr := listen(srv)
		c := client(t, addr)
		conn := weirtest.Take(t, conns)
		written := stuffed(t, conn, 1<<20-128<<10)
		send(t, c, "below")
		require.Equal(t, "below", weirtest.Take(t, data))
		require.Empty(t, pressure)
		for range 2 { // the second time shows that it happens again
			written += stuffed(t, conn, 1<<20+1)
			require.True(t, weirtest.Take(t, pressure))
			send(t, c, "above")
			turned(t, conn)
			require.Empty(t, data, "nothing is read from who does not read")
			for {
				early := len(data)
				if conn.Queued() <= 100<<10 {
					break
				}
				require.Zero(t, early)
				// A system call in progress may already have sent a part of the bytes
				// that Queued counts. Then the peer reads fewer bytes.
				require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
				n, err := c.Read(make([]byte, 8<<10))
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					require.NoError(t, err)
				}
				written -= n
			}
			require.NoError(t, c.SetReadDeadline(time.Now().Add(weirtest.Patience)))
			require.False(t, weirtest.Take(t, pressure))
			require.Equal(t, "above", weirtest.Take(t, data), "what came meanwhile is read without another event")
		}
		_, err := io.CopyN(io.Discard, c, int64(written))
		require.NoError(t, err)
		weirtest.Eventually(t, func() bool { return conn.Queued() == 0 }, "all is taken")
		require.Empty(t, pressure)
	})
}

func TestServeOutputFull(t *testing.T) {
	const most = 1 << 20
	conns, open := opened()
	srv := &server.Server{MaxOutput: most, SendBuffer: 16 << 10, Events: server.Events{Open: open, Data: func(c *server.Conn) error {
		p := c.Next(-1)
		n, err := c.Write(make([]byte, most+1))
		if n != 0 || !errors.Is(err, server.ErrOutputFull) {
			return fmt.Errorf("%d, %v", n, err)
		}
		_, err = c.Write(p)
		return err
	}}}
	addr := serve(t, srv)
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	send(t, c, "the callback goes on")
	expect(t, c, "the callback goes on")
	turn := make(chan struct{})
	require.NoError(t, conn.Loop().Post(func() { close(turn) }))
	weirtest.Take(t, turn) // until then what the callback has written counts, too

	// The connection refuses a whole write of more than MaxOutput.
	big := make([]byte, most+1)
	n, err := conn.Write(big)
	require.Zero(t, n)
	require.ErrorIs(t, err, server.ErrOutputFull)
	n, err = conn.WriteString(string(big))
	require.Zero(t, n)
	require.ErrorIs(t, err, server.ErrOutputFull)
	n, err = conn.Writev([][]byte{big[:most], big[:1]})
	require.Zero(t, n)
	require.ErrorIs(t, err, server.ErrOutputFull)
	err = conn.WriteAsync(big, func(error) { panic("called") })
	require.ErrorIs(t, err, server.ErrOutputFull)
	require.ErrorContains(t, err, "1048577 bytes: Server.MaxOutput is 1048576", "it does not blame the peer")

	written := stuffed(t, conn, most-64<<10)
	for {
		n, err := conn.Write(make([]byte, 32<<10))
		require.LessOrEqual(t, conn.Queued(), most)
		if err != nil {
			require.Equal(t, server.ErrOutputFull, err)
			require.Zero(t, n)
			break
		}
		written += n
	}
	rest := most - conn.Queued()
	n, err = conn.Write(make([]byte, rest))
	require.NoError(t, err, "up to the bound")
	written += n
	_, err = io.CopyN(io.Discard, c, int64(written))
	require.NoError(t, err)
	weirtest.Eventually(t, func() bool { return conn.Queued() == 0 }, "all is taken")
	send(t, c, "again")
	expect(t, c, "again")
}

// MaxOutput includes what a callback has gathered.
func TestServeOutputFullInACallback(t *testing.T) {
	const most = 100 << 10
	full := make(chan int, 1)
	addr := serve(t, &server.Server{MaxOutput: most, HighWater: most, SendBuffer: 16 << 10, Events: server.Events{Data: func(c *server.Conn) error {
		c.Next(-1)
		for n := 0; ; n++ {
			_, err := c.Write(make([]byte, 1000))
			if q := c.Queued(); q > most {
				return fmt.Errorf("%d are queued", q)
			}
			if err != nil {
				full <- n
				if err == server.ErrOutputFull {
					err = nil
				}
				return err
			}
		}
	}}})
	c := client(t, addr)
	send(t, c, "x")
	n := weirtest.Take(t, full)
	_, err := io.CopyN(io.Discard, c, int64(n)*1000)
	require.NoError(t, err)
}

func TestServeWriteAsync(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		conns, open := opened()
		addr := listen(&server.Server{SendBuffer: 16 << 10, Events: server.Events{Open: open, Data: echo}})
		c := client(t, addr)
		conn := weirtest.Take(t, conns)
		done := make(chan error, 16)
		tell := func(err error) { done <- err }

		require.ErrorContains(t, conn.WriteAsync([]byte("x"), nil), "nil")

		require.NoError(t, conn.WriteAsync([]byte("at once"), tell))
		require.NoError(t, weirtest.Take(t, done))
		expect(t, c, "at once")
		require.NoError(t, conn.WriteAsync(nil, tell))
		require.NoError(t, weirtest.Take(t, done), "of nothing, too")

		written := stuffed(t, conn, 1<<20)
		big := make([]byte, 1<<20)
		require.NoError(t, conn.WriteAsync(big, tell))
		require.NoError(t, conn.WriteAsync(nil, tell))
		turned(t, conn)
		require.Empty(t, done, "the kernel does not have it yet")
		_, err := io.CopyN(io.Discard, c, int64(written+len(big)))
		require.NoError(t, err)
		require.NoError(t, weirtest.Take(t, done))
		require.NoError(t, weirtest.Take(t, done))

		// The loop calls the completion, and the completion may write.
		require.NoError(t, conn.WriteAsync([]byte("a"), func(error) {
			_, err := conn.WriteString("b")
			done <- err
		}))
		require.NoError(t, weirtest.Take(t, done))
		expect(t, c, "ab")
	})
}

// The loop calls a completion once, whatever ends the connection.
func TestServeWriteAsyncOfAConnectionThatEnds(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(c *server.Conn, peer net.Conn, srv *server.Server)
		want error
	}{
		{"abort", func(c *server.Conn, _ net.Conn, _ *server.Server) { c.Abort() }, server.ErrAborted},
		{"server", func(_ *server.Conn, _ net.Conn, srv *server.Server) { srv.Close() }, server.ErrClosed},
		{"peer", func(_ *server.Conn, p net.Conn, _ *server.Server) { _ = p.(*net.TCPConn).SetLinger(0); p.Close() }, unix.ECONNRESET},
		{"close", func(c *server.Conn, p net.Conn, _ *server.Server) { c.Close(); _, _ = io.Copy(io.Discard, p) }, nil},
	} {
		t.Run(end.name, func(t *testing.T) {
			conns, open := opened()
			over, closing := ended()
			srv := &server.Server{SendBuffer: 16 << 10, Events: server.Events{Open: open, Data: echo, Closed: closing}}
			c := client(t, serve(t, srv))
			conn := weirtest.Take(t, conns)
			stuffed(t, conn, 1<<20)
			done := make(chan error, 16)
			for range 3 {
				require.NoError(t, conn.WriteAsync(make([]byte, 1000), func(err error) { done <- err }))
			}
			end.do(conn, c, srv)
			for range 3 {
				err := weirtest.Take(t, done)
				if end.want == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, end.want)
				}
			}
			err := weirtest.Take(t, over)
			if end.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, end.want)
			}
			require.Empty(t, done)
			require.ErrorIs(t, conn.WriteAsync([]byte("x"), func(error) { panic("called") }), net.ErrClosed)
			_, err = conn.Write([]byte("x"))
			require.ErrorIs(t, err, net.ErrClosed)
			require.ErrorIs(t, err, unix.EBADF)
			require.Zero(t, conn.Queued())
		})
	}
}

func TestServeCompletionThatPanicsIsSurvived(t *testing.T) {
	conns, open := opened()
	srv := &server.Server{Events: server.Events{Open: open, Data: echo}}
	c := client(t, serve(t, srv))
	conn := weirtest.Take(t, conns)
	require.NoError(t, conn.WriteAsync([]byte("x"), func(error) { panic("on purpose") }))
	expect(t, c, "x")
	weirtest.Eventually(t, func() bool { return srv.Stats().Panics == 1 }, "it is counted")
	send(t, c, "y")
	expect(t, c, "y")
}

func TestServeWriteFindsThePeerGone(t *testing.T) {
	conns, open := opened()
	over, closing := ended()
	addr := serve(t, &server.Server{Events: server.Events{
		Open: open, Closed: closing,
		Data: func(c *server.Conn) error { c.Next(-1); return nil },
		End:  func(c *server.Conn) error { return nil }, // keeps the connection open
	}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	require.NoError(t, c.Close())
	var err error
	weirtest.Eventually(t, func() bool { _, err = conn.WriteString("x"); return err != nil }, "the second write finds a reset")
	why := weirtest.Take(t, over)
	var e *socket.Error
	require.ErrorAs(t, why, &e)
	require.True(t, e.Errno == unix.EPIPE || e.Errno == unix.ECONNRESET, "%v", why)
}

func TestServeWritevOfMany(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{SendBuffer: 8 << 10, Events: server.Events{Open: open, Data: echo}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	var bufs [][]byte
	var want strings.Builder
	for i := range 5000 {
		p := fmt.Appendf(nil, "%d %s.", i, strings.Repeat("=", i%977))
		bufs = append(bufs, p)
		want.Write(p)
	}
	n, err := conn.Writev(bufs)
	require.NoError(t, err)
	require.Equal(t, want.Len(), n)
	expect(t, c, want.String())
	n, err = conn.Writev(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = conn.Write(nil)
	require.NoError(t, err)
	require.Zero(t, n)
}
