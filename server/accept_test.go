package server_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// spread returns how many of the next n connections each loop gets.
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
	srv := &server.Server{Loops: 3, Policy: loop.LeastRegistered(), Events: server.Events{Open: open, Data: echo}}
	addr := serve(t, srv)
	client(t, addr)
	first := weirtest.Take(t, conns)
	// The server accepts all connections of a burst in one turn, before it serves any.
	onLoop(t, first, func() {
		for range 29 {
			client(t, addr)
		}
	})
	all, by := spread(t, conns, 29)
	by[first.Loop()]++
	for _, n := range by {
		require.InDelta(t, 10, n, 1, "one of the loops has the listener, too")
	}
	left := 30
	for _, c := range append(all, first) {
		if c.Loop() == first.Loop() {
			c.Abort()
			left--
		}
	}
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == left }, "they go")
	for range 8 {
		client(t, addr)
	}
	_, by = spread(t, conns, 8)
	require.Equal(t, map[*loop.Loop]int{first.Loop(): 8}, by)
}

func TestServeSourceHash(t *testing.T) {
	conns, open := opened()
	addr := serve(t, &server.Server{Loops: 2, Policy: loop.SourceHash(), Events: server.Events{Open: open, Data: echo}})
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

func TestServeMaxConnsLeavesTheRestInTheBacklog(t *testing.T) {
	conns, open := opened()
	srv := &server.Server{MaxConns: 2, Events: server.Events{Open: open, Data: echo}}
	addr := serve(t, srv)
	first, second := client(t, addr), client(t, addr)
	conn := weirtest.Take(t, conns)
	weirtest.Take(t, conns)
	third, fourth := client(t, addr), client(t, addr)
	send(t, third, "third")
	send(t, fourth, "fourth")
	turned(t, conn)
	require.Empty(t, conns)
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 2 }, "the others wait")
	for _, c := range []struct {
		goes, comes net.Conn
		text        string
	}{{first, third, "third"}, {second, fourth, "fourth"}} {
		require.NoError(t, c.goes.Close())
		weirtest.Take(t, conns)
		expect(t, c.comes, c.text)
	}
	require.EqualValues(t, 4, srv.Stats().Accepted)

	a, b := weirtest.Pair(t, socket.Stream)
	require.NoError(t, srv.Attach(a, nil), "it is not refused")
	_, err := b.WriteString("attached")
	require.NoError(t, err)
	expect(t, b, "attached")
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 3 }, "but it counts")
	fifth := client(t, addr)
	send(t, fifth, "fifth")
	require.NoError(t, third.Close())
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 2 }, "one has gone")
	weirtest.Take(t, conns) // the attached connection
	require.Empty(t, conns, "and there are still two")
	require.NoError(t, fourth.Close())
	expect(t, fifth, "fifth")
}

// Several listeners on several loops compete for very few places. No place may stay
// free while a client waits in a backlog.
func TestServeMaxConnsLosesNoWakeUp(t *testing.T) {
	for _, max := range []int{1, 3} {
		for _, handle := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d conns, blocking %v", max, handle), func(t *testing.T) {
				var open, most atomic.Int64
				count := func(by int64) {
					n := open.Add(by)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
				}
				srv := &server.Server{Loops: 4, MaxConns: max, ReusePort: true}
				if handle {
					srv.Handler = func(s *server.Session) error {
						count(1)
						defer count(-1)
						if err := lines(s); err != nil {
							return err
						}
						return io.EOF
					}
				} else {
					srv.Events = server.Events{
						Open:   func(*server.Conn) error { count(1); return nil },
						Data:   func(c *server.Conn) error { _, err := c.Write(c.Next(-1)); c.Close(); return err },
						Closed: func(*server.Conn, error) { count(-1) },
					}
				}
				addrs := []socket.Addr{serve(t, srv), serveOn(t, srv, "unix", t.TempDir()+"/s")}
				var tasks sync.WaitGroup
				var failed atomic.Pointer[error]
				for i := range 16 {
					tasks.Go(func() {
						addr := addrs[btoi(i%4 == 0)]
						for n := range 25 {
							err := func() error {
								c, err := net.Dial(map[bool]string{true: "unix", false: "tcp"}[i%4 == 0], addr.String())
								if err != nil {
									return err
								}
								defer c.Close()
								_ = c.SetDeadline(time.Now().Add(weirtest.Patience))
								if n%5 == 4 { // the client leaves and sends nothing
									return nil
								}
								if _, err := io.WriteString(c, "x\n"); err != nil {
									return err
								}
								_, err = io.ReadFull(c, make([]byte, 2))
								return err
							}()
							if err != nil {
								failed.Store(&err)
								return
							}
						}
					})
				}
				tasks.Wait()
				if err := failed.Load(); err != nil {
					require.NoError(t, *err)
				}
				require.LessOrEqual(t, most.Load(), int64(max))
				weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, "all are counted out")
			})
		}
	}
}

