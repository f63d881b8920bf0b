package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
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

func TestServeRefusesBadConfiguration(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	handle := func(*server.Session) error { return nil }
	for _, test := range []struct {
		want string
		srv  *server.Server
	}{
		{"Server.Loops is -1", &server.Server{Loops: -1}},
		{"Server.MaxConns", &server.Server{MaxConns: -1}},
		{"Server.MaxConnsPerIP", &server.Server{MaxConnsPerIP: -1}},
		{"Server.MaxHandlers", &server.Server{MaxHandlers: -1}},
		{"Server.MaxMemory is -1", &server.Server{MaxMemory: -1}},
		{"Server.MaxMemory is 1024", &server.Server{MaxMemory: 1024}},
		{"Server.MemoryPolicy is 2", &server.Server{MemoryPolicy: 2}},
		{"Server.Backlog", &server.Server{Backlog: -1}},
		{"Server.Backlog", &server.Server{Backlog: math.MaxInt}},
		{"Server.Chunk", &server.Server{Chunk: -1}},
		{"Server.MaxInput", &server.Server{MaxInput: -1}},
		{"Server.HighWater", &server.Server{HighWater: -1}},
		{"Server.LowWater", &server.Server{LowWater: -1}},
		{"Server.LowWater is 2: it is above", &server.Server{HighWater: 1, LowWater: 2}},
		{"Server.MaxOutput", &server.Server{MaxOutput: -1}},
		{"Server.MaxOutput", &server.Server{HighWater: 10, MaxOutput: 9}},
		{"Server.RecvBuffer", &server.Server{RecvBuffer: -1}},
		{"Server.SendBuffer", &server.Server{SendBuffer: math.MaxInt32 + 1}},
		{"Server.KeepAlive", &server.Server{KeepAlive: 10 * time.Hour}},
		{"Server.StallAfter", &server.Server{StallAfter: -1}},
		{"Server.StallAfter", &server.Server{StallAfter: time.Microsecond}},
		{"Timeouts.FirstByte", &server.Server{Timeouts: server.Timeouts{FirstByte: -1}}},
		{"Timeouts.Idle", &server.Server{Timeouts: server.Timeouts{Idle: -1}}},
		{"Timeouts.Read", &server.Server{Timeouts: server.Timeouts{Read: -1}}},
		{"Timeouts.Write", &server.Server{Timeouts: server.Timeouts{Write: -1}}},
		{"Timeouts.MinRate", &server.Server{Timeouts: server.Timeouts{MinRate: -1}}},
		{"Timeouts.Grace", &server.Server{Timeouts: server.Timeouts{Grace: -1}}},
		{"Timeouts.Linger", &server.Server{Timeouts: server.Timeouts{Linger: -1}}},
		{"Events.Every", &server.Server{Events: server.Events{Tick: func(*loop.Loop) {}}}},
		{"Server.Handler and Server.Events.Data", &server.Server{Handler: handle, Events: server.Events{Data: echo}}},
		{"Server.Handler", &server.Server{Handler: handle, Events: server.Events{Open: echo}}},
		{"Server.Handler", &server.Server{Handler: handle, Events: server.Events{Closed: func(*server.Conn, error) {}}}},
		{"Server.Loops", &server.Server{Group: g, Loops: 1}},
		{"LockThread", &server.Server{Group: g, LockThread: true}},
		{"Policy", &server.Server{Group: g, Policy: loop.SourceHash()}},
		{"Server.Group", &server.Server{Group: &loop.Group{}}},
	} {
		t.Run(test.want, func(t *testing.T) {
			srv := test.srv
			_, err := srv.Listen("tcp", "127.0.0.1:0")
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, srv.Wait(), test.want)
			_, err = srv.Inherit()
			require.ErrorContains(t, err, test.want)
			a, _ := weirtest.Pair(t, socket.Stream)
			require.ErrorContains(t, srv.Attach(a, nil), test.want)
			require.NoError(t, srv.Close())
		})
	}
}

