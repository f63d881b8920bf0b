package server_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// spread is how many of the next n connections each loop gets.
func spread(t testing.TB, conns chan *server.Conn, n int) (all []*server.Conn, by map[*loop.Loop]int) {
	t.Helper()
	by = map[*loop.Loop]int{}
	for range n {
		c := weirtest.Take(t, conns)
		all = append(all, c)
		by[c.Loop()]++
	}
	return all, by
}

func TestServeRoundRobin(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{Loops: 4, Events: server.Events{Open: open, Data: echo}})
	for range 12 {
		client(t, addr)
	}
	_, by := spread(t, conns, 12)
	require.Len(t, by, 4)
	for _, n := range by {
		require.Equal(t, 3, n)
	}
}

func TestServeLeastConnections(t *testing.T) {
	conns, open := opened()
	srv := &server.Server{Loops: 3, Balance: server.LeastConnections, Events: server.Events{Open: open, Data: echo}}
	addr := serve(t, srv)
	client(t, addr)
	first := weirtest.Take(t, conns)
	// All of a burst are accepted in one turn, before any is served.
	onLoop(t, first, func() {
		for range 29 {
			client(t, addr)
		}
	})
	all, by := spread(t, conns, 29)
	by[first.Loop()]++
	for _, n := range by {
		require.Equal(t, 10, n)
	}
	left := 30
	for _, c := range append(all, first) {
		if c.Loop() == first.Loop() {
			c.Abort()
			left--
		}
	}
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == left }, "they go")
	for range 10 {
		client(t, addr)
	}
	_, by = spread(t, conns, 10)
	require.Equal(t, map[*loop.Loop]int{first.Loop(): 10}, by)
}

func TestServeSourceHash(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{Loops: 2, Balance: server.SourceHash, Events: server.Events{Open: open, Data: echo}})
	used := map[*loop.Loop]int{}
	for i := range 32 {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i))}}
		for range 3 {
			c, err := from.Dial("tcp", addr.String())
			require.NoError(t, err)
			defer c.Close()
		}
		_, by := spread(t, conns, 3)
		require.Len(t, by, 1, "one address, one loop")
		for l := range by {
			used[l]++
		}
	}
	require.Len(t, used, 2, "32 addresses, both loops")
}

func TestServeReusePort(t *testing.T) {
	conns, open := opened()
	g, err := loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	srv := &server.Server{Group: g, ReusePort: true, Events: server.Events{Open: open, Data: echo}}
	addr := serve(t, srv)
	for _, l := range g.Loops() {
		require.Equal(t, 1, l.Registered(), "a listener on each")
	}
	for range 64 {
		client(t, addr)
	}
	_, by := spread(t, conns, 64)
	require.Len(t, by, 2)
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
	// It sleeps in the kernel, in epoll_wait.
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

// epollWait is the number of epoll_wait(2), or 0 where there is none.
var epollWait = func() int {
	if unix.SYS_EPOLL_PWAIT == 281 { // amd64
		return 232
	}
	return 0
}()

func TestServeSocketOptions(t *testing.T) {
	type option struct{ level, name, want int }
	for _, test := range []struct {
		name    string
		srv     *server.Server
		options []option
	}{
		{"default", &server.Server{}, []option{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		}},
		{"other", &server.Server{Delay: true, KeepAlive: 1001 * time.Millisecond, RecvBuffer: 20_000, SendBuffer: 30_000}, []option{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 0},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 2},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 2},
			{unix.SOL_SOCKET, unix.SO_RCVBUF, 40_000}, // the kernel doubles it
			{unix.SOL_SOCKET, unix.SO_SNDBUF, 60_000},
		}},
		{"none", &server.Server{KeepAlive: -1}, []option{{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0}}},
	} {
		for _, how := range []string{"listen", "listen on"} {
			t.Run(test.name+", "+how, func(t *testing.T) {
				conns, open := opened()
				s := test.srv
				srv := &server.Server{Delay: s.Delay, KeepAlive: s.KeepAlive, RecvBuffer: s.RecvBuffer, SendBuffer: s.SendBuffer,
					Events: server.Events{Open: open, Data: echo}}
				var addr socket.Addr
				if how == "listen" {
					addr = serve(t, srv)
				} else {
					ls := weirtest.Listen(t)
					addr = ls.LocalAddr()
					t.Cleanup(func() { srv.Close() })
					require.NoError(t, srv.ListenOn(ls))
				}
				client(t, addr)
				conn := weirtest.Take(t, conns)
				for _, o := range test.options {
					require.NoError(t, conn.Control(func(fd int) error {
						got, err := unix.GetsockoptInt(fd, o.level, o.name)
						require.Equal(t, o.want, got, "option %d of level %d", o.name, o.level)
						return err
					}))
				}
			})
		}
	}
}
