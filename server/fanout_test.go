package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// members connects n clients. It returns their connections in the order in which they
// connected.
func members(t *testing.T, addr socket.Addr, conns chan *server.Conn, n int) (clients []net.Conn, all []*server.Conn) {
	for range n {
		clients = append(clients, client(t, addr))
		all = append(all, weirtest.Take(t, conns))
	}
	return clients, all
}

// sum adds up the segments with data that the connections have sent. With TCP_NODELAY
// each system call sends at least one segment.
func sum(t *testing.T, all []*server.Conn) (n int) {
	for _, c := range all {
		n += int(segments(t, c))
	}
	return n
}

// During a turn, callbacks, posted tasks and other goroutines write to other connections.
// The loop sends it all in one system call for each connection.
func TestFanOutIsOneCallForEachConnection(t *testing.T) {
	const subscribers, messages = 88, 1818
	line := []byte("123456789\n")
	conns, open := opened()
	var subs []*server.Conn
	publish := func() {
		for range messages {
			for _, c := range subs {
				_, _ = c.Write(line)
			}
		}
	}
	addr := serve(t, &server.Server{Loops: 1, Events: server.Events{
		Open: open,
		Data: func(c *server.Conn) error { c.Next(-1); publish(); return nil },
	}})
	clients, all := members(t, addr, conns, subscribers+1)
	publisher := clients[subscribers]
	subs = all[:subscribers]
	for _, how := range []string{"callback", "posted tasks", "other goroutines"} {
		turned(t, subs[0])
		before := sum(t, subs)
		switch how {
		case "callback":
			send(t, publisher, "x")
		case "posted tasks":
			onLoop(t, subs[0], func() {
				for range 10 {
					require.NoError(t, subs[0].Loop().Post(func() {
						for range messages / 10 {
							for _, c := range subs {
								_, _ = c.Write(line)
							}
						}
					}))
				}
				for range messages % 10 {
					for _, c := range subs {
						_, _ = c.Write(line)
					}
				}
			})
		case "other goroutines":
			onLoop(t, subs[0], func() {
				var others sync.WaitGroup
				others.Go(publish)
				others.Wait()
			})
		}
		for _, c := range clients[:subscribers] {
			expect(t, c, strings.Repeat(string(line), messages))
		}
		calls := sum(t, subs) - before
		require.LessOrEqual(t, calls, 3*subscribers+8, "%s: %d deliveries", how, subscribers*messages)
	}
}

// A fan-out reaches all connections, even if they are more than one turn sends to.
func TestFanOutToManyConnections(t *testing.T) {
	const subscribers = 600
	machine.NeedFiles(t, 2*subscribers+50)
	conns, open := opened()
	addr := serve(t, &server.Server{Loops: 1, Events: server.Events{Open: open, Data: echo}})
	clients, all := members(t, addr, conns, subscribers)
	onLoop(t, all[0], func() {
		for i, c := range all {
			_, _ = fmt.Fprintf(c, "%04d", i)
		}
	})
	for i, c := range clients {
		expect(t, c, fmt.Sprintf("%04d", i))
	}
}

// The output that waits for the end of the turn is bounded. The loop sends more than that
// at once.
func TestFanOutDoesNotGatherWithoutBound(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{Loops: 1, Events: server.Events{Open: open, Data: echo}})
	_, all := members(t, addr, conns, 1)
	most := 0
	onLoop(t, all[0], func() {
		for range 200 { // as much as the kernel's buffers hold
			_, _ = all[0].Write(make([]byte, 1000))
			most = max(most, all[0].Queued())
		}
	})
	require.LessOrEqual(t, most, 65<<10)
}

