package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
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

// kept says whether a port is free at a host, and keeps it from then on, so
// that nobody else listens there.
func kept(t *testing.T, host string, port int) bool {
	family := socket.Inet
	if strings.Contains(host, ":") {
		family = socket.Inet6
	}
	s, err := socket.Config{Address: host, Port: port}.New(family, socket.Stream, 0)
	if err == nil {
		t.Cleanup(func() { s.Close() })
		return true
	}
	require.ErrorIs(t, err, unix.EADDRINUSE)
	return false
}

func TestServeNetworks(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l.Close()
	} else {
		t.Skip("no IPv6 on this machine")
	}
	for _, test := range []struct{ network, address, dial, refused string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1", "::1"},
		{"tcp6", "[::1]:0", "::1", "127.0.0.1"},
		{"tcp6", "[::]:0", "::1", "127.0.0.1"},
		{"tcp", "127.0.0.1:0", "127.0.0.1", ""},
		{"tcp", "localhost:0", "localhost", ""},
		{"tcp", ":0", "127.0.0.1", ""},
		{"tcp", ":0", "::1", ""},
	} {
		for _, reuse := range []bool{false, true} {
			srv := &server.Server{Loops: 2, ReusePort: reuse, Events: server.Events{Data: echo}}
			addr := serveOn(t, srv, test.network, test.address)
			for tries := 1; test.refused != "" && !kept(t, test.refused, addr.Port()); tries++ {
				require.Less(t, tries, 100, "no port is free on both hosts")
				addr = serveOn(t, srv, test.network, test.address)
			}
			_, port, err := net.SplitHostPort(addr.String())
			require.NoError(t, err)
			c, err := net.Dial("tcp", net.JoinHostPort(test.dial, port))
			require.NoError(t, err)
			send(t, c, "x")
			expect(t, c, "x")
			require.NoError(t, c.Close())
			if test.refused != "" {
				_, err = net.Dial("tcp", net.JoinHostPort(test.refused, port))
				require.Error(t, err)
			}
		}
	}
}

func TestServeSeveralListeners(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo}}
	addrs := []socket.Addr{serve(t, srv), serve(t, srv), serveOn(t, srv, "unix", t.TempDir()+"/s"), serveOn(t, srv, "unix", fmt.Sprintf("@weir-%s-%d", t.Name(), os.Getpid()))}
	for _, addr := range addrs {
		c := client(t, addr)
		send(t, c, "x")
		expect(t, c, "x")
	}
}

func TestServeUnixPathIsRemovedInTheEnd(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	srv := &server.Server{Events: server.Events{Data: echo}}
	serveOn(t, srv, "unix", "relative")
	abstract := "@" + filepath.Base(dir)
	serveOn(t, srv, "unix", abstract)
	require.NoError(t, os.WriteFile(abstract, nil, 0o600))
	require.FileExists(t, filepath.Join(dir, "relative"))
	_, err := srv.Listen("unix", "relative")
	require.ErrorIs(t, err, unix.EADDRINUSE)
	require.EqualError(t, err, "weir: listen unix relative: bind: address already in use")
	require.FileExists(t, filepath.Join(dir, "relative"), "it is the other listener's")
	t.Chdir("/")
	require.NoError(t, srv.Close())
	require.NoFileExists(t, filepath.Join(dir, "relative"))
	require.FileExists(t, filepath.Join(dir, abstract), "the abstract name is no file's")
}

func TestServeListenRefuses(t *testing.T) {
	taken := weirtest.Listen(t).LocalAddr().String()
	for _, test := range []struct {
		name, network, address string
		srv                    *server.Server
		want                   string
	}{
		{"network", "sctp", "127.0.0.1:0", nil, "sctp"},
		{"address", "tcp", "127.0.0.1", nil, "missing port"},
		{"host", "tcp4", "[::1]:0", nil, "::1"},
		{"in use", "tcp", taken, nil, taken},
		{"path", "unix", "/no/such/directory/s", nil, "/no/such/directory/s"},
		{"without Packet", "udp", "127.0.0.1:0", nil, "Events.Packet"},
		{"without Data", "tcp", "127.0.0.1:0", &server.Server{}, "Events.Data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv := test.srv
			if srv == nil {
				srv = &server.Server{Events: server.Events{Data: echo}}
			}
			defer srv.Close()
			_, err := srv.Listen(test.network, test.address)
			require.ErrorContains(t, err, "listen")
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, srv.ListenAndServe(test.network, test.address), test.want)
		})
	}
}

