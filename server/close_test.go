package server_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestServeCloseSendsFirstWhatIsQueued(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		over, closing := ended()
		big := make([]byte, 2<<20)
		for i := range big {
			big[i] = byte(rand.Int())
		}
		addr := listen(&server.Server{SendBuffer: 64 << 10, Timeouts: server.Timeouts{Linger: time.Hour}, Events: server.Events{
			Data: func(c *server.Conn) error {
				c.Next(-1)
				_, err := c.Write(big)
				c.Close()
				if _, err := c.WriteString("more"); !errors.Is(err, net.ErrClosed) {
					panic("written after Close")
				}
				return err
			},
			Closed: closing,
		}})
		c := client(t, addr)
		send(t, c, "x")
		require.Empty(t, over, "it is not taken yet")
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, sha256.Sum256(big), sha256.Sum256(got))
		require.NoError(t, weirtest.Take(t, over))
	})
}

// If a connection with unread input is closed, the kernel sends a reset, and the reset
// destroys output that the peer has not received yet. So Close waits for the peer's end
// while there is unread input, wherever the input is.
func TestServeCloseDoesNotTakeAwayWhatWasSent(t *testing.T) {
	last := strings.Repeat("last words", 100_000)
	for _, where := range []struct {
		name string
		data func(c *server.Conn) error
	}{
		{"before anything was read", nil},
		{"with some left", func(c *server.Conn) error {
			c.Next(1)
			_, err := c.WriteString(last)
			c.Close()
			return err
		}},
		{"while more is on its way", func(c *server.Conn) error {
			c.Next(-1)
			done := c.User.(chan chan struct{})
			more := make(chan struct{})
			done <- more
			<-more // the peer has sent again, and the loop has had no event
			_, err := c.WriteString(last)
			c.Close()
			return err
		}},
		{"paused", func(c *server.Conn) error {
			c.Next(-1)
			c.PauseRead()
			_, err := c.WriteString(last)
			c.Close()
			return err
		}},
	} {
		t.Run(where.name, func(t *testing.T) {
			over, closing := ended()
			held := make(chan chan struct{}, 1)
			sent := make(chan struct{})
			events := server.Events{
				Open: func(c *server.Conn) error {
					c.User = held
					if where.data == nil {
						<-sent
						_, err := c.WriteString(last)
						c.Close()
						return err
					}
					return nil
				},
				Data:   where.data,
				Closed: closing,
			}
			if events.Data == nil {
				events.Data = func(*server.Conn) error { panic("not called") }
			}
			srv := &server.Server{Events: events, Timeouts: server.Timeouts{Linger: time.Hour}}
			c := client(t, serve(t, srv))
			begin := time.Now()
			send(t, c, "request")
			if where.data == nil {
				close(sent)
			}
			if strings.HasPrefix(where.name, "while") {
				more := weirtest.Take(t, held)
				send(t, c, "request")
				close(more)
			}
			if where.name == "paused" {
				send(t, c, "request") // it may arrive before or after the Close
			}
			expect(t, c, last)
			expectEnd(t, c)
			if where.name != "paused" && len(over) > 0 {
				// 128 ms after the output has left, the peer has stopped sending: see farewell.
				require.Greater(t, time.Since(begin), 128*time.Millisecond, "it waits for the peer's end")
			}
			require.NoError(t, c.Close())
			require.NoError(t, weirtest.Take(t, over))
		})
	}
}

func TestServeCloseWithNothingUnreadIsAtOnce(t *testing.T) {
	over, closing := ended()
	addr := serve(t, &server.Server{Timeouts: server.Timeouts{Linger: time.Hour}, Events: server.Events{
		Open:   func(c *server.Conn) error { _, err := c.WriteString("hello"); c.Close(); return err },
		Data:   echo,
		Closed: closing,
	}})
	c := client(t, addr)
	require.NoError(t, weirtest.Take(t, over), "without the peer")
	expect(t, c, "hello")
	expectEnd(t, c)
}