// The server calls Pressure for a slow subscriber before it reads from the publisher
// again. So the program can pause the publisher in time.
func TestPublisherIsToldOfASlowSubscriberInTime(t *testing.T) {
	conns, open := opened()
	var publisher, subscriber *server.Conn
	var told, late atomic.Int64
	var most atomic.Int64
	const highWater = 256 << 10
	addr := serve(t, &server.Server{Loops: 1, HighWater: highWater, Events: server.Events{
		Open: open,
		Data: func(c *server.Conn) error {
			if c == publisher && told.Load()%2 == 0 && subscriber.Queued() > highWater {
				late.Add(1)
			}
			p := c.Next(-1)
			if c != publisher {
				return nil
			}
			_, err := subscriber.Write(p)
			most.Store(max(most.Load(), int64(subscriber.Queued())))
			return err
		},
		Pressure: func(c *server.Conn, on bool) {
			told.Add(1)
			if on {
				publisher.PauseRead()
			} else {
				publisher.ResumeRead()
			}
		},
	}})
	clients, all := members(t, addr, conns, 2)
	onLoop(t, all[0], func() { publisher, subscriber = all[0], all[1] })
	const total = 32 << 20
	sent := make(chan error, 1)
	go func() { _, err := clients[0].Write(make([]byte, total)); sent <- err }()
	weirtest.Eventually(t, func() bool { return told.Load() > 0 }, "the subscriber does not read")
	n, err := io.Copy(io.Discard, io.LimitReader(clients[1], total))
	require.NoError(t, err)
	require.EqualValues(t, total, n)
	require.NoError(t, weirtest.Take(t, sent))
	require.Zero(t, late.Load(), "Data is called although Pressure was due")
	require.LessOrEqual(t, most.Load(), int64(highWater+1<<20))
}

// No method of a Conn calls a callback. So a program may call it while it holds a lock
// that its callbacks take.
func TestNoCallbackRunsInsideAMethod(t *testing.T) {
	inside := false // used on the loop only
	conns, open := opened()
	ends := make(chan string, 1024)
	note := func(what string) {
		if inside {
			panic(what + " runs inside a method")
		}
		ends <- what
	}
	srv := &server.Server{Loops: 1, HighWater: 1 << 10, SendBuffer: 16 << 10, Events: server.Events{
		Open:     open,
		Data:     func(c *server.Conn) error { note("data"); c.Next(-1); return nil },
		End:      func(c *server.Conn) error { note("end"); return nil },
		Pressure: func(*server.Conn, bool) { note("pressure") },
		Closed:   func(*server.Conn, error) { note("close") },
	}}
	addr := serve(t, srv)
	clients, all := members(t, addr, conns, 5)
	done := func(error) { note("done") }
	onLoop(t, all[0], func() {
		require.NoError(t, clients[3].(*net.TCPConn).SetLinger(0))
		require.NoError(t, clients[3].Close()) // the server's side is reset
		inside = true
		for i, c := range all {
			_, _ = c.Write(make([]byte, 1<<20))
			_, _ = c.Writev([][]byte{make([]byte, 100), make([]byte, 100)})
			_ = c.WriteAsync(make([]byte, 100), done)
			c.Wake()
			c.PauseRead()
			c.ResumeRead()
			switch i {
			case 0:
				c.Close()
			case 1:
				c.Abort()
			case 2:
				c.CloseWrite()
			}
		}
		inside = false
	})
	for _, c := range clients[:3] {
		go func() { _, _ = io.Copy(io.Discard, c); c.Close() }()
	}
	for range 3 {
		for weirtest.Take(t, ends) != "close" {
		}
	}
	require.Zero(t, srv.Stats().Panics)
}

// A program may pass one buffer to several WriteAsync, because none of them changes it.
func TestOneBufferGoesToSeveralWriteAsync(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{Loops: 1, SendBuffer: 16 << 10, Events: server.Events{Open: open, Data: echo}})
	clients, all := members(t, addr, conns, 5)
	p := bytes.Repeat([]byte("the same for all. "), 100_000)
	want := string(p)
	var done sync.WaitGroup
	for range 2 {
		for _, c := range all {
			done.Add(1)
			require.NoError(t, c.WriteAsync(p, func(err error) {
				if err != nil {
					panic(err)
				}
				done.Done()
			}))
		}
	}
	var readers sync.WaitGroup
	for _, c := range clients {
		readers.Go(func() {
			got := make([]byte, 2*len(want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want+want {
				panic(fmt.Sprint("wrong: ", err))
			}
		})
	}
	readers.Wait()
	done.Wait()
	require.Equal(t, want, string(p))
}

// Writev makes one system call for up to 1024 buffers.
func TestWritevMakesFewCalls(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{Loops: 1, Events: server.Events{Open: open, Data: echo}})
	clients, all := members(t, addr, conns, 1)
	for _, test := range []struct{ buffers, calls int }{{500, 1}, {2500, 3}} {
		var bufs [][]byte
		var want strings.Builder
		for i := range test.buffers {
			bufs = append(bufs, fmt.Appendf(nil, "%010d", i))
			want.Write(bufs[i])
		}
		before := segments(t, all[0])
		n, err := all[0].Writev(bufs)
		require.NoError(t, err)
		require.Equal(t, want.Len(), n)
		expect(t, clients[0], want.String())
		require.LessOrEqual(t, int(segments(t, all[0])-before), test.calls)
	}
}

