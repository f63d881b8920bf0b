package server_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// both runs a test over tcp and over a unix socket.
func both(t *testing.T, test func(t *testing.T, listen func(*server.Server) socket.Addr)) {
	t.Run("tcp", func(t *testing.T) {
		test(t, func(srv *server.Server) socket.Addr { return serve(t, srv) })
	})
	t.Run("unix", func(t *testing.T) {
		test(t, func(srv *server.Server) socket.Addr { return serveOn(t, srv, "unix", t.TempDir()+"/s") })
	})
}

func TestServeCallsBackInOrder(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		var calls journal
		over := make(chan error, 1)
		addr := listen(&server.Server{Events: server.Events{
			Open: func(c *server.Conn) error { calls.add("open"); return nil },
			Data: func(c *server.Conn) error { calls.add("data " + string(c.Next(-1))); return nil },
			End:  func(c *server.Conn) error { calls.add("end"); c.Close(); return nil },
			Closed: func(c *server.Conn, err error) {
				calls.add("close")
				over <- err
			},
		}})
		c := client(t, addr)
		send(t, c, "hello")
		require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
		expectEnd(t, c)
		require.NoError(t, weirtest.Take(t, over))
		require.Equal(t, []string{"open", "data hello", "end", "close"}, calls.all())
	})
}

func TestServeWithoutEndIsEOF(t *testing.T) {
	over, closing := ended()
	addr := serve(t, &server.Server{Events: server.Events{Data: echo, Closed: closing}})
	c := client(t, addr)
	send(t, c, "x")
	expect(t, c, "x")
	require.NoError(t, c.Close())
	require.Equal(t, io.EOF, weirtest.Take(t, over))
}

// The server calls End once, although later events and Shutdown find the end of the
// stream again.
func TestServeEndComesOnce(t *testing.T) {
	conns, open := opened()
	ends := make(chan int, 16)
	over, closing := ended()
	var n int
	srv := &server.Server{HighWater: 1 << 10, Events: server.Events{
		Open:   open,
		Data:   func(c *server.Conn) error { c.Next(-1); return nil },
		End:    func(c *server.Conn) error { n++; ends <- n; return nil },
		Closed: closing,
	}}
	addr := serve(t, srv)
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	weirtest.Take(t, ends)
	// Now the socket becomes writable many times.
	big := strings.Repeat("x", 8<<20)
	_, err := conn.WriteString(big)
	require.NoError(t, err)
	expect(t, c, big)
	weirtest.Eventually(t, func() bool { return conn.Queued() == 0 }, "all is taken")
	turned(t, conn)
	require.NoError(t, srv.Shutdown(t.Context()))
	require.NoError(t, weirtest.Take(t, over))
	require.Empty(t, ends)
}

// frames returns a Data that checks a stream of frames. A frame is a length and that many
// bytes.
func frames(total int) (data func(*server.Conn) error, got chan int) {
	got = make(chan int, total)
	next := 0
	return func(c *server.Conn) error {
		for {
			head := c.Peek(4)
			if head == nil {
				return nil
			}
			size := int(binary.BigEndian.Uint32(head))
			frame := c.Peek(4 + size)
			if frame == nil {
				return nil
			}
			for i, b := range frame[4:] {
				if b != byte(next+i) {
					return io.ErrUnexpectedEOF
				}
			}
			c.Next(4 + size)
			next++
			got <- size
		}
	}, got
}

func frame(number, size int) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(size))
	for i := range size {
		p = append(p, byte(number+i))
	}
	return p
}

func TestServeKeepsWhatDataLeaves(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 3, 4091, 4092, 4093, 4096, 8191, 65531, 65532, 65533, 65536, 65537, 100_000, 1_000_000, 5}
	for range 100 {
		sizes = append(sizes, random.IntN(9000))
	}
	for _, piece := range []struct {
		name string
		size func() int
	}{
		{"byte by byte", func() int { return 1 }},
		{"small", func() int { return 1 + random.IntN(300) }},
		{"around the size of the small buffer", func() int { return 4090 + random.IntN(12) }},
		{"around the size of the shared buffer", func() int { return 65530 + random.IntN(12) }},
		{"all", func() int { return 1 << 30 }},
	} {
		t.Run(piece.name, func(t *testing.T) {
			var all []byte
			sizes := sizes
			if piece.name == "byte by byte" {
				sizes = []int{0, 1, 3, 4093, 70_000, 5} // one system call for each
			}
			for i, size := range sizes {
				all = append(all, frame(i, size)...)
			}
			data, got := frames(len(sizes))
			over, closing := ended()
			addr := serve(t, &server.Server{Events: server.Events{Data: data, Closed: closing}})
			c := client(t, addr)
			for rest := all; len(rest) > 0; {
				n := min(piece.size(), len(rest))
				_, err := c.Write(rest[:n])
				require.NoError(t, err)
				rest = rest[n:]
			}
			for _, size := range sizes {
				require.Equal(t, size, weirtest.Take(t, got))
			}
			require.Empty(t, over)
		})
	}
}

