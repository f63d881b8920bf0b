package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Shutdown serves the clients that have connected and sent before.
func TestShutdownServesTheBacklog(t *testing.T) {
	for _, handle := range []bool{false, true} {
		var hold atomic.Pointer[server.Conn]
		g, err := loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
		require.NoError(t, err)
		defer g.Close()
		srv := &server.Server{Group: g}
		if handle {
			srv.Handler = lines
		} else {
			srv.Events.Data = func(c *server.Conn) error {
				hold.Store(c)
				line := c.Next(-1)
				_, err := c.WriteString("<" + string(line[:len(line)-1]) + ">")
				return err
			}
		}
		addr := serve(t, srv)
		held, release := make(chan struct{}), make(chan struct{})
		require.NoError(t, g.Loops()[0].Post(func() { close(held); <-release })) // blocks the loop of the listener
		weirtest.Take(t, held)
		clients := make([]net.Conn, 100) // more than one turn accepts
		for i := range clients {
			clients[i] = client(t, addr)
			send(t, clients[i], "request\n")
		}
		down := make(chan error, 1)
		go func() { down <- srv.Shutdown(context.Background()) }()
		time.Sleep(10 * time.Millisecond) // the test passes without it; with it, Shutdown usually comes first
		close(release)
		for _, c := range clients {
			expect(t, c, "<request>")
			expectEnd(t, c)
			require.NoError(t, c.Close())
		}
		require.NoError(t, weirtest.Take(t, down))
		require.EqualValues(t, len(clients), srv.Stats().Accepted)
		require.Zero(t, srv.Stats().Conns)
		_, err = net.Dial("tcp", addr.String())
		require.ErrorIs(t, err, unix.ECONNREFUSED)
		done := make(chan struct{})
		require.NoError(t, g.Loops()[0].Post(func() { close(done) }), "the group is the caller's")
		weirtest.Take(t, done)
		require.Zero(t, g.Loops()[0].Registered()+g.Loops()[1].Registered())
	}
}

func TestShutdownAnswersAndSendsWhatIsQueued(t *testing.T) {
	conns, open := opened()
	over, closing := ended()
	downs := make(chan bool, 8)
	srv := &server.Server{SendBuffer: 64 << 10, Events: server.Events{Open: open, Data: echo, Closed: closing, Stopped: func(s *server.Server) {
		downs <- errors.Is(s.Close(), server.ErrClosed)
	}}}
	addr := serve(t, srv)
	clients, all := members(t, addr, conns, 3)
	asks, takes, idle, first, second := clients[0], clients[1], clients[2], all[0], all[1]
	second.PauseRead() // Shutdown also ends a paused connection
	written := stuffed(t, second, 1<<20)
	big := make([]byte, 1<<20)
	onLoop(t, first, func() {
		_, _ = asks.Write(big[:10]) // the bytes have arrived, and the loop has not received them
	})
	down := make(chan error, 1)
	go func() { down <- srv.Shutdown(context.Background()) }()
	expect(t, asks, string(big[:10]))
	expectEnd(t, asks)
	expectEnd(t, idle)
	// A client that has sent nothing may be about to send. It must not get a reset.
	send(t, idle, "request")
	require.NoError(t, idle.Close())
	require.Empty(t, downs)
	require.Empty(t, down)
	n, err := io.Copy(io.Discard, takes)
	require.NoError(t, err)
	require.EqualValues(t, written, n)
	require.NoError(t, takes.Close())
	require.NoError(t, weirtest.Take(t, down))
	require.True(t, weirtest.Take(t, downs), "the callback may call Close, which does nothing")
	require.Empty(t, downs)
	for range 3 {
		require.NoError(t, weirtest.Take(t, over))
	}
	require.ErrorIs(t, srv.Wait(), server.ErrClosed)
}

