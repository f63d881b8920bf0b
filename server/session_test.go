package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// lines is a Handler that answers one line in each call.
func lines(s *server.Session) error {
	line, err := s.ReadLine()
	if err != nil {
		return err
	}
	_, err = s.WriteString("<" + line + ">")
	return err
}

func TestHandleServesRequests(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		var calls atomic.Int64
		srv := &server.Server{Handler: func(s *server.Session) error {
			calls.Add(1)
			return lines(s)
		}}
		c := client(t, listen(srv))
		for range 10 {
			send(t, c, "hello\n")
			expect(t, c, "<hello>")
		}
		require.EqualValues(t, 10, calls.Load())
		send(t, c, "a\nb\nc\nd")
		expect(t, c, "<a><b><c>") // one receive has read all of it ahead
		send(t, c, "e\n")
		expect(t, c, "<de>")
		require.NoError(t, c.Close())
		weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it ends")
	})
}

func TestHandleIsCalledAgainForWhatItDidNotRead(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		c := client(t, listen(&server.Server{Handler: func(s *server.Session) error {
			buf := make([]byte, 3)
			n, err := s.Recv(buf, 0)
			if err != nil {
				return err
			}
			_, err = s.Send(append(buf[:n], '|'), 0)
			return err
		}}))
		for range 3 {
			send(t, c, "0123456789")
			expect(t, c, "012|345|678|9|")
		}
	})
}

// If a handler returns nil at the end of the stream, the server does not call it again.
func TestHandleThatReturnsNilAtTheEnd(t *testing.T) {
	for name, handler := range map[string]func(*server.Session) error{
		"reads":        func(s *server.Session) error { _, _ = s.Recv(make([]byte, 10), 0); return nil },
		"reads ahead":  func(s *server.Session) error { _, _ = s.ReadString(); return nil },
		"reads a byte": func(s *server.Session) error { _, _ = s.Recv(make([]byte, 1), 0); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			srv := &server.Server{Handler: func(s *server.Session) error { calls.Add(1); return handler(s) }}
			c := client(t, serve(t, srv))
			send(t, c, "hello")
			require.NoError(t, c.(*net.TCPConn).CloseWrite())
			expectEnd(t, c)
			weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "it ends")
			require.LessOrEqual(t, calls.Load(), int64(6))
		})
	}
}

// Between requests a connection has neither a goroutine nor a buffer.
func TestHandleHoldsNothingBetweenRequests(t *testing.T) {
	const n, early = 100, 40
	started := make(chan struct{}, n)
	srv := &server.Server{Loops: 1, Handler: func(s *server.Session) error {
		started <- struct{}{}
		return lines(s)
	}}
	addr := serve(t, srv)
	fds := make([]int, n) // connections of net would use memory of their own
	heap := func() uint64 {
		var m runtime.MemStats
		for range 3 { // a pool frees its items at the second collection
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	request := func(fd int) {
		_, err := unix.Write(fd, []byte("x\n"))
		require.NoError(t, err)
		<-started
		buf := make([]byte, 3)
		k, err := unix.Read(fd, buf)
		require.NoError(t, err)
		require.Equal(t, "<x>", string(buf[:k]))
	}
	goroutines, memory := 0, uint64(0)
	for i := range fds {
		if i == early { // by then the server has made everything that connections share
			weirtest.Eventually(t, func() bool { return srv.Stats().Conns == i }, "they are served")
			goroutines, memory = runtime.NumGoroutine(), heap()
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port(), Addr: [4]byte{127, 0, 0, 1}}))
		fds[i] = fd
		request(fd)
	}
	// require.Eventually would start goroutines of its own.
	for begin := time.Now(); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		require.Less(t, time.Since(begin), weirtest.Patience, "%d goroutines are left", runtime.NumGoroutine()-goroutines)
	}
	if !race.Enabled { // the race detector uses memory, too
		per := (int64(heap()) - int64(memory)) / (n - early)
		t.Logf("%d bytes of heap for each", per)
		require.Less(t, per, int64(2048))
	}
	request(fds[0])
	request(fds[n-1])
}

