package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { weirtest.ProgramMain(m, main) }

// start runs the proxy for a server.
func start(t *testing.T, server string, args ...string) *programtest.Program {
	return programtest.Start(t, append([]string{"-address", "127.0.0.1:0", "-to", server}, args...)...)
}

// An upstream is a server that hands its connections to the test.
func upstream(t *testing.T) (addr string, conns <-chan *net.TCPConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	accepted := make(chan *net.TCPConn, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c.(*net.TCPConn)
		}
	}()
	return l.Addr().String(), accepted
}

// pair returns a client that is connected to a server through the proxy.
func pair(t *testing.T, p *programtest.Program, conns <-chan *net.TCPConn) (client, server *net.TCPConn) {
	t.Helper()
	client = dial(t, p)
	return client, next(t, conns)
}

func dial(t *testing.T, p *programtest.Program) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	return patient(t, c.(*net.TCPConn))
}

func next(t *testing.T, conns <-chan *net.TCPConn) *net.TCPConn {
	t.Helper()
	select {
	case c := <-conns:
		return patient(t, c)
	case <-time.After(programtest.Patience):
		require.Fail(t, "the proxy does not connect")
		return nil
	}
}

func patient(t *testing.T, c *net.TCPConn) *net.TCPConn {
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(programtest.Patience)))
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	_, err := io.ReadFull(c, buf)
	require.NoError(t, err)
	require.Equal(t, want, string(buf))
}

// delivers reports whether a text that one end sends arrives at the other end. The proxy may have
// cut a connection that was idle.
func delivers(from, to net.Conn, text string) bool {
	got := make([]byte, len(text))
	_, err := io.WriteString(from, text)
	if err == nil {
		_, err = io.ReadFull(to, got)
	}
	return err == nil && string(got) == text
}

// receiveEnd reads the end of the stream. It fails if any data comes before.
func receiveEnd(t *testing.T, c net.Conn) {
	t.Helper()
	rest, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Empty(t, rest)
}

// Each side may end its direction first. The other direction stays open.
func TestHalfCloseInBothDirections(t *testing.T) {
	addr, conns := upstream(t)
	p := start(t, addr)
	for _, name := range []string{"client", "server"} {
		t.Run(name, func(t *testing.T) {
			first, second := pair(t, p, conns)
			if name == "server" {
				first, second = second, first
			}
			send(t, first, "the last word")
			require.NoError(t, first.CloseWrite())
			receive(t, second, "the last word")
			receiveEnd(t, second)
			for range 3 { // the other direction still works
				send(t, second, "not mine")
				receive(t, first, "not mine")
			}
			require.NoError(t, second.CloseWrite())
			receiveEnd(t, first)
		})
	}
	require.NotContains(t, p.Stop(), "broken")
}

// A server that ends its side at once still gets what the client sends later.
func TestHalfCloseWithTools(t *testing.T) {
	for _, tool := range [][]string{{"socat", "-t", "60", "-"}, {"nc.openbsd", "-N"}} {
		t.Run(tool[0], func(t *testing.T) {
			addr, conns := upstream(t)
			p := start(t, addr)
			host, port, err := net.SplitHostPort(p.Addr)
			require.NoError(t, err)
			where := []string{host, port}
			if tool[0] == "socat" {
				where = []string{"TCP:" + p.Addr}
			}
			data := make([]byte, 8<<20)
			rand.Read(data)
			cmd := programtest.Tool(t, tool[0], append(tool[1:], where...)...)
			cmd.Stdin = bytes.NewReader(data)
			var out bytes.Buffer
			cmd.Stdout = &out
			require.NoError(t, cmd.Start())
			server := next(t, conns)
			got, err := io.ReadAll(server) // up to the client's end
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got), "%d bytes", len(got))
			go func() { server.Write(data); server.Close() }()
			require.NoError(t, cmd.Wait())
			require.True(t, bytes.Equal(data, out.Bytes()), "%d bytes", out.Len())
			require.NotContains(t, p.Stop(), "broken")
		})
	}
}

func TestHTTPThroughTheProxy(t *testing.T) {
	dir := t.TempDir()
	data := make([]byte, 16<<20)
	rand.Read(data)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), data, 0o600))
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer s.Close()
	p := start(t, s.Listener.Addr().String())
	got, err := programtest.Tool(t, "curl", "--silent", "--show-error", "--fail", "http://"+p.Addr+"/file").Output()
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got), "%d bytes", len(got))
	got, err = programtest.Tool(t, "curl", "--silent", "--show-error", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", "50",
		"--range", "0-0", "http://"+p.Addr+"/file?[1-100]").Output()
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat(data[:1], 100), got)
	require.NotContains(t, p.Stop(), "broken")
}