func TestServeReadsInput(t *testing.T) {
	got := make(chan func(), 1)
	var conn *server.Conn
	addr := serve(t, &server.Server{Events: server.Events{Data: func(c *server.Conn) error {
		conn = c
		done := make(chan struct{})
		got <- func() { close(done) }
		<-done
		return nil
	}}})
	c := client(t, addr)
	// The callback waits, so that the test can read the input that it has.
	send(t, c, "0123456789")
	release := weirtest.Take(t, got)
	require.Equal(t, 10, conn.Buffered())
	require.Equal(t, "0123", string(conn.Peek(4)))
	require.Equal(t, "0123456789", string(conn.Peek(-1)))
	require.Nil(t, conn.Peek(11))
	require.Empty(t, conn.Peek(0))
	require.Equal(t, "01", string(conn.Next(2)))
	require.Nil(t, conn.Next(9), "it is all or nothing")
	require.Equal(t, 8, conn.Buffered())
	require.Equal(t, 3, conn.Discard(3))
	require.Zero(t, conn.Discard(-1))
	buf := make([]byte, 2)
	n, err := conn.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "56", string(buf[:n]))
	n, err = conn.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	p := conn.Peek(1)
	require.Equal(t, 1, cap(p), "to append does not write over what follows")
	release() // Data leaves 789
	send(t, c, "ab")
	release = weirtest.Take(t, got)
	require.Equal(t, "789ab", string(conn.Peek(-1)))
	require.Equal(t, 5, conn.Discard(100))
	n, err = conn.Read(buf)
	require.ErrorIs(t, err, server.ErrNoInput)
	require.NotErrorIs(t, err, io.EOF, "more may arrive")
	require.ErrorIs(t, err, unix.EAGAIN)
	require.Zero(t, n)
	release()
	turned(t, conn)
	require.Zero(t, conn.Buffered(), "outside of the callbacks there is none")
	require.Nil(t, conn.Next(1))
}

func TestServeOpenSeesNoInputAndTheErrorCloses(t *testing.T) {
	over, closing := ended()
	refused := io.ErrClosedPipe
	addr := serve(t, &server.Server{Events: server.Events{
		Open:   func(c *server.Conn) error { return refused },
		Data:   func(c *server.Conn) error { panic("not called") },
		Closed: closing,
	}})
	c := client(t, addr)
	require.Equal(t, refused, weirtest.Take(t, over))
	expectEnd(t, c)
}

func TestServeErrorOfDataClosesAtOnce(t *testing.T) {
	over, closing := ended()
	var calls atomic.Int64
	addr := serve(t, &server.Server{Events: server.Events{
		Data: func(c *server.Conn) error {
			calls.Add(1)
			_, _ = c.WriteString("bad")
			c.Next(-1)
			return io.ErrShortBuffer
		},
		Closed: closing,
	}})
	c := client(t, addr)
	send(t, c, "x")
	require.Equal(t, io.ErrShortBuffer, weirtest.Take(t, over))
	expect(t, c, "bad") // the server has sent what the callback wrote
	expectEnd(t, c)
	require.EqualValues(t, 1, calls.Load())
}

func TestServeInputFull(t *testing.T) {
	over, closing := ended()
	addr := serve(t, &server.Server{MaxInput: 100, Events: server.Events{Data: func(*server.Conn) error { return nil }, Closed: closing}})
	c := client(t, addr)
	send(t, c, strings.Repeat("x", 100))
	b := client(t, addr)
	send(t, b, strings.Repeat("x", 101))
	require.Equal(t, server.ErrInputFull, weirtest.Take(t, over))
	require.Empty(t, over, "100 are not too many")
}