// A connection for which there is no descriptor stays in the backlog. The server logs
// that once, rests between its attempts, and goes on when there are descriptors.
func TestServeWithoutDescriptors(t *testing.T) {
	if os.Getenv("WEIR_TEST_EMFILE") == "" {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestServeWithoutDescriptors$")
		cmd.Env = append(os.Environ(), "WEIR_TEST_EMFILE=1", noDelay)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS")
		return
	}
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	var log journal
	conns, open := opened()
	srv := &server.Server{Log: log.logger(), Group: g, Events: server.Events{Open: open, Data: echo}}
	addr := serve(t, srv)
	connect := func() func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return func() {
			require.NoError(t, unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port(), Addr: [4]byte{127, 0, 0, 1}}))
		}
	}
	var limit, none syscall.Rlimit // of package syscall, so that a child process does not inherit the limit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	none = limit
	none.Cur = 3
	for episode := range 2 {
		first, second := connect(), connect()
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
		turns := g.Loops()[0].Turns()
		begin := time.Now()
		first()
		weirtest.Eventually(t, func() bool { return srv.Stats().Pauses == uint64(episode+1) }, "it is counted")
		time.Sleep(200 * time.Millisecond)
		second()
		time.Sleep(200 * time.Millisecond)
		// The pauses are 10, 20, 40, 80, 100, 100 ... ms, and the second connection is an
		// event.
		pauses := uint64(5 + time.Since(begin)/(100*time.Millisecond))
		require.LessOrEqual(t, g.Loops()[0].Turns()-turns, 2*pauses+4)
		require.Equal(t, episode+1, log.count("accepting pauses"))
		require.EqualValues(t, episode+1, srv.Stats().Pauses)
		require.Empty(t, conns)
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
		weirtest.Take(t, conns)
		// The accept after the last one must find the backlog empty. Otherwise it would
		// fail because of the next limit, and the lack of descriptors would continue.
		turned(t, weirtest.Take(t, conns))
		weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 2*(episode+1) }, "both are served")
	}
}

func TestServeSurvivesWhoIsGoneBeforeTheAccept(t *testing.T) {
	conns, open := opened()
	srv := &server.Server{Loops: 1, Events: server.Events{Open: open, Data: echo}}
	addr := serve(t, srv)
	client(t, addr)
	conn := weirtest.Take(t, conns)
	onLoop(t, conn, func() {
		for range 10 {
			c, err := net.Dial("tcp", addr.String())
			require.NoError(t, err)
			require.NoError(t, c.(*net.TCPConn).SetLinger(0))
			require.NoError(t, c.Close())
		}
	})
	c := client(t, addr)
	send(t, c, "x")
	expect(t, c, "x")
	weirtest.Eventually(t, func() bool { return srv.Stats().Conns == 2 }, "they are counted out")
}

// When accept(2) returns the same error for ever, the server rests between its attempts,
// logs the error once, and Close still ends it.
func TestServeAcceptThatIsRefusedForGood(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{unix.EACCES, unix.EPERM, unix.EOPNOTSUPP, unix.ECONNABORTED, unix.EINVAL} {
		for _, end := range []string{"Close", "Shutdown"} {
			t.Run(fmt.Sprintf("%v, %s", unix.ErrnoName(errno), end), func(t *testing.T) {
				t.Parallel()
				if !inChild(t) {
					return
				}
				g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
				require.NoError(t, err)
				defer g.Close()
				var log journal
				srv := &server.Server{Log: log.logger(), Group: g, Events: server.Events{Data: echo}}
				addr := serve(t, srv)
				deny(t, unix.SYS_ACCEPT4, errno)
				client(t, addr)
				weirtest.Eventually(t, func() bool { return srv.Stats().Pauses == 1 }, "it is counted")
				turns, begin := g.Loops()[0].Turns(), time.Now()
				time.Sleep(300 * time.Millisecond)
				turns = g.Loops()[0].Turns() - turns
				require.Less(t, turns, uint64(30+time.Since(begin)/(30*time.Millisecond)), "the loop rests")
				client(t, addr) // its event does not end the rest
				require.EqualValues(t, 1, srv.Stats().Pauses)
				require.Equal(t, 1, log.count("accepting pauses"))
				require.Equal(t, 1, log.count(errno.Error()))
				over := make(chan error, 1)
				go func() {
					if end == "Close" {
						over <- srv.Close()
					} else {
						over <- srv.Shutdown(t.Context())
					}
				}()
				require.NoError(t, weirtest.Take(t, over))
			})
		}
	}
}
