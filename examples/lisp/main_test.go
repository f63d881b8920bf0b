// Package lisp_test runs the scripts here against clients and servers of Go's net, and
// against installed tools.
package lisp_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/stretchr/testify/require"

	_ "github.com/seed-2334f180/weir/interp/lisp" // so that go test knows the sources of the command
)

// patience is how long a test waits for an event that must come.
const patience = 20 * time.Second

// weirLisp is the path of the command, which these tests have built.
var weirLisp string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "weir-lisp")
	if err == nil {
		weirLisp = filepath.Join(dir, "weir-lisp")
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func build() error {
	// go test checks the files that a test has opened before it uses a cached result.
	sources, err := filepath.Glob("../../cmd/weir-lisp/*.go")
	if err != nil {
		return err
	}
	for _, path := range sources {
		if _, err := os.ReadFile(path); err != nil {
			return err
		}
	}
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", weirLisp, "../../cmd/weir-lisp").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

func script(t *testing.T, args ...string) *exec.Cmd {
	// The test's own context is done before the cleanup, which ends the script by a
	// signal.
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	_, err := os.ReadFile(args[0]) // so that go test knows of the file
	require.NoError(t, err)
	return exec.CommandContext(ctx, weirLisp, args...)
}

// serve runs a server's script on a free port, and returns its address. At the end of the
// test it stops the server by SIGTERM. The server must not report an error.
func serve(t *testing.T, name string, args ...string) (addr string) {
	cmd := script(t, append([]string{name}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(out)
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		rest, err := io.ReadAll(lines)
		require.NoError(t, err)
		require.Empty(t, string(rest))
		require.Error(t, cmd.Wait())
		require.Equal(t, 128+int(syscall.SIGTERM), cmd.ProcessState.ExitCode())
		require.Contains(t, stderr.String(), "interrupted: terminated")
	})
	greeting, err := lines.ReadString('\n')
	require.NoError(t, err)
	addr, found := strings.CutPrefix(strings.TrimSpace(greeting), "listening on ")
	require.True(t, found, greeting)
	return addr
}

// clients returns the programs by which a test talks to a server. Go's own client is
// always there. The others may not be installed.
var clients = map[string]func(t *testing.T, addr string) *client{
	"Go": func(t *testing.T, addr string) *client {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		return talk(t, conn, conn, func() { conn.Close() })
	},
	"socat": func(t *testing.T, addr string) *client {
		return run(t, programtest.Tool(t, "socat", "-t", "0.01", "-", "TCP:"+addr))
	},
	"nc": func(t *testing.T, addr string) *client {
		host, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		return run(t, programtest.Tool(t, "nc.openbsd", host, port))
	},
}

// A client is a connection to a server, and the lines that it receives.
type client struct {
	t     *testing.T
	in    io.Writer
	lines chan string
	leave func() // ends the connection
}

// run returns a client that is a command.
func run(t *testing.T, cmd *exec.Cmd) *client {
	t.Helper()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := talk(t, in, out, func() { cmd.Process.Kill() })
	t.Cleanup(func() { cmd.Wait() })
	return c
}

func talk(t *testing.T, in io.Writer, out io.Reader, leave func()) *client {
	t.Helper()
	c := &client{t: t, in: in, lines: make(chan string, 1<<16), leave: leave}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for received := bufio.NewScanner(out); received.Scan(); {
			c.lines <- received.Text()
		}
		close(c.lines)
	}()
	t.Cleanup(func() {
		leave()
		<-gone
	})
	return c
}

func (c *client) says(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.in, text)
	require.NoError(c.t, err)
}

// hears waits for the next line and checks it.
func (c *client) hears(want string) {
	c.t.Helper()
	select {
	case line, more := <-c.lines:
		require.True(c.t, more, "the connection has ended instead of %q", want)
		require.Equal(c.t, want, line)
	case <-time.After(patience):
		require.Fail(c.t, "nothing is heard", want)
	}
}

// ends waits for the connection's end. No line may come before.
func (c *client) ends() {
	c.t.Helper()
	select {
	case line, more := <-c.lines:
		require.False(c.t, more, line)
	case <-time.After(patience):
		require.Fail(c.t, "the connection stays")
	}
}
