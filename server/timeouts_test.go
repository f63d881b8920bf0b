package server_test

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const short = 100 * time.Millisecond

// expired checks that the timeout of the given length has ended a connection, and when.
func expired(t *testing.T, over chan error, of string, begin time.Time, after time.Duration) {
	t.Helper()
	err := weirtest.Take(t, over)
	took := time.Since(begin)
	var timeout *server.TimeoutError
	require.ErrorAs(t, err, &timeout)
	require.Equal(t, server.TimeoutError{Of: of, After: after}, *timeout)
	require.GreaterOrEqual(t, took, after, "never early")
}

func TestServeTimeoutError(t *testing.T) {
	var err error = &server.TimeoutError{Of: "idle", After: time.Second}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorIs(t, err, unix.ETIMEDOUT)
	require.False(t, errors.Is(err, io.EOF))
	var timeout interface{ Timeout() bool }
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.ErrorContains(t, err, "idle")
	require.ErrorContains(t, err, "1s")
}

type timeoutTest struct {
	of       string
	timeouts server.Timeouts
	// do returns a time at or just before the timeout's start. It returns false if a timeout
	// has ended the connection before do was done.
	do func(t *testing.T, c net.Conn, conn *server.Conn) (begin time.Time, ok bool)
}

func timeoutTests(short time.Duration) []timeoutTest {
	return []timeoutTest{
		{"first byte", server.Timeouts{FirstByte: short, Idle: time.Hour}, nil},
		{"idle", server.Timeouts{Idle: short}, nil},
		{"idle", server.Timeouts{FirstByte: short, Idle: short}, func(t *testing.T, c net.Conn, _ *server.Conn) (begin time.Time, ok bool) {
			for range 15 { // steady traffic, even on a busy machine
				begin = time.Now()
				_, _ = io.WriteString(c, "whole.")
				if _, err := io.ReadFull(c, make([]byte, len("whole."))); err != nil {
					return begin, false
				}
				time.Sleep(short / 10)
			}
			return begin, true
		}},
		{"read", server.Timeouts{Read: short}, func(t *testing.T, c net.Conn, _ *server.Conn) (time.Time, bool) {
			send(t, c, "whole.")
			expect(t, c, "whole.")
			time.Sleep(2 * short) // the timeout does not run between requests
			begin := time.Now()
			send(t, c, "part")
			return begin, true
		}},
		{"read", server.Timeouts{Read: short, Idle: math.MaxInt64}, func(t *testing.T, c net.Conn, _ *server.Conn) (time.Time, bool) {
			begin := time.Now()
			send(t, c, "part")
			return begin, true
		}},
		{"write", server.Timeouts{Write: short}, func(t *testing.T, c net.Conn, conn *server.Conn) (time.Time, bool) {
			time.Sleep(2 * short)
			begin := time.Now()
			_, err := stuff(conn, 1<<20)
			return begin, err == nil
		}},
		{"linger", server.Timeouts{Linger: short}, func(t *testing.T, c net.Conn, conn *server.Conn) (time.Time, bool) {
			stuffed(t, conn, 1<<20)
			time.Sleep(2 * short)
			begin := time.Now()
			conn.Close()
			return begin, true
		}},
	}
}

func TestServeTimeouts(t *testing.T) {
	t.Parallel()
	for i, test := range timeoutTests(short) {
		for _, own := range []bool{false, true} {
			name := test.of
			if own {
				name += " of its own"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				machine.WithTime(t, short, func(short time.Duration) bool {
					test := timeoutTests(short)[i]
					timeouts := test.timeouts
					conns := make(chan *server.Conn, 1)
					over, closing := ended()
					srv := &server.Server{SendBuffer: 16 << 10, Timeouts: timeouts, Events: server.Events{
						Open: func(c *server.Conn) error {
							if own {
								if err := c.SetTimeouts(timeouts); err != nil {
									return err
								}
							}
							conns <- c
							return nil
						},
						Data: func(c *server.Conn) error {
							if in := c.Peek(-1); len(in) > 0 && in[len(in)-1] == '.' {
								return echo(c)
							}
							return nil
						},
						Closed: closing,
					}}
					if own {
						srv.Timeouts = server.Timeouts{FirstByte: time.Hour, Idle: time.Hour, Read: time.Hour, Write: time.Hour, Linger: time.Hour}
					}
					addr := serve(t, srv)
					begin := time.Now()
					c := client(t, addr)
					conn := weirtest.Take(t, conns)
					if test.do != nil {
						var ok bool
						if begin, ok = test.do(t, c, conn); !ok {
							return false
						}
					}
					expired(t, over, test.of, begin, short)
					return true
				})
			})
		}
	}
}