func TestServeWake(t *testing.T) {
	conns, open := opened()
	seen := make(chan string, 16)
	addr := serve(t, &server.Server{Events: server.Events{
		Open: open,
		Data: func(c *server.Conn) error { seen <- string(c.Peek(-1)); return nil },
	}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	conn.Wake()
	require.Equal(t, "", weirtest.Take(t, seen), "though nothing came")
	send(t, c, "abc")
	require.Equal(t, "abc", weirtest.Take(t, seen))
	onLoop(t, conn, func() { conn.Wake(); conn.Wake(); conn.Wake() })
	require.Equal(t, "abc", weirtest.Take(t, seen), "what was left is presented again")
	turned(t, conn)
	require.Empty(t, seen, "three wakes in one turn are one call")
}

// A receive stops at urgent data. The kernel does not report the data behind it again.
func TestServeUrgentData(t *testing.T) {
	got := make(chan byte, 1<<10)
	conns, open := opened()
	addr := serve(t, &server.Server{Events: server.Events{
		Open: open,
		Data: func(c *server.Conn) error {
			for _, b := range c.Next(-1) {
				got <- b
			}
			return nil
		},
	}})
	c := client(t, addr)
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	conn := weirtest.Take(t, conns)
	// All input arrives before the loop receives.
	onLoop(t, conn, func() {
		require.NoError(t, raw.Control(func(fd uintptr) {
			for _, part := range []struct {
				text  string
				flags int
			}{{"ab", 0}, {"!", unix.MSG_OOB}, {"cd", 0}} {
				require.NoError(t, unix.Sendto(int(fd), []byte(part.text), part.flags, nil))
			}
		}))
	})
	var all []byte
	for range 4 {
		all = append(all, weirtest.Take(t, got))
	}
	require.Equal(t, "abcd", string(all))
}

func TestServePanicEndsItsConnectionAlone(t *testing.T) {
	for _, name := range []string{"open", "data", "end", "pressure", "close"} {
		t.Run(name, func(t *testing.T) {
			var log journal
			over := make(chan error, 16)
			at := func(c *server.Conn, where string) error {
				if where == name && c.User == nil {
					c.User = "panicked"
					panic("on purpose: " + where)
				}
				return nil
			}
			armed := true
			srv := &server.Server{Log: log.logger(), HighWater: 1 << 10, Events: server.Events{
				Open: func(c *server.Conn) error {
					if !armed {
						c.User = "spared"
					}
					armed = false
					return at(c, "open")
				},
				Data: func(c *server.Conn) error {
					p := bytes.Clone(c.Next(-1))
					if err := at(c, "data"); err != nil {
						return err
					}
					if name == "pressure" && c.User == nil {
						p = make([]byte, 8<<20)
					}
					_, err := c.Write(p)
					return err
				},
				End:      func(c *server.Conn) error { c.Close(); return at(c, "end") },
				Pressure: func(c *server.Conn, on bool) { _ = at(c, "pressure") },
				Closed:   func(c *server.Conn, err error) { over <- err; _ = at(c, "close") },
			}}
			srv.Loops = 1
			addr := serve(t, srv)
			c := client(t, addr)
			if name != "open" {
				send(t, c, "x")
			}
			if name == "end" || name == "close" {
				expect(t, c, "x")
				require.NoError(t, c.(*net.TCPConn).CloseWrite())
			}
			err := weirtest.Take(t, over)
			if name == "close" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "on purpose: "+name)
			}
			other := client(t, addr)
			send(t, other, "still there")
			expect(t, other, "still there")
			require.EqualValues(t, 1, srv.Stats().Panics)
			require.Equal(t, 1, log.count("on purpose: "+name))
			weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 1 }, "the other is counted")
		})
	}
}

func TestServeConnTellsWhoItIs(t *testing.T) {
	conns, open := opened()
	srv := &server.Server{Events: server.Events{Open: open, Data: echo}}
	addr := serve(t, srv)
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	require.Equal(t, c.LocalAddr().String(), conn.RemoteAddr().String())
	require.Equal(t, addr.String(), conn.LocalAddr().String())
	require.Same(t, srv, conn.Server())
	require.NotNil(t, conn.Loop())
	var nodelay int
	require.NoError(t, conn.Control(func(fd int) (err error) {
		nodelay, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
		return err
	}))
	require.NotZero(t, nodelay)
	require.Equal(t, io.ErrNoProgress, conn.Control(func(int) error { return io.ErrNoProgress }))
	conn.Abort()
	weirtest.Eventually(t, func() bool { return conn.Control(func(int) error { return nil }) != nil }, "it ends")
	require.ErrorIs(t, conn.Control(func(int) error { return nil }), net.ErrClosed)
	require.False(t, conn.LocalAddr().IsValid())
	require.Equal(t, c.LocalAddr().String(), conn.RemoteAddr().String(), "which is remembered")
}

func TestServeUnixConnHasAnAddress(t *testing.T) {
	conns, open := opened()
	addr := serveOn(t, &server.Server{Events: server.Events{Open: open, Data: echo}}, "unix", t.TempDir()+"/s")
	client(t, addr)
	conn := weirtest.Take(t, conns)
	require.Equal(t, socket.Unix, conn.RemoteAddr().Family())
	require.Equal(t, addr.String(), conn.LocalAddr().String())
}
