package debug_test

import (
	"io"
	"log/slog"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/debug"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { weirtest.Main(m) }

// A scenario is a page with two servers: an echo server with two loops and twelve clients,
// one of which is busier than the others, and has had a stall; and a server with a
// Handler and eight clients.
type scenario struct {
	page         *debug.Handler
	echo, lines  *server.Server
	clients      []net.Conn
	busiest      string // its address
	closeBusiest func() error
}

// slowCallback holds its loop up until the watchdog has noticed it.
func slowCallback(s *server.Server) {
	for end := time.Now().Add(weirtest.Patience); !stalledBySlowCallback(s, false) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// stalledBySlowCallback reports whether the server has had the stall. On a busy machine
// it may have had others.
func stalledBySlowCallback(s *server.Server, over bool) bool {
	return slices.ContainsFunc(s.Stalls(), func(x server.Stall) bool {
		return strings.Contains(x.Stack, "slowCallback") && x.Over == over
	})
}

// scene starts a scenario. name is the name of the server with a Handler.
func scene(t *testing.T, name string) *scenario {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s := &scenario{page: debug.New()}
	t.Cleanup(s.page.Close)
	s.echo = &server.Server{Loops: 2, Log: quiet, StallAfter: 100 * time.Millisecond, Events: server.Events{Data: func(c *server.Conn) error {
		in := c.Next(-1)
		if in[0] == 's' {
			slowCallback(c.Server())
		}
		_, err := c.Write(in)
		return err
	}}}
	s.lines = &server.Server{Loops: 1, Log: quiet, Handler: func(x *server.Session) error {
		line, err := x.ReadLine()
		if err == nil {
			_, err = x.WriteLine(line)
		}
		return err
	}}
	require.NoError(t, s.page.AddServer("echo", s.echo))
	require.NoError(t, s.page.AddServer(name, s.lines))
	connect := func(srv *server.Server, n int) {
		t.Cleanup(func() { srv.Close() })
		addr, err := srv.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		for range n {
			c, err := net.Dial("tcp", addr.String())
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			s.clients = append(s.clients, c)
			exchange(t, c, "hello\n")
		}
	}
	connect(s.echo, 12)
	connect(s.lines, 8)
	busy := s.clients[0]
	s.busiest, s.closeBusiest = busy.LocalAddr().String(), busy.Close
	for range 50 {
		exchange(t, busy, string(make([]byte, 1000)))
	}
	exchange(t, s.clients[1], "s")
	weirtest.Eventually(t, func() bool { return stalledBySlowCallback(s.echo, true) }, "the stall is over")
	return s
}

// exchange sends text and reads it back.
func exchange(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, len(text)))
	require.NoError(t, err)
}

// talk exchanges for a time, so that a screenshot has something to show.
func (s *scenario) talk(t *testing.T, d time.Duration) {
	var talks sync.WaitGroup
	start := time.Now()
	for i, c := range s.clients[1:] {
		talks.Go(func() {
			for n := 0; time.Since(start) < d; n++ {
				exchange(t, c, strings.Repeat("x", (i*37+n*13)%2000)+"\n")
				wave := 1 + math.Sin(time.Since(start).Seconds()/4+float64(i))
				time.Sleep(time.Millisecond + time.Duration(20*wave*float64(time.Millisecond)))
			}
		})
	}
	talks.Wait()
}