func TestZeroServer(t *testing.T) {
	var srv server.Server
	require.Zero(t, srv.Stats())
	require.NoError(t, srv.Close())
	require.ErrorIs(t, srv.Close(), server.ErrClosed)
	require.ErrorIs(t, srv.Shutdown(t.Context()), server.ErrClosed)
	require.ErrorIs(t, srv.Wait(), server.ErrClosed)
	_, err := srv.Listen("tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, server.ErrClosed)

	// The server also counts a connection without a reader.
	srv2 := &server.Server{MaxInput: 10, Log: slog.New(slog.DiscardHandler)}
	a, b := weirtest.Pair(t, socket.Stream)
	require.NoError(t, srv2.Attach(a, nil))
	_, err = b.WriteString("0123456789x")
	require.NoError(t, err)
	_, err = b.Read(make([]byte, 1))
	require.Error(t, err)
	var none context.Context
	require.NoError(t, srv2.Shutdown(none))
	require.ErrorIs(t, srv2.ListenAndServe("tcp", "127.0.0.1:0"), server.ErrClosed)
}

func TestServeBoot(t *testing.T) {
	var log journal
	var srv *server.Server
	boots := 0
	calls := make(chan error, 8)
	srv = &server.Server{Log: log.logger(), Events: server.Events{Data: echo, Boot: func(s *server.Server) error {
		boots++
		_, err := s.Listen("tcp", "127.0.0.1:0")
		calls <- err
		calls <- s.Attach(nil, nil)
		calls <- s.Wait()
		_ = s.Stats()
		return nil
	}}}
	addr := serve(t, srv)
	for range 3 {
		require.Error(t, weirtest.Take(t, calls), "it does not serve yet")
	}
	c := client(t, addr)
	send(t, c, "x")
	expect(t, c, "x")
	serve(t, srv)
	require.Equal(t, 1, boots)
}

func TestServeBootIsCalledOnceByMany(t *testing.T) {
	var boots atomic.Int64
	srv := &server.Server{Events: server.Events{Data: echo, Boot: func(*server.Server) error {
		boots.Add(1)
		time.Sleep(10 * time.Millisecond)
		return nil
	}}}
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() { _, err := srv.Listen("tcp", "127.0.0.1:0"); errs <- err }()
	}
	for range cap(errs) {
		require.NoError(t, weirtest.Take(t, errs))
	}
	require.EqualValues(t, 1, boots.Load())
	require.NoError(t, srv.Close())
}

func TestServeBootRefuses(t *testing.T) {
	refused := errors.New("not today")
	for _, boot := range []struct {
		name string
		f    func(*server.Server) error
		want string
	}{
		{"error", func(*server.Server) error { return refused }, "not today"},
		{"panic", func(*server.Server) error { panic("on purpose") }, "on purpose"},
		{"close", func(s *server.Server) error { return s.Close() }, "closed"},
		{"shutdown", func(s *server.Server) error { return s.Shutdown(t.Context()) }, "closed"},
	} {
		t.Run(boot.name, func(t *testing.T) {
			srv := &server.Server{Log: slog.New(slog.DiscardHandler), Events: server.Events{Data: echo, Boot: boot.f, Stopped: func(*server.Server) { panic("called") }}}
			for range 2 {
				_, err := srv.Listen("tcp", "127.0.0.1:0")
				require.ErrorContains(t, err, boot.want)
				require.ErrorContains(t, srv.Wait(), boot.want)
			}
			if err := srv.Close(); err != nil {
				require.ErrorIs(t, err, server.ErrClosed)
			}
		})
	}
}

func TestServeTick(t *testing.T) {
	const every = 5 * time.Millisecond
	g, err := loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	ticks := make(chan *loop.Loop, 1024)
	srv := &server.Server{Group: g, Log: slog.New(slog.DiscardHandler), Events: server.Events{Data: echo, Every: every, Tick: func(l *loop.Loop) {
		ticks <- l
		panic("on purpose")
	}}}
	begin := time.Now()
	serve(t, srv)
	by := map[*loop.Loop]int{}
	for by[g.Loops()[0]] < 4 || by[g.Loops()[1]] < 4 {
		by[weirtest.Take(t, ticks)]++
	}
	require.GreaterOrEqual(t, time.Since(begin), 4*every)
	require.NoError(t, srv.Close())
	for len(ticks) > 0 {
		<-ticks
	}
	time.Sleep(5 * every)
	require.Empty(t, ticks, "it has ended")
}

func TestServeLockThread(t *testing.T) {
	threads := make(chan int, 1)
	addr := serve(t, &server.Server{Loops: 1, LockThread: true, Events: server.Events{Data: func(c *server.Conn) error {
		threads <- unix.Gettid()
		return echo(c)
	}}})
	c := client(t, addr)
	send(t, c, "x")
	expect(t, c, "x")
	thread := weirtest.Take(t, threads)
	// The loop sleeps in the kernel, in epoll_wait.
	path := fmt.Sprintf("/proc/self/task/%d/syscall", thread)
	weirtest.Eventually(t, func() bool {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return strings.HasPrefix(string(text), fmt.Sprintf("%d ", unix.SYS_EPOLL_PWAIT)) ||
			epollWait != 0 && strings.HasPrefix(string(text), fmt.Sprintf("%d ", epollWait))
	}, "it blocks")
	send(t, c, "x")
	expect(t, c, "x")
	require.Equal(t, thread, weirtest.Take(t, threads))
}

// epollWait returns the number of epoll_wait(2), or 0 if the architecture has none.
var epollWait = func() int {
	if unix.SYS_EPOLL_PWAIT == 281 { // amd64
		return 232
	}
	return 0
}()
