package server_test

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// serve makes the server listen at a free port of loopback until the test ends.
func serve(t testing.TB, srv *server.Server) socket.Addr {
	t.Helper()
	return serveOn(t, srv, "tcp4", "127.0.0.1:0")
}

func serveOn(t testing.TB, srv *server.Server, network, address string) socket.Addr {
	t.Helper()
	if srv.Log == nil {
		srv.Log = slog.New(slog.DiscardHandler)
	}
	t.Cleanup(func() { srv.Close() })
	addr, err := srv.Listen(network, address)
	require.NoError(t, err)
	return addr
}

// client returns a connection to addr. Its reads and writes fail before the test times
// out.
func client(t testing.TB, to socket.Addr) net.Conn {
	t.Helper()
	network := "tcp"
	if to.Family() == socket.Unix {
		network = "unix"
	}
	c, err := net.Dial(network, to.String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(weirtest.Patience)))
	return c
}

func send(t testing.TB, c io.Writer, s string) {
	t.Helper()
	_, err := io.WriteString(c, s)
	require.NoError(t, err)
}

// expect reads want from c, and nothing more.
func expect(t testing.TB, c io.Reader, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	n, err := io.ReadFull(c, buf)
	require.NoError(t, err, "after %q", buf[:n])
	require.Equal(t, want, string(buf))
}

// expectEnd reads the end of the stream. A reset fails the test.
func expectEnd(t testing.TB, c io.Reader) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	require.Zero(t, n)
	require.Equal(t, io.EOF, err)
}

func expectReset(t testing.TB, c io.Reader) {
	t.Helper()
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, unix.ECONNRESET)
}

// turned returns when the connection's loop has done all work that it had.
func turned(t testing.TB, c *server.Conn) {
	t.Helper()
	for range 3 {
		done := make(chan struct{})
		require.NoError(t, c.Loop().Post(func() { close(done) }))
		weirtest.Take(t, done)
	}
}

// onLoop calls f on the connection's loop, and waits for it.
func onLoop(t testing.TB, c *server.Conn, f func()) {
	t.Helper()
	done := make(chan struct{})
	require.NoError(t, c.Loop().Post(func() { defer close(done); f() }))
	weirtest.Take(t, done)
}

// A journal is a list that goroutines write.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, s)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.entries...)
}

func (j *journal) count(part string) (n int) {
	for _, s := range j.all() {
		if strings.Contains(s, part) {
			n++
		}
	}
	return n
}

// logger writes each record in a line of its own.
func (j *journal) logger() *slog.Logger { return slog.New(journalHandler{j}) }

type journalHandler struct{ *journal }

func (journalHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h journalHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h journalHandler) WithGroup(string) slog.Handler          { return h }
func (h journalHandler) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	h.add(line)
	return nil
}

// echo is a Data that writes all input back.
func echo(c *server.Conn) error {
	_, err := c.Write(c.Next(-1))
	return err
}

// opened returns an Open that sends the connection on the channel.
func opened() (chan *server.Conn, func(*server.Conn) error) {
	ch := make(chan *server.Conn, 128)
	return ch, func(c *server.Conn) error { ch <- c; return nil }
}

// ended returns a Closed that sends its error on the channel.
func ended() (chan error, func(*server.Conn, error)) {
	ch := make(chan error, 128)
	return ch, func(_ *server.Conn, err error) { ch <- err }
}

// stressTime is how long TestServeStress runs: go test -race -run Stress -stress 10s.
var stressTime = flag.Duration("stress", time.Second, "how long TestServeStress runs")