// The linger time also ends a connection whose peer has received everything, if the peer has
// sent something that was not read. The next look at the acknowledgements comes later.
func TestServeLingerEndsWithUnreadInput(t *testing.T) {
	t.Parallel()
	try := func() (ok bool) {
		conns, open := opened()
		over, closing := ended()
		addr := serve(t, &server.Server{
			Timeouts: server.Timeouts{Linger: short, Idle: time.Hour},
			Events:   server.Events{Open: open, Data: echo, Closed: closing},
		})
		c := client(t, addr)
		conn := weirtest.Take(t, conns)
		conn.PauseRead()
		turned(t, conn)
		send(t, c, "unread")
		begin := time.Now()
		conn.Close()
		_, err := c.Read(make([]byte, 1))
		if err != io.EOF && time.Since(begin) >= short {
			return false // the connection had ended before this goroutine read
		}
		require.Equal(t, io.EOF, err)
		end := weirtest.Take(t, over)
		if end == nil && time.Since(begin) >= 2*short {
			return false // the loop was so late that Linger began anew: see Timeouts
		}
		over <- end
		expired(t, over, "linger", begin, short)
		return true
	}
	// A longer time would be the wrong one: then a look at the acknowledgements comes first.
	for range 100 {
		if try() {
			return
		}
	}
	require.Fail(t, "the machine is too busy in each attempt")
}

// A connection that gets a queue from the pool does not get the times of its former
// connection.
func TestServeWriteTimeoutBeginsAnew(t *testing.T) {
	machine.WithTime(t, short, func(short time.Duration) bool {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one processor, so that there is one pool
		conns, open := opened()
		over, closing := ended()
		srv := &server.Server{Loops: 1, Timeouts: server.Timeouts{Write: short}, Events: server.Events{Open: open, Data: echo, Closed: closing}}
		addr := serveOn(t, srv, "unix", t.TempDir()+"/s")
		c := client(t, addr)
		conn := weirtest.Take(t, conns)
		for range 3 {
			begin := time.Now()
			n, err := stuff(conn, 300<<10)
			if err == nil {
				_, err = io.CopyN(io.Discard, c, int64(n))
			}
			if err != nil || len(over) > 0 {
				require.GreaterOrEqual(t, time.Since(begin), short, "never early")
				return false
			}
			weirtest.Eventually(t, func() bool { return conn.Queued() == 0 }, "all is taken")
			time.Sleep(2 * short)
		}
		begin := time.Now()
		if _, err := stuff(conn, 300<<10); err != nil {
			return false
		}
		expired(t, over, "write", begin, short)
		return true
	})
}

// The write timeout does not end a connection whose peer takes some of the output again
// and again, however long the whole output takes.
func TestServeWriteTimeoutCountsFromProgress(t *testing.T) {
	t.Parallel()
	machine.WithTime(t, 2*short, func(limit time.Duration) bool {
		conns, open := opened()
		over, closing := ended()
		srv := &server.Server{Timeouts: server.Timeouts{Write: limit}, Events: server.Events{Open: open, Data: echo, Closed: closing}}
		c := client(t, serveOn(t, srv, "unix", t.TempDir()+"/s"))
		conn := weirtest.Take(t, conns)
		written, err := stuff(conn, 4<<20)
		if err != nil {
			return false
		}
		begin := time.Now()
		last, gap := begin, time.Duration(0) // the longest time between two reads
		for time.Since(begin) < limit*5/2 && err == nil {
			var n int64
			n, err = io.CopyN(io.Discard, c, 130<<10)
			written -= int(n)
			gap, last = max(gap, time.Since(last)), time.Now()
			time.Sleep(limit / 10)
		}
		if err == nil {
			_, err = io.CopyN(io.Discard, c, int64(written))
		}
		if err != nil || len(over) > 0 {
			require.Greater(t, max(gap, time.Since(last)), limit/2, "its time ended while it read")
			return false
		}
		return true
	})
}