func TestServeListenOnRefuses(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo}}
	require.ErrorContains(t, srv.ListenOn(nil), "nil")
	s := weirtest.NewTCP(t)
	require.ErrorContains(t, srv.ListenOn(s), "does not listen")
	require.NoError(t, s.SetNoDelay(true), "it is still the caller's")
	closed := weirtest.Listen(t)
	require.NoError(t, closed.Close())
	require.ErrorIs(t, srv.ListenOn(closed), net.ErrClosed)
	require.NoError(t, srv.Close())
	late := weirtest.Listen(t)
	require.ErrorIs(t, srv.ListenOn(late), server.ErrServerClosed)
	require.ErrorIs(t, late.Close(), net.ErrClosed, "it was the server's, which has closed it")
	late, _ = weirtest.Pair(t, socket.Dgram)
	require.ErrorIs(t, srv.ListenOn(late), server.ErrServerClosed)
	require.ErrorIs(t, late.Close(), net.ErrClosed)
}

// Boot may close the server that is about to serve the socket.
func TestServeListenOnThatBootCloses(t *testing.T) {
	srv := &server.Server{Events: server.Events{Data: echo, Boot: func(s *server.Server) error { return s.Close() }}}
	ls := weirtest.Listen(t)
	require.ErrorIs(t, srv.ListenOn(ls), server.ErrServerClosed)
	require.ErrorIs(t, ls.Close(), net.ErrClosed)
}

func TestServeRefusesBadConfiguration(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	handle := func(*socket.Socket) error { return nil }
	for _, test := range []struct {
		want string
		srv  *server.Server
	}{
		{"Server.Loops is -1", &server.Server{Loops: -1}},
		{"Server.MaxConns", &server.Server{MaxConns: -1}},
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
		{"Server.Balance is 3", &server.Server{Balance: 3}},
		{"Server.Balance", &server.Server{Balance: -1}},
		{"Server.KeepAlive", &server.Server{KeepAlive: 10 * time.Hour}},
		{"Server.StallAfter", &server.Server{StallAfter: -1}},
		{"Server.StallAfter", &server.Server{StallAfter: time.Microsecond}},
		{"Timeouts.FirstByte", &server.Server{Timeouts: server.Timeouts{FirstByte: -1}}},
		{"Timeouts.Idle", &server.Server{Timeouts: server.Timeouts{Idle: -1}}},
		{"Timeouts.Read", &server.Server{Timeouts: server.Timeouts{Read: -1}}},
		{"Timeouts.Write", &server.Server{Timeouts: server.Timeouts{Write: -1}}},
		{"Timeouts.Linger", &server.Server{Timeouts: server.Timeouts{Linger: -1}}},
		{"Events.Every", &server.Server{Events: server.Events{Tick: func(*loop.Loop) {}}}},
		{"Server.Handle and Server.Events.Data", &server.Server{Handle: handle, Events: server.Events{Data: echo}}},
		{"Server.Handle", &server.Server{Handle: handle, Events: server.Events{Open: echo}}},
		{"Server.Handle", &server.Server{Handle: handle, Events: server.Events{Close: func(*server.Conn, error) {}}}},
		{"Server.Loops", &server.Server{Group: g, Loops: 1}},
		{"Server.LockThread", &server.Server{Group: g, LockThread: true}},
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
	require.ErrorIs(t, srv.Close(), server.ErrServerClosed)
	require.ErrorIs(t, srv.Shutdown(t.Context()), server.ErrServerClosed)
	require.ErrorIs(t, srv.Wait(), server.ErrServerClosed)
	_, err := srv.Listen("tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, server.ErrServerClosed)

	// A connection that nobody reads is nevertheless one.
	srv2 := &server.Server{MaxInput: 10, Log: slog.New(slog.DiscardHandler)}
	a, b := weirtest.Pair(t, socket.Stream)
	require.NoError(t, srv2.Attach(a, nil))
	_, err = b.WriteString("0123456789x")
	require.NoError(t, err)
	_, err = b.Read(make([]byte, 1))
	require.Error(t, err)
	var none context.Context
	require.NoError(t, srv2.Shutdown(none))
	require.ErrorIs(t, srv2.ListenAndServe("tcp", "127.0.0.1:0"), server.ErrServerClosed)
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
			srv := &server.Server{Log: slog.New(slog.DiscardHandler), Events: server.Events{Data: echo, Boot: boot.f, Shutdown: func(*server.Server) { panic("called") }}}
			for range 2 {
				_, err := srv.Listen("tcp", "127.0.0.1:0")
				require.ErrorContains(t, err, boot.want)
				require.ErrorContains(t, srv.Wait(), boot.want)
			}
			if err := srv.Close(); err != nil {
				require.ErrorIs(t, err, server.ErrServerClosed)
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