// The loop does a bounded number of completions in a turn, both when they succeed and
// when they fail. It calls Close after the last one.
func TestManyCompletionsAreSpreadOverTurns(t *testing.T) {
	for _, end := range []string{"drained", "aborted", "closed by the server"} {
		t.Run(end, func(t *testing.T) {
			const pieces = 50_000
			conns, open := opened()
			over := make(chan int, 1)
			var turn uint64
			inTurn, most, calls := 0, 0, 0 // used on the loop only
			srv := &server.Server{Loops: 1, Events: server.Events{
				Open: open, Data: echo, Closed: func(*server.Conn, error) { over <- calls },
			}}
			addr := serve(t, srv)
			clients, all := members(t, addr, conns, 1)
			c := all[0]
			written := stuffed(t, c, 1)
			p := make([]byte, 20)
			all20 := make(chan struct{})
			for range pieces {
				require.NoError(t, c.WriteAsync(p, func(error) {
					if now := c.Loop().Turns(); now != turn {
						turn, inTurn = now, 0
					}
					inTurn++
					most = max(most, inTurn)
					if calls++; calls == pieces {
						close(all20)
					}
				}))
			}
			switch end {
			case "drained":
				_, err := io.CopyN(io.Discard, clients[0], int64(written+20*pieces))
				require.NoError(t, err)
				weirtest.Take(t, all20)
				onLoop(t, c, func() { require.LessOrEqual(t, most, 4*1024) })
			case "aborted":
				c.Abort()
				require.Equal(t, pieces, weirtest.Take(t, over))
				require.LessOrEqual(t, most, 4*1024)
			default:
				require.NoError(t, srv.Close())
				require.Equal(t, pieces, weirtest.Take(t, over))
			}
		})
	}
}

// MaxOutput also bounds the number of pieces. Otherwise a program could queue any number
// of empty pieces.
func TestOutputFullCountsPieces(t *testing.T) {
	const most = 64 << 10
	conns, open := opened()
	addr := serve(t, &server.Server{MaxOutput: most, HighWater: most, SendBuffer: 16 << 10, Events: server.Events{Open: open, Data: echo}})
	clients, all := members(t, addr, conns, 1)
	c := all[0]
	written := stuffed(t, c, 1)
	var asked, done atomic.Int64
	var err error
	for range most {
		if err = c.WriteAsync(nil, func(error) { done.Add(1) }); err != nil {
			break
		}
		asked.Add(1)
	}
	require.ErrorIs(t, err, server.ErrOutputFull)
	require.GreaterOrEqual(t, asked.Load(), int64(most/64-1))
	turned(t, c)
	// The kernel may have taken some of the output meanwhile, and pieces with it.
	require.LessOrEqual(t, asked.Load()-done.Load(), int64(most/64+1))
	_, err = io.CopyN(io.Discard, clients[0], int64(written))
	require.NoError(t, err)
	weirtest.Eventually(t, func() bool { return done.Load() == asked.Load() }, "all are done")
	require.NoError(t, c.WriteAsync(nil, func(error) { done.Add(1) }))
}

// The loop does not hold the lock while completions run and while the kernel copies.
func TestWritersDoNotWaitForCompletions(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{Loops: 1, Events: server.Events{Open: open, Data: echo}})
	_, all := members(t, addr, conns, 1)
	c := all[0]
	over := make(chan error, 1)
	require.NoError(t, c.WriteAsync([]byte("x"), func(error) {
		var other sync.WaitGroup
		other.Go(func() {
			_, err := c.WriteString("y")
			over <- err
		})
		other.Wait()
	}))
	require.NoError(t, weirtest.Take(t, over))
}