// The read timeout begins anew when Data reads a part of the input. It does not begin
// anew when Data leaves everything and more arrives.
func TestServeReadTimeoutCountsFromWhatWasTaken(t *testing.T) {
	t.Parallel()
	machine.WithTime(t, short, func(short time.Duration) bool {
		over, closing := ended()
		addr := serve(t, &server.Server{Timeouts: server.Timeouts{Read: short}, Events: server.Events{
			Data: func(c *server.Conn) error { // frames of 10 bytes
				for c.Next(10) != nil {
				}
				return nil
			},
			Closed: closing,
		}})
		stream := client(t, addr)
		var gap time.Duration // the longest time between two sends
		last := time.Now()
		for begin := last; time.Since(begin) < 5*short && len(over) == 0; time.Sleep(short / 8) {
			send(t, stream, "12345678901") // the stream ends in the middle of a frame
			gap, last = max(gap, time.Since(last)), time.Now()
		}
		if len(over) > 0 {
			require.Greater(t, max(gap, time.Since(last)), short/2, "its time ended while it sent")
			return false
		}
		require.NoError(t, stream.Close())
		if err := weirtest.Take(t, over); err != io.EOF {
			require.Greater(t, time.Since(last), short/2, "%v", err)
			return false // its time ended just before the Close
		}

		drip := client(t, addr)
		begin := time.Now()
		for range 9 {
			if _, err := drip.Write([]byte("x")); err != nil {
				break
			}
			time.Sleep(short / 4)
		}
		expired(t, over, "read", begin, short)
		return true
	})
}

// The idle time does not run while the server does not read.
func TestServeIdleTimeDoesNotRunWhilePaused(t *testing.T) {
	t.Parallel()
	machine.WithTime(t, short, func(short time.Duration) bool {
		conns, open := opened()
		over, closing := ended()
		addr := serve(t, &server.Server{Timeouts: server.Timeouts{Idle: short, Read: short, FirstByte: short}, Events: server.Events{
			Open:   func(c *server.Conn) error { c.PauseRead(); return open(c) },
			Data:   func(c *server.Conn) error { return nil },
			Closed: closing,
		}})
		c := client(t, addr)
		conn := weirtest.Take(t, conns)
		time.Sleep(3 * short)
		require.Empty(t, over)
		begin := time.Now()
		conn.ResumeRead()
		expired(t, over, "first byte", begin, short)
		expectEnd(t, c)

		c = client(t, addr)
		conn = weirtest.Take(t, conns)
		begin = time.Now()
		conn.ResumeRead()
		send(t, c, "x")
		turned(t, conn)
		conn.PauseRead()
		if turned(t, conn); len(over) > 0 {
			return false
		}
		time.Sleep(3 * short)
		if len(over) > 0 {
			require.GreaterOrEqual(t, time.Since(begin), short)
			require.Empty(t, over)
		}
		begin = time.Now()
		conn.ResumeRead()
		var timeout *server.TimeoutError
		require.ErrorAs(t, weirtest.Take(t, over), &timeout)
		require.GreaterOrEqual(t, time.Since(begin), short)
		return true
	})
}