// A request does not start a goroutine, because the goroutines of earlier requests are
// parked.
func TestHandleStartsFewGoroutines(t *testing.T) {
	const clients, requests = 8, 200
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	var calls atomic.Int64
	addr := serve(t, &server.Server{Group: g, Handler: func(s *server.Session) error { calls.Add(1); return lines(s) }})
	var all sync.WaitGroup
	for range clients {
		c := client(t, addr)
		all.Go(func() {
			for range requests {
				if _, err := io.WriteString(c, "x\n"); err != nil {
					t.Error(err)
					return
				}
				if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, clients*requests, calls.Load())
	require.LessOrEqual(t, g.Loops()[0].Started(), uint64(4*clients))
}

// A Handler may read the input of an event before the loop takes in the event.
func TestHandleIsNotCalledForWhatWasRead(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	holding, release := make(chan struct{}), make(chan struct{})
	events := &server.Server{Group: g, Events: server.Events{Data: func(c *server.Conn) error {
		if string(c.Next(-1)) == "hold" {
			close(holding)
			<-release
		}
		return nil
	}}}
	var calls atomic.Int64
	inHandler, goOn := make(chan struct{}, 8), make(chan struct{})
	blocking := &server.Server{Group: g, Handler: func(s *server.Session) error {
		calls.Add(1)
		if err := lines(s); err != nil {
			return err
		}
		inHandler <- struct{}{}
		<-goOn
		buf := make([]byte, 10)
		n, err := s.Recv(buf, unix.MSG_DONTWAIT) // directly from the kernel, because the loop is blocked
		if err != nil {
			return err
		}
		_, err = s.Send(buf[:n], 0)
		return err
	}}
	hold, c := client(t, serve(t, events)), client(t, serve(t, blocking))
	send(t, c, "one\n")
	weirtest.Take(t, inHandler)
	expect(t, c, "<one>")
	// Both events come in one turn. The callback of the first event blocks the loop.
	posted := make(chan struct{})
	require.NoError(t, g.Loops()[0].Post(func() {
		send(t, hold, "hold")
		send(t, c, "two\n")
		close(posted)
	}))
	weirtest.Take(t, posted)
	weirtest.Take(t, holding)
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	close(goOn)
	expect(t, c, "two\n")
	for begin := time.Now(); time.Since(begin) < 10*time.Millisecond; { // until the session is idle
		runtime.Gosched()
	}
	letGo()
	done := make(chan struct{})
	require.NoError(t, g.Loops()[0].Post(func() { close(done) }))
	weirtest.Take(t, done)
	ctx, cancel := context.WithTimeout(t.Context(), weirtest.Patience)
	defer cancel()
	require.NoError(t, blocking.Shutdown(ctx), "no handler waits for another line")
	require.EqualValues(t, 1, calls.Load())
}

// The goroutine of a session that has input runs in the loop's turn, and not only when
// the loop sleeps. With one processor the loop alone decides when it runs.
func TestHandleDoesNotWaitForTheLoopsSleep(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	l := g.Loops()[0]
	awake := make(chan bool, 1)
	addr := serve(t, &server.Server{Group: g, Handler: func(s *server.Session) error {
		_, busy := l.Busy()
		awake <- busy
		return lines(s)
	}})
	var c net.Conn
	sent := make(chan struct{})
	require.NoError(t, l.Post(func() { // so that the loop accepts the connection with its request
		c = client(t, addr)
		send(t, c, "one\n")
		close(sent)
	}))
	weirtest.Take(t, sent)
	require.True(t, weirtest.Take(t, awake), "it begins at once")
	expect(t, c, "<one>")
	weirtest.Eventually(t, func() bool { _, busy := l.Busy(); return !busy }, "the loop sleeps")
	send(t, c, "two\n")
	require.True(t, weirtest.Take(t, awake), "it goes on at once")
	expect(t, c, "<two>")
}

func TestHandleAttach(t *testing.T) {
	srv := &server.Server{Handler: lines}
	t.Cleanup(func() { srv.Close() })
	a, b := weirtest.Pair(t, socket.Stream)
	_, err := b.WriteString("one\ntwo\nthree\n")
	require.NoError(t, err)
	_, err = a.ReadLine()
	require.NoError(t, err)
	require.NoError(t, srv.Attach(a, nil))
	expect(t, b, "<two><three>")
	_, err = b.WriteString("four\n")
	require.NoError(t, err)
	expect(t, b, "<four>")
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 1 }, "it goes on")

	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(fds[1])
	adopted, err := socket.Adopt(fds[0])
	require.NoError(t, err)
	require.NoError(t, srv.Attach(adopted, nil))
	_, err = unix.Write(fds[1], []byte("x\n"))
	require.NoError(t, err)
	buf := make([]byte, 8)
	n, err := unix.Read(fds[1], buf)
	require.NoError(t, err)
	require.Equal(t, "<x>", string(buf[:n]))
}

// User holds what the program has set from Begin to Finish. Begin may write before it
// has read anything.
func TestSessionKeepsWhatTheProgramHas(t *testing.T) {
	both(t, func(t *testing.T, listen func(*server.Server) socket.Addr) {
		type login struct {
			name  string
			calls int
		}
		var calls journal
		srv := &server.Server{
			Begin: func(s *server.Session) error {
				s.User = new(login)
				_, err := s.WriteString("name?")
				return err
			},
			Handler: func(s *server.Session) error {
				line, err := s.ReadLine()
				if err != nil {
					return err
				}
				l := s.User.(*login)
				if l.calls++; l.calls == 1 {
					l.name = line
				}
				_, err = s.WriteString(fmt.Sprint(l.name, l.calls, ";"))
				return err
			},
			Finish: func(s *server.Session, err error) {
				l := s.User.(*login)
				calls.add(fmt.Sprint(l.name, l.calls, err, s.RemoteAddr().IsValid(), s.Server().Stats().Conns > 0))
			},
		}
		addr := listen(srv)
		a, b := client(t, addr), client(t, addr)
		expect(t, a, "name?")
		expect(t, b, "name?")
		send(t, a, "ann\n")
		expect(t, a, "ann1;")
		send(t, b, "bob\nx\ny\n") // pipelined
		expect(t, b, "bob1;bob2;bob3;")
		send(t, a, "x\n")
		expect(t, a, "ann2;")
		require.Len(t, srv.Sessions(), 2)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "they end")
		require.ElementsMatch(t, []string{"ann2 EOF true true", "bob3 EOF true true"}, calls.all())
		require.Empty(t, srv.Sessions())
	})
}

// BenchmarkHandler is a request of 10 bytes and its answer by a Handler, on several
// connections.
func BenchmarkHandler(b *testing.B) {
	const clients = 16
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(b, err)
	defer g.Close()
	addr := serve(b, &server.Server{Group: g, Handler: func(s *server.Session) error {
		var buf [64]byte
		n, err := s.Recv(buf[:], 0)
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err == nil {
			_, err = s.Send(buf[:n], 0)
		}
		return err
	}})
	conns := make(chan net.Conn, clients)
	for range clients {
		conns <- client(b, addr)
	}
	b.SetParallelism(clients)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := <-conns
		defer func() { conns <- c }()
		buf := make([]byte, 10)
		for pb.Next() {
			if _, err := c.Write(buf); err != nil {
				b.Error(err)
				return
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(g.Loops()[0].Started())/float64(b.N), "goroutines/op")
}