func TestDetachAfterWriteAsync(t *testing.T) {
	type detached struct {
		s   *socket.Socket
		err error
	}
	got := make(chan detached, 1)
	done := make(chan error, 3)
	addr := serve(t, &server.Server{Loops: 1, Events: server.Events{Data: func(c *server.Conn) error {
		c.Next(-1)
		if _, err := c.WriteString("head, "); err != nil {
			return err
		}
		for _, s := range []string{"body, ", "tail."} {
			if err := c.WriteAsync([]byte(s), func(err error) { done <- err }); err != nil {
				return err
			}
		}
		s, err := c.Detach()
		got <- detached{s, err}
		return nil
	}}})
	c := client(t, addr)
	send(t, c, "x")
	d := weirtest.Take(t, got)
	s := weirtest.Keep(t, d.s, d.err)
	expect(t, c, "head, body, tail.")
	require.NoError(t, weirtest.Take(t, done))
	require.NoError(t, weirtest.Take(t, done))
	_, err := s.WriteString("from the socket")
	require.NoError(t, err)
	expect(t, c, "from the socket")
}

// The loop sends in one system call what a callback has written by all methods.
func TestWritesOfACallbackLeaveTogetherWithWriteAsync(t *testing.T) {
	conns, open := opened()
	done := make(chan error, 1)
	addr := serve(t, &server.Server{Loops: 1, Events: server.Events{Open: open, Data: func(c *server.Conn) error {
		c.Next(-1)
		if _, err := c.WriteString("head "); err != nil {
			return err
		}
		if err := c.WriteAsync(bytes.Repeat([]byte("b"), 5000), func(err error) { done <- err }); err != nil {
			return err
		}
		_, err := c.WriteString(" tail")
		return err
	}}})
	clients, all := members(t, addr, conns, 1)
	before := segments(t, all[0])
	send(t, clients[0], "x")
	expect(t, clients[0], "head "+strings.Repeat("b", 5000)+" tail")
	require.NoError(t, weirtest.Take(t, done))
	require.Equal(t, before+1, segments(t, all[0]))
}

func TestCloseWrite(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		conns, open := opened()
		over, closing := ended()
		got := make(chan string, 16)
		addr := listen(&server.Server{SendBuffer: 16 << 10, Events: server.Events{
			Open: open, Closed: closing,
			Data: func(c *server.Conn) error { got <- string(c.Next(-1)); return nil },
			End:  func(c *server.Conn) error { got <- "end"; return nil },
		}})
		c := client(t, addr)
		conn := weirtest.Take(t, conns)
		written := stuffed(t, conn, 1<<20)
		conn.CloseWrite()
		conn.CloseWrite()
		_, err := conn.WriteString("more")
		require.ErrorIs(t, err, unix.EPIPE)
		require.ErrorContains(t, err, "CloseWrite")
		n, err := io.Copy(io.Discard, c)
		require.NoError(t, err)
		require.EqualValues(t, written, n, "all that was written before arrives")
		send(t, c, "the peer still sends")
		require.Equal(t, "the peer still sends", weirtest.Take(t, got))
		require.Empty(t, over)
		require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
		require.Equal(t, "end", weirtest.Take(t, got))
		require.Equal(t, io.EOF, weirtest.Take(t, over), "both sides have ended")
	})
}

// A publisher that does not wait allocates nothing for a delivery.
func TestFanOutOfManyMessagesAllocatesLittle(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{Loops: 1, Events: server.Events{Open: open, Data: echo}})
	clients, all := members(t, addr, conns, 1)
	const messages = 5000
	var before, after runtime.MemStats
	onLoop(t, all[0], func() {
		runtime.ReadMemStats(&before)
		for range messages {
			_, _ = all[0].WriteString("123456789\n")
		}
		runtime.ReadMemStats(&after)
	})
	expect(t, clients[0], strings.Repeat("123456789\n", messages))
	require.Less(t, after.Mallocs-before.Mallocs, uint64(messages/10))
}