// The time also starts again after a pause that is shorter than the timeout.
func TestServeTimesBeginAnewAfterAShortPause(t *testing.T) {
	t.Parallel()
	const part = short / 2
	for _, of := range []struct {
		name     string
		timeouts server.Timeouts
		input    string
	}{
		{"first byte", server.Timeouts{FirstByte: short}, ""},
		{"idle", server.Timeouts{Idle: short}, ""},
		{"read", server.Timeouts{Read: short}, "a part"},
	} {
		t.Run(of.name, func(t *testing.T) {
			conns, open := opened()
			over, closing := ended()
			addr := serve(t, &server.Server{Timeouts: of.timeouts, Events: server.Events{
				Open: func(c *server.Conn) error {
					if of.input == "" {
						c.PauseRead()
						return open(c)
					}
					return nil
				},
				Data: func(c *server.Conn) error {
					if c.User != nil { // the server presents the input again
						return nil
					}
					c.User = "seen"
					c.PauseRead()
					return open(c)
				},
				Closed: closing,
			}})
			send(t, client(t, addr), of.input)
			conn := weirtest.Take(t, conns)
			time.Sleep(part)
			begin := time.Now()
			conn.ResumeRead()
			expired(t, over, of.name, begin, short)
		})
	}
	t.Run("high water", func(t *testing.T) {
		machine.WithTime(t, short, func(short time.Duration) bool {
			const size = 8 << 20 // more than the kernel takes
			over, closing := ended()
			c := client(t, serve(t, &server.Server{Timeouts: server.Timeouts{Idle: short}, Events: server.Events{
				Open:   func(c *server.Conn) error { _, err := c.Write(make([]byte, size)); return err },
				Data:   echo,
				Closed: closing,
			}}))
			expect(t, c, "\x00") // the server has written it
			time.Sleep(short / 2)
			begin := time.Now()
			if _, err := io.CopyN(io.Discard, c, size-1); err != nil { // reading took so long that the idle time ended
				require.GreaterOrEqual(t, time.Since(begin), short)
				return false
			}
			expired(t, over, "idle", begin, short)
			return true
		})
	})
}

// A callback blocks the loop before and after a receive. The time starts at the receive,
// and not at the beginning of the turn.
func TestServeTimesDoNotCountFromTheTurn(t *testing.T) {
	machine.WithTime(t, short, func(short time.Duration) bool {
		conns, open := opened()
		over, closing := ended()
		received := make(chan time.Time, 16)
		addr := serve(t, &server.Server{Loops: 1, Timeouts: server.Timeouts{Idle: short}, Events: server.Events{
			Open: open,
			Data: func(c *server.Conn) error {
				switch string(c.Next(-1)) {
				case "slow":
					time.Sleep(short / 2)
				case "watched":
					received <- time.Now()
				}
				return nil
			},
			Closed: closing,
		}})
		slow, watched := client(t, addr), client(t, addr)
		first := weirtest.Take(t, conns)
		weirtest.Take(t, conns)
		onLoop(t, first, func() { // both events are in the next turn
			_, _ = io.WriteString(slow, "slow")
			_, _ = io.WriteString(watched, "watched")
		})
		for range 2 {
			require.Error(t, weirtest.Take(t, over))
		}
		if len(received) == 0 {
			return false // its time ended before it sent something
		}
		n, err := watched.Read(make([]byte, 1))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
		require.GreaterOrEqual(t, time.Since(<-received), short-time.Millisecond)
		return true
	})
}