func TestServeAbortResets(t *testing.T) {
	for _, queued := range []bool{false, true} {
		conns, open := opened()
		over, closing := ended()
		addr := serve(t, &server.Server{Events: server.Events{Open: open, Data: echo, Closed: closing}})
		c := client(t, addr)
		conn := weirtest.Take(t, conns)
		if queued {
			stuffed(t, conn, 1<<20)
		}
		conn.Abort()
		require.Equal(t, server.ErrAborted, weirtest.Take(t, over))
		if queued {
			_, err := io.Copy(io.Discard, c)
			require.Error(t, err)
		} else {
			expectReset(t, c)
		}
	}
}

// When the server gives up queued output, the peer sees a reset and not an orderly end.
func TestServePartOfTheOutputIsNoEnd(t *testing.T) {
	conns, open := opened()
	over, closing := ended()
	addr := serve(t, &server.Server{SendBuffer: 16 << 10, Timeouts: server.Timeouts{Linger: 20 * time.Millisecond}, Events: server.Events{
		Open: open, Data: echo, Closed: closing,
	}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	stuffed(t, conn, 1<<20)
	conn.Close()
	var timeout *server.TimeoutError
	require.ErrorAs(t, weirtest.Take(t, over), &timeout)
	require.Equal(t, "linger", timeout.Of)
	_, err := io.Copy(io.Discard, c)
	require.Error(t, err)
}

func TestServeCloseAndAbortMayComeAgain(t *testing.T) {
	conns, open := opened()
	over, closing := ended()
	srv := &server.Server{Events: server.Events{Open: open, Data: echo, Closed: closing}}
	client(t, serve(t, srv))
	conn := weirtest.Take(t, conns)
	conn.Close()
	conn.Close()
	conn.Abort()
	weirtest.Take(t, over)
	conn.Close()
	conn.Abort()
	conn.Wake()
	conn.PauseRead()
	conn.ResumeRead()
	turned(t, conn)
	require.Empty(t, over)
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it is counted out")
}

// The kernel reports input once. After ResumeRead the server reads what has arrived
// during the pause, without another report.
func TestServePauseAndResume(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		conns, open := opened()
		data := make(chan string, 16)
		ends := make(chan bool, 1)
		addr := listen(&server.Server{Events: server.Events{
			Open: open,
			Data: func(c *server.Conn) error { data <- string(c.Next(-1)); return nil },
			End:  func(c *server.Conn) error { ends <- true; c.Close(); return nil },
		}})
		c := client(t, addr)
		conn := weirtest.Take(t, conns)
		for range 3 {
			conn.PauseRead()
			turned(t, conn)
			send(t, c, "one")
			turned(t, conn)
			send(t, c, "two")
			turned(t, conn)
			require.Empty(t, data)
			conn.ResumeRead()
			require.Equal(t, "onetwo", weirtest.Take(t, data))
			conn.ResumeRead() // a second call does nothing
		}
		conn.PauseRead()
		turned(t, conn)
		send(t, c, "three")
		require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
		turned(t, conn)
		require.Empty(t, data)
		require.Empty(t, ends)
		conn.ResumeRead()
		require.Equal(t, "three", weirtest.Take(t, data))
		weirtest.Take(t, ends)
	})
}