// If a connection breaks on one side, the proxy resets the other side, so that no side
// takes a part of the data for the whole.
func TestResetIsPassedOn(t *testing.T) {
	addr, conns := upstream(t)
	p := start(t, addr)
	for _, name := range []string{"client", "server"} {
		t.Run(name, func(t *testing.T) {
			first, second := pair(t, p, conns)
			if name == "server" {
				first, second = second, first
			}
			send(t, first, "half a")
			receive(t, second, "half a")
			require.NoError(t, first.SetLinger(0))
			require.NoError(t, first.Close())
			_, err := second.Read(make([]byte, 1))
			require.ErrorIs(t, err, unix.ECONNRESET)
			require.Contains(t, p.Await("connection broken"), "reset by peer")
		})
	}
	p.Stop()
}

func TestServerThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	p := start(t, addr)
	client, err := net.Dial("tcp", p.Addr)
	if err == nil { // the reset may arrive before
		defer client.Close()
		_, err = client.Read(make([]byte, 1))
	}
	require.ErrorIs(t, err, unix.ECONNRESET)
	line := p.Await("no server")
	require.Contains(t, line, addr)
	require.Contains(t, line, "connection refused")
	p.Stop()
}

// The server does not answer, because its backlog is full.
func TestServerThatDoesNotAnswer(t *testing.T) {
	const timeout = 200 * time.Millisecond
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 0))
	at, err := unix.Getsockname(fd)
	require.NoError(t, err)
	addr := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.(*unix.SockaddrInet4).Port}).String()
	filler, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer filler.Close()

	p := start(t, addr, "-connect-timeout", timeout.String())
	client := dial(t, p)
	begun := time.Now()
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, unix.ECONNRESET)
	require.GreaterOrEqual(t, time.Since(begun), timeout-20*time.Millisecond) // the time begins with the dial
	require.Contains(t, p.Await("no server"), "i/o timeout")
	p.Stop()
}

func TestIdleConnectionIsCut(t *testing.T) {
	machine.WithTime(t, 300*time.Millisecond, func(idle time.Duration) bool {
		addr, conns := upstream(t)
		p := start(t, addr, "-idle", idle.String())
		client, server := pair(t, p, conns)
		begun := time.Now()
		if !delivers(client, server, "hello") {
			return false // the machine stood still for longer than the idle time
		}
		_, err := client.Read(make([]byte, 1))
		require.ErrorIs(t, err, unix.ECONNRESET)
		require.GreaterOrEqual(t, time.Since(begun), idle-10*time.Millisecond) // the kernel's clock has other ticks
		require.Contains(t, p.Await("connection broken"), "idle for "+idle.String())
		p.Stop()
		return true
	})
}

// A direction may be silent for any time while bytes come in the other.
func TestBusyConnectionIsNotCut(t *testing.T) {
	for _, name := range []string{"client", "server"} {
		t.Run(name, func(t *testing.T) {
			machine.WithTime(t, 200*time.Millisecond, func(idle time.Duration) bool {
				addr, conns := upstream(t)
				p := start(t, addr, "-idle", idle.String())
				talker, listener := pair(t, p, conns)
				if name == "server" {
					talker, listener = listener, talker
				}
				ticks := time.NewTicker(idle / 10)
				defer ticks.Stop()
				var err error
				for begun := time.Now(); err == nil && time.Since(begun) < 5*idle; <-ticks.C {
					if _, err = talker.Write([]byte("x")); err == nil {
						_, err = io.ReadFull(listener, make([]byte, 1))
					}
				}
				if err != nil {
					return false
				}
				require.NoError(t, errors.Join(talker.Close(), listener.Close()))
				return !strings.Contains(p.Stop(), "idle")
			})
		})
	}
}

// A client sends a request while the proxy is stopped for longer than the idle time. The
// link is not idle when the proxy goes on.
func TestStoppedProxyDoesNotCutBusyConnections(t *testing.T) {
	for _, name := range []string{"client", "server"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			machine.WithTime(t, time.Second, func(idle time.Duration) bool {
				addr, conns := upstream(t)
				p := start(t, addr, "-idle", idle.String())
				asks, answers := pair(t, p, conns)
				if name == "server" {
					asks, answers = answers, asks
				}
				for range 2 {
					if !delivers(asks, answers, "hello") {
						return false
					}
					p.Signal(syscall.SIGSTOP)
					resume := time.AfterFunc(2*idle, func() { p.Cmd.Process.Signal(syscall.SIGCONT) })
					arrived := delivers(asks, answers, "request")
					resume.Stop()
					p.Signal(syscall.SIGCONT)
					if !arrived || !delivers(answers, asks, "answer") {
						return false
					}
				}
				require.NoError(t, errors.Join(asks.Close(), answers.Close()))
				return !strings.Contains(p.Stop(), "idle")
			})
		})
	}
}