func TestShutdownAtItsDeadline(t *testing.T) {
	conns, open := opened()
	over, closing := ended()
	srv := &server.Server{Timeouts: server.Timeouts{Linger: time.Hour}, Events: server.Events{Open: open, Data: echo, Closed: closing}}
	c := client(t, serve(t, srv))
	stuffed(t, weirtest.Take(t, conns), 1<<20)
	why := errors.New("long enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	down := make(chan error, 1)
	go func() { down <- srv.Shutdown(ctx) }()
	require.Empty(t, down)
	cancel(why)
	require.Equal(t, why, weirtest.Take(t, down))
	require.Equal(t, server.ErrClosed, weirtest.Take(t, over))
	_, err := io.Copy(io.Discard, c)
	require.ErrorIs(t, err, unix.ECONNRESET)
}

func TestCloseHurriesAShutdown(t *testing.T) {
	conns, open := opened()
	over, closing := ended()
	srv := &server.Server{Timeouts: server.Timeouts{Linger: time.Hour}, Events: server.Events{Open: open, Data: echo, Closed: closing}}
	c := client(t, serve(t, srv))
	stuffed(t, weirtest.Take(t, conns), 1<<20)
	down := make(chan error, 1)
	go func() { down <- srv.Shutdown(context.Background()) }()
	weirtest.Eventually(t, func() bool { _, err := srv.Listen("tcp", "127.0.0.1:0"); return err == server.ErrClosed }, "it has begun")
	require.ErrorIs(t, srv.Shutdown(context.Background()), server.ErrClosed)
	require.NoError(t, srv.Close())
	require.Equal(t, server.ErrClosed, weirtest.Take(t, over))
	require.Equal(t, server.ErrClosed, weirtest.Take(t, down))
	_, err := io.Copy(io.Discard, c)
	require.Error(t, err)
}

func TestCloseResets(t *testing.T) {
	var g *loop.Group
	for _, own := range []bool{true, false} {
		conns, open := opened()
		over, closing := ended()
		downs := make(chan int, 8)
		srv := &server.Server{Loops: 2, Events: server.Events{Open: open, Data: echo, Closed: closing, Stopped: func(s *server.Server) { downs <- s.Stats().Conns; panic("on purpose") }}}
		if !own {
			var err error
			g, err = loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
			require.NoError(t, err)
			defer g.Close()
			srv.Group, srv.Loops = g, 0
		}
		addr := serve(t, srv)
		var clients []net.Conn
		for range 8 {
			clients = append(clients, client(t, addr))
		}
		var loops []*loop.Loop
		for range clients {
			loops = append(loops, weirtest.Take(t, conns).Loop())
		}
		errs := make(chan error, 8)
		for range cap(errs) { // several goroutines call it at once
			go func() { errs <- srv.Close() }()
		}
		none := 0
		for range cap(errs) {
			if err := weirtest.Take(t, errs); err == nil {
				none++
			} else {
				require.ErrorIs(t, err, server.ErrClosed)
			}
		}
		require.NotZero(t, none)
		for _, c := range clients {
			expectReset(t, c)
			require.Equal(t, server.ErrClosed, weirtest.Take(t, over))
		}
		require.Zero(t, weirtest.Take(t, downs))
		require.Empty(t, downs)
		require.ErrorIs(t, srv.Wait(), server.ErrClosed)
		for _, l := range loops {
			err := l.Post(func() {})
			if own {
				require.ErrorIs(t, err, loop.ErrLoopClosed)
			} else {
				require.NoError(t, err)
			}
		}
	}
}

// The caller closes the loops too early.
func TestServeSurvivesTheEndOfItsGroup(t *testing.T) {
	g, err := loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	path := t.TempDir() + "/s"
	conns, open := opened()
	over, closing := ended()
	srv := &server.Server{Group: g, Events: server.Events{Open: open, Data: echo, Closed: closing}}
	addr := serveOn(t, srv, "unix", path)
	c, d := client(t, addr), client(t, addr)
	conn := weirtest.Take(t, conns)
	weirtest.Take(t, conns)
	require.NoError(t, g.Close())
	for range 2 {
		require.ErrorIs(t, weirtest.Take(t, over), loop.ErrLoopClosed)
	}
	expectEnd(t, c)
	expectEnd(t, d)
	require.NoFileExists(t, path)
	_, err = conn.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = srv.Listen("tcp", "127.0.0.1:0")
	require.Error(t, err)
	_, err = srv.Listen("unix", path)
	require.Error(t, err)
	require.NoFileExists(t, path)
	a, _ := weirtest.Pair(t, socket.Stream)
	require.Error(t, srv.Attach(a, nil))
	require.Zero(t, srv.Stats().Conns)
	require.NoError(t, srv.Shutdown(t.Context()))

	g, err = loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	blocking := &server.Server{Group: g, Handler: lines}
	c = client(t, serve(t, blocking))
	send(t, c, "x\n")
	expect(t, c, "<x>")
	require.NoError(t, g.Close())
	expectEnd(t, c)
	weirtest.Eventually(t, func() bool { return blocking.Stats().Conns == 0 }, "it is counted out")
	require.NoError(t, blocking.Close())
}

// jam blocks the loop until the test calls the returned function. Meanwhile the loop's
// task queue, which has room for one task, is full. More timers are due than the one that
// the loop fires in a turn.
func jam(t testing.TB, l *loop.Loop) (free func()) {
	t.Helper()
	held, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-release }))
	weirtest.Take(t, held)
	require.NoError(t, l.Post(func() {}))
	for range 3 {
		_, err := l.AfterFunc(0, func() {})
		require.NoError(t, err)
	}
	return func() { close(release) }
}