// The loop is busy until a timeout ends. When the timer expires, no event has reported
// what the peer has done meanwhile. The server checks for it first.
func TestServeTimesDoNotCountFromALateLook(t *testing.T) {
	t.Parallel()
	data := func(c *server.Conn) error {
		if in := c.Peek(-1); in[len(in)-1] == '.' {
			return echo(c)
		}
		return nil
	}
	for _, test := range []struct {
		of       string
		timeouts func(limit time.Duration) server.Timeouts
		handle   bool
		first    string // what the peer sends at first
		late     string // what the peer sends at the last moment; if empty, it reads then
	}{
		{"first byte", func(limit time.Duration) server.Timeouts { return server.Timeouts{FirstByte: limit} }, false, "", "whole."},
		{"idle", func(limit time.Duration) server.Timeouts { return server.Timeouts{Idle: limit} }, false, "", "whole."},
		{"read", func(limit time.Duration) server.Timeouts { return server.Timeouts{Read: limit} }, false, "part", "rest."},
		{"write", func(limit time.Duration) server.Timeouts { return server.Timeouts{Write: limit} }, false, "", ""},
		{"handle", func(limit time.Duration) server.Timeouts { return server.Timeouts{Idle: limit} }, true, "", "x\n"},
	} {
		t.Run(test.of, func(t *testing.T) {
			t.Parallel()
			machine.WithTime(t, 2*short, func(limit time.Duration) bool {
				g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
				require.NoError(t, err)
				defer g.Close()
				conns, open := opened()
				srv := &server.Server{Group: g, SendBuffer: 16 << 10, Timeouts: test.timeouts(limit)}
				if test.handle {
					srv.Handler = lines
				} else {
					srv.Events = server.Events{Open: open, Data: data}
				}
				addr := serveOn(t, srv, "unix", t.TempDir()+"/s")
				begin := time.Now()
				c := client(t, addr)
				weirtest.Eventually(t, func() bool { return srv.Stats().Accepted == 1 }, "it is accepted")
				var conn *server.Conn
				if !test.handle {
					conn = weirtest.Take(t, conns)
				}
				if test.first != "" {
					send(t, c, test.first)
					turned(t, conn)
				}
				written := 0
				if test.late == "" {
					if written, err = stuff(conn, 1<<20); err != nil {
						return false
					}
					turned(t, conn)
				}
				read, sent, slow := int64(0), make(chan error, 1), false
				require.NoError(t, g.Loops()[0].Post(func() {
					slow = time.Since(begin) > limit
					// This runs after epoll_wait in the turn in which the timeout ends.
					_, err := g.Loops()[0].AfterFunc(0, func() {
						var err error
						if test.late == "" {
							read, err = io.CopyN(io.Discard, c, 64<<10)
						} else {
							_, err = io.WriteString(c, test.late)
						}
						sent <- err
					})
					if err != nil {
						sent <- err
					}
					time.Sleep(limit + limit/4) // the test measures this time; it does not synchronise by it
				}))
				err = weirtest.Take(t, sent)
				if slow {
					return false
				}
				require.NoError(t, err)
				switch {
				case test.handle:
					expect(t, c, "<x>")
				case test.late == "":
					_, err = io.CopyN(io.Discard, c, int64(written)-read)
					require.NoError(t, err)
				default:
					expect(t, c, test.first+test.late)
				}
				return true
			})
		})
	}
}

// A close(2) that waits, because of SO_LINGER, does not block the loop.
func TestServeDoesNotLinger(t *testing.T) {
	over, closing := ended()
	srv := &server.Server{Loops: 1, Timeouts: server.Timeouts{Idle: short}, Events: server.Events{
		Data: func(c *server.Conn) error {
			c.Discard(c.Buffered())
			err := c.Control(func(fd int) error {
				return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 20})
			})
			if err != nil {
				return err
			}
			_, err = c.Write(make([]byte, 128<<10)) // the kernel takes it, and the peer does not read it
			return err
		},
		Closed: closing,
	}}
	addr := serve(t, srv)
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	defer c.Close() // with unread input, so that a reset ends the close(2)
	require.NoError(t, c.(*net.TCPConn).SetReadBuffer(4096))
	send(t, c, "x")
	var timeout *server.TimeoutError
	require.ErrorAs(t, weirtest.Take(t, over), &timeout)
}

func TestServeSetTimeoutsRefuses(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{Events: server.Events{Open: open, Data: echo}})
	client(t, addr)
	conn := weirtest.Take(t, conns)
	onLoop(t, conn, func() {
		require.ErrorContains(t, conn.SetTimeouts(server.Timeouts{Idle: -1}), "Timeouts.Idle")
	})
}