// A side that never reads must not keep its slot for ever, even if it sends.
func TestStalledConnectionIsCut(t *testing.T) {
	const idle = 200 * time.Millisecond
	addr, conns := upstream(t)
	p := start(t, addr, "-idle", idle.String())
	client, server := pair(t, p, conns)
	go io.Copy(io.Discard, client)
	go func() {
		for ticks := time.NewTicker(idle / 10); ; <-ticks.C {
			if _, err := server.Write([]byte("x")); err != nil {
				ticks.Stop()
				return
			}
		}
	}()
	_, err := client.Write(make([]byte, 256<<20)) // more than all buffers between the two hold
	require.Error(t, err)
	require.Contains(t, p.Await("connection broken"), "reads nothing")
	p.Stop()
}

func TestMaxLetsTheRestWait(t *testing.T) {
	addr, conns := upstream(t)
	p := start(t, addr, "-max", "1")
	first, server := pair(t, p, conns)
	second := dial(t, p)
	select {
	case <-conns:
		require.Fail(t, "the second is served while there is one")
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, errors.Join(first.Close(), server.Close()))
	other := next(t, conns)
	send(t, other, "at last")
	receive(t, second, "at last")
	require.NoError(t, errors.Join(second.Close(), other.Close()))
	p.Stop()
}

// The proxy delivers the bytes that are under way when the signal comes, and later bytes,
// too.
func TestStopLosesNothing(t *testing.T) {
	addr, conns := upstream(t)
	p := start(t, addr, "-grace", "1h")
	client, server := pair(t, p, conns)
	data := make([]byte, 16<<20)
	rand.Read(data)
	stopping := make(chan struct{})
	go func() {
		client.Write(data[:len(data)/2])
		<-stopping
		client.Write(data[len(data)/2:])
		client.CloseWrite()
	}()
	p.Signal(syscall.SIGTERM)
	require.Contains(t, p.Await("stopping"), "connections=1")
	close(stopping)
	got, err := io.ReadAll(server)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got), "%d bytes", len(got))
	_, err = net.Dial("tcp", p.Addr)
	require.ErrorIs(t, err, unix.ECONNREFUSED)
	send(t, server, "bye")
	require.NoError(t, server.Close())
	receive(t, client, "bye")
	receiveEnd(t, client)
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
	require.NotContains(t, log, "broken")
}

func TestStopAfterTheGracePeriod(t *testing.T) {
	const grace = 200 * time.Millisecond
	addr, conns := upstream(t)
	p := start(t, addr, "-grace", grace.String())
	client, server := pair(t, p, conns)
	begun := time.Now()
	p.Signal(syscall.SIGTERM)
	for _, c := range []net.Conn{client, server} {
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, unix.ECONNRESET)
	}
	require.GreaterOrEqual(t, time.Since(begun), grace)
	require.Contains(t, p.Await("grace period is over"), "closing=1")
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
}

func TestHelp(t *testing.T) {
	programtest.Helps(t, "-address", "-to", "-connect-timeout", "-idle", "-max", "-grace")
}

func TestBadArguments(t *testing.T) {
	programtest.Refuses(t, []programtest.Refusal{
		{Args: "", Code: 2, Want: []string{"-to is required"}},
		{Args: "-to x", Code: 2, Want: []string{"-to", `"x"`, "host:port"}},
		{Args: "-to x:0", Code: 2, Want: []string{"-to", `"x:0"`, "1 to 65535"}},
		{Args: "-to x:http", Code: 2, Want: []string{"-to", `"http"`}},
		{Args: "-to x:1 -address 7", Code: 2, Want: []string{"-address", `"7"`}},
		{Args: "-to x:1 -address x:70000", Code: 2, Want: []string{"-address", `"70000"`}},
		{Args: "-to x:1 -idle -1s", Code: 2, Want: []string{"-idle", "-1s"}},
		{Args: "-to x:1 -connect-timeout -1s", Code: 2, Want: []string{"-connect-timeout", "-1s"}},
		{Args: "-to x:1 -max 0", Code: 2, Want: []string{"-max", "0"}},
		{Args: "-to x:1 -grace -1s", Code: 2, Want: []string{"-grace", "-1s"}},
		{Args: "-to x:1 more", Code: 2, Want: []string{`"more"`}},
		{Args: "-to x:1 -address 192.0.2.1:0", Code: 1, Want: []string{"-address", "192.0.2.1:0", "bind"}},
	})
}

func TestAddressInUse(t *testing.T) {
	p := start(t, "127.0.0.1:1")
	out, err := weirtest.Command(context.Background(), "-address", p.Addr, "-to", "127.0.0.1:1").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), p.Addr)
	require.True(t, strings.Contains(string(out), "address already in use"), string(out))
	p.Stop()
}

func TestHangup(t *testing.T) {
	programtest.StopsOnHangup(t, start(t, "127.0.0.1:1"))
}