func jammable(t testing.TB, n int) *loop.Group {
	t.Helper()
	g, err := loop.NewGroup(n, loop.RoundRobin(), loop.Options{TaskQueue: 1, Expiries: 1})
	require.NoError(t, err)
	t.Cleanup(func() { g.Close() })
	return g
}

// ending returns when the loop accepts no more tasks.
func ending(t testing.TB, l *loop.Loop) {
	t.Helper()
	weirtest.Eventually(t, func() bool { return errors.Is(l.Post(func() {}), loop.ErrLoopClosed) }, "it is closed")
}

// A connection is on its way to a loop whose queue is full. Then the program closes the
// loop.
func TestServeLosesNoConnectionOnItsWay(t *testing.T) {
	g := jammable(t, 2)
	srv := &server.Server{Group: g, Events: server.Events{Data: echo}}
	addr := serve(t, srv)
	free := jam(t, g.Loops()[1])
	c := client(t, addr)
	weirtest.Eventually(t, func() bool { return srv.Stats().Accepted == 1 }, "it is accepted")
	done := make(chan struct{})
	require.NoError(t, g.Loops()[0].Post(func() { close(done) }))
	weirtest.Take(t, done) // and the server gave it to the other loop
	closed := make(chan error, 1)
	go func() { closed <- g.Close() }()
	ending(t, g.Loops()[1])
	free()
	require.NoError(t, weirtest.Take(t, closed))
	expectEnd(t, c)
	require.Zero(t, srv.Stats().Conns)
	require.NoError(t, srv.Shutdown(t.Context()))
}

// Close waits for a loop whose queue is full. Then the program closes the loop.
func TestServeCloseSurvivesTheEndOfAFullLoop(t *testing.T) {
	g := jammable(t, 1)
	conns, open := opened()
	over, closing := ended()
	srv := &server.Server{Group: g, Events: server.Events{Open: open, Data: echo, Closed: closing}}
	client(t, serve(t, srv))
	weirtest.Take(t, conns)
	free := jam(t, g.Loops()[0])
	down := make(chan error, 1)
	go func() { down <- srv.Close() }()
	weirtest.Eventually(t, func() bool { _, err := srv.Listen("tcp", "127.0.0.1:0"); return err == server.ErrClosed }, "it has begun")
	time.Sleep(10 * time.Millisecond) // the test passes without it; with it, Close usually waits already
	closed := make(chan error, 1)
	go func() { closed <- g.Close() }()
	ending(t, g.Loops()[0])
	free()
	require.NoError(t, weirtest.Take(t, closed))
	require.NoError(t, weirtest.Take(t, down))
	require.Error(t, weirtest.Take(t, over))
}

// While another goroutine closes the loops, Close still waits for the callbacks.
func TestServeCloseWaitsForAGroupThatEnds(t *testing.T) {
	g := jammable(t, 1)
	conns, open := opened()
	var calls journal
	entered, shut := make(chan struct{}), make(chan struct{})
	srv := &server.Server{Group: g, Events: server.Events{
		Open: open,
		Data: echo,
		Closed: func(*server.Conn, error) {
			close(entered)
			select {
			case <-shut:
			case <-time.After(short): // Close still waits
			}
			calls.add("close")
		},
		Stopped: func(*server.Server) { calls.add("shutdown"); close(shut) },
	}}
	client(t, serve(t, srv))
	weirtest.Take(t, conns)
	closed := make(chan error, 1)
	go func() { closed <- g.Close() }()
	weirtest.Take(t, entered)
	require.NoError(t, srv.Close())
	require.NoError(t, weirtest.Take(t, closed))
	require.Equal(t, []string{"close", "shutdown"}, calls.all())
}