func TestServePausedConnectionNoticesAReset(t *testing.T) {
	conns, open := opened()
	over, closing := ended()
	addr := serve(t, &server.Server{Events: server.Events{Open: open, Data: echo, Closed: closing}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	conn.PauseRead()
	turned(t, conn)
	require.NoError(t, c.(*net.TCPConn).SetLinger(0))
	require.NoError(t, c.Close())
	require.ErrorIs(t, weirtest.Take(t, over), unix.ECONNRESET)
}

func TestServePauseInDataTakesEffectAtOnce(t *testing.T) {
	data := make(chan int, 16)
	conns, open := opened()
	addr := serve(t, &server.Server{Events: server.Events{
		Open: open,
		Data: func(c *server.Conn) error { c.PauseRead(); data <- len(c.Next(-1)); return nil },
	}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	conn.PauseRead()
	turned(t, conn)
	big := strings.Repeat("x", 4<<20)
	go func() { _, _ = io.WriteString(c, big) }()
	for got := 0; got < len(big); {
		conn.ResumeRead()
		n := weirtest.Take(t, data)
		require.LessOrEqual(t, n, 1<<20, "one receive")
		turned(t, conn)
		require.Empty(t, data)
		got += n
	}
}

func TestServeChunkGivesOthersTheirTurn(t *testing.T) {
	conns, open := opened()
	var turn uint64
	var inTurn, most int
	seen := make(chan int, 1)
	total := 0
	addr := serve(t, &server.Server{Loops: 1, Chunk: 100 << 10, Events: server.Events{
		Open: open,
		Data: func(c *server.Conn) error {
			if now := c.Loop().Turns(); now != turn {
				turn, inTurn = now, 0
			}
			n := len(c.Next(-1))
			inTurn += n
			most = max(most, inTurn)
			if total += n; total == 4<<20 {
				seen <- most
			}
			return nil
		},
	}})
	c := client(t, addr)
	conn := weirtest.Take(t, conns)
	conn.PauseRead() // until the kernel's buffers are full
	sent := make(chan error, 1)
	go func() { _, err := c.Write(make([]byte, 4<<20)); sent <- err }()
	turned(t, conn)
	conn.ResumeRead()
	require.NoError(t, weirtest.Take(t, sent))
	// A turn may serve the connection twice, for a poke and for an event, and the last
	// receive of each may exceed the budget.
	require.LessOrEqual(t, weirtest.Take(t, seen), 2*(100<<10+64<<10))
}

// A receive from a unix stream stops behind descriptors, even if more data follows.
func TestServeReadsOnBehindDescriptors(t *testing.T) {
	both := make(chan struct{})
	got := ""
	srv := &server.Server{Events: server.Events{Data: func(c *server.Conn) error {
		if got += string(c.Next(-1)); got == "abcdef" {
			close(both)
		}
		return nil
	}}}
	t.Cleanup(func() { srv.Close() })
	a, b := weirtest.Pair(t, socket.Stream)
	_, err := b.SendMsg(&socket.Message{Buffers: [][]byte{[]byte("abc")}, Control: unix.UnixRights(b.Fd())}, 0)
	require.NoError(t, err)
	_, err = b.WriteString("def")
	require.NoError(t, err)
	require.NoError(t, srv.Attach(a, nil))
	weirtest.Take(t, both)
}

// Callbacks and goroutines call every method of connections at the same time, while peers
// come and go. In the end the server has closed each connection once and called each
// completion once.
func TestServeStress(t *testing.T) {
	var opens, closes, detached, asked, completed atomic.Int64
	conns := make(chan *server.Conn, 1<<14)
	var sockets sync.Map
	g, err := loop.NewGroup(2, loop.LeastRegistered(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	random := func(c *server.Conn, from string) error {
		switch rand.IntN(14) {
		case 0:
			_, _ = c.Write([]byte("write"))
		case 1:
			_, _ = c.WriteString("string")
		case 2:
			_, _ = c.Writev([][]byte{[]byte("wri"), []byte("tev")})
		case 3:
			asked.Add(1)
			if c.WriteAsync(make([]byte, rand.IntN(100_000)), func(error) { completed.Add(1) }) != nil {
				asked.Add(-1)
			}
		case 4:
			_, _ = c.Write(make([]byte, rand.IntN(300_000)))
		case 5:
			c.PauseRead()
		case 6, 7:
			c.ResumeRead()
		case 8:
			c.Wake()
		case 9:
			if rand.IntN(10) == 0 {
				c.Close()
			}
		case 10:
			if rand.IntN(20) == 0 {
				c.Abort()
			}
		case 11:
			_, _, _ = c.Queued(), c.LocalAddr(), c.RemoteAddr()
		case 12:
			if from == "callback" && rand.IntN(20) == 0 {
				if s, err := c.Detach(); err == nil {
					detached.Add(1)
					sockets.Store(s, true)
				}
			}
			if from == "callback" {
				_ = c.SetTimeouts(server.Timeouts{Idle: time.Duration(1+rand.IntN(1000)) * time.Millisecond, Read: time.Second, Write: time.Second, Linger: 100 * time.Millisecond})
			}
		case 13:
			if from == "callback" && rand.IntN(50) == 0 {
				panic("on purpose")
			}
			if from == "callback" && rand.IntN(50) == 0 {
				return io.ErrUnexpectedEOF
			}
		}
		return nil
	}
	srv := &server.Server{Group: g, MaxConns: 16, HighWater: 100 << 10, MaxOutput: 1 << 20, SendBuffer: 32 << 10,
		Timeouts: server.Timeouts{Idle: time.Second, Read: time.Second, Write: time.Second, Linger: 100 * time.Millisecond},
		Events: server.Events{
			Open: func(c *server.Conn) error { opens.Add(1); conns <- c; return random(c, "callback") },
			Data: func(c *server.Conn) error {
				c.Discard(rand.IntN(c.Buffered() + 2))
				return random(c, "callback")
			},
			End:      func(c *server.Conn) error { c.Close(); return random(c, "callback") },
			Pressure: func(c *server.Conn, on bool) { _ = random(c, "callback") },
			Closed:   func(c *server.Conn, err error) { closes.Add(1); _ = random(c, "closed") },
		}}
	addr := serve(t, srv)
	stop := make(chan struct{})
	var tasks sync.WaitGroup
	for range 8 {
		tasks.Go(func() { // peers
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("tcp", addr.String())
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(time.Duration(1+rand.IntN(5)) * time.Millisecond))
				var both sync.WaitGroup
				both.Go(func() { _, _ = c.Write(make([]byte, rand.IntN(300_000))) })
				both.Go(func() { _, _ = io.CopyN(io.Discard, c, rand.Int64N(500_000)) })
				both.Wait()
				switch rand.IntN(3) {
				case 0:
					_ = c.(*net.TCPConn).SetLinger(0)
				case 1:
					_ = c.(*net.TCPConn).CloseWrite()
					_, _ = io.Copy(io.Discard, c)
				}
				c.Close()
			}
		})
		tasks.Go(func() { // goroutines of the program
			for {
				select {
				case <-stop:
					return
				case c := <-conns:
					for range rand.IntN(50) {
						_ = random(c, "goroutine")
					}
					select {
					case conns <- c:
					default:
					}
				}
			}
		})
	}
	time.Sleep(*stressTime)
	close(stop)
	tasks.Wait()
	require.NotZero(t, closes.Load())
	if rand.IntN(2) == 0 {
		require.NoError(t, srv.Close())
	} else {
		require.NoError(t, srv.Shutdown(t.Context()))
	}
	require.Zero(t, srv.Stats().Conns)
	require.Equal(t, opens.Load(), closes.Load()+detached.Load(), "each that was opened is closed once, or detached")
	require.Equal(t, asked.Load(), completed.Load(), "each completion is called once")
	sockets.Range(func(s, _ any) bool { s.(*socket.Socket).Close(); return true })
	for _, l := range g.Loops() {
		weirtest.Eventually(t, func() bool { return l.Registered() == 0 }, "nothing is left on the loops")
	}
	t.Logf("%d connections, %d detached, %d completions, %d panics", opens.Load(), detached.Load(), completed.Load(), srv.Stats().Panics)
}