// descriptors returns the number of descriptors of the process.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

func TestServerLeavesNoDescriptor(t *testing.T) {
	open := func(srv *server.Server) {
		srv.Log, srv.Loops, srv.StallAfter = slog.New(slog.DiscardHandler), 2, time.Second
		addr, err := srv.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		path, err := srv.Listen("unix", t.TempDir()+"/s")
		require.NoError(t, err)
		if srv.Events.Packet != nil {
			_, err = srv.Listen("udp4", "127.0.0.1:0")
			require.NoError(t, err)
		}
		for i := range 10 {
			c, err := net.Dial("tcp", addr.String())
			require.NoError(t, err)
			defer c.Close()
			u, err := net.Dial("unix", path.String())
			require.NoError(t, err)
			defer u.Close()
			if i%2 == 0 {
				send(t, c, "x\n")
				send(t, u, "x\n")
			}
		}
	}
	kinds := []func() *server.Server{
		func() *server.Server {
			return &server.Server{Events: server.Events{Data: echo, Packet: func(*server.PacketConn, []byte, socket.Addr) {}}}
		},
		func() *server.Server { return &server.Server{Handler: lines} },
		func() *server.Server {
			return &server.Server{MaxConns: 3, ReusePort: true, Events: server.Events{Data: echo}}
		},
		func() *server.Server {
			return &server.Server{Events: server.Events{Data: echo, Boot: func(*server.Server) error { return nil }}}
		},
	}
	round := func() {
		for i, kind := range kinds {
			for _, graceful := range []bool{true, false} {
				srv := kind()
				open(srv)
				if graceful && i != 2 {
					require.NoError(t, srv.Shutdown(t.Context()))
				} else {
					require.NoError(t, srv.Close())
				}
			}
		}
	}
	round()
	before := descriptors(t)
	round()
	weirtest.Eventually(t, func() bool { return descriptors(t) <= before+1 }, "which the reading of the directory takes")
}

// A peer that has received all output does not close. It has sent nothing, or more than
// the program reads. Shutdown waits for such a peer at most until Linger is over.
func TestServeShutdownDoesNotWaitForThoseWhoLurk(t *testing.T) {
	for _, c := range []struct {
		name string
		says string
		data func(*server.Conn) error
	}{
		{"silent", "", echo},
		{"unread", "abc", func(c *server.Conn) error { c.Peek(-1); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			conns, open := opened()
			srv := &server.Server{Timeouts: server.Timeouts{Linger: time.Hour}, Events: server.Events{Open: open, Data: c.data}}
			peer := client(t, serve(t, srv))
			weirtest.Take(t, conns)
			send(t, peer, c.says)
			ctx, cancel := context.WithTimeout(t.Context(), weirtest.Patience)
			defer cancel()
			require.NoError(t, srv.Shutdown(ctx))
		})
	}
}

// The server serves clients that connect while Shutdown begins, or ends them cleanly, or
// the kernel refuses them. No client that has connected gets a reset.
func TestShutdownResetsNoClientThatConnects(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			if network == "tcp" {
				machine.NeedFilters(t) // they shut new clients out while the backlog is served
			}
			for range 2 {
				address := "127.0.0.1:0"
				if network == "unix" {
					address = t.TempDir() + "/s"
				}
				srv := &server.Server{Loops: 2, Events: server.Events{Data: echo}}
				addr := serveOn(t, srv, network, address)
				var clients sync.WaitGroup
				var served atomic.Int64
				lost := make(chan error, 8)
				for range cap(lost) {
					clients.Go(func() {
						for {
							c, err := net.DialTimeout(network, addr.String(), weirtest.Patience)
							if err != nil {
								if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EAGAIN) {
									lost <- err
								}
								return
							}
							if _, err = io.WriteString(c, "x"); err == nil {
								_, err = io.ReadFull(c, make([]byte, 1))
							}
							c.Close()
							if err != nil && err != io.EOF {
								lost <- err
								return
							}
							served.Add(1)
						}
					})
				}
				weirtest.Eventually(t, func() bool { return served.Load() > 50 }, "clients come")
				require.NoError(t, srv.Shutdown(t.Context()))
				clients.Wait()
				close(lost)
				for err := range lost {
					t.Error(err)
				}
			}
		})
	}
}
