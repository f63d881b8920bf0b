// Package lisp_test runs the scripts of this directory against clients and servers
// that do not use Weir: Go's package net, and the tools that are installed.
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

	_ "github.com/seed-2334f180/weir/interp/lisp" // go test learns from this import which packages the command uses
)

// patience is the longest time that a test waits for an event that must happen.
const patience = time.Minute

// weirLisp is the path of the command, which TestMain builds.
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
	// go test takes an old result only if the files that the test opened have not
	// changed. So open the sources of the command.
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
	// The test's own context ends before the cleanup, which has to end the script by a
	// signal.
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	_, err := os.ReadFile(args[0]) // go test takes no old result after a change of the script
	require.NoError(t, err)
	return exec.CommandContext(ctx, weirLisp, args...)
}

// serve runs a server's script on a free port, and returns its address. At the end of
// the test it sends SIGTERM to the server, which must end without an error message.
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

// clients are the programs that a test can connect to a server with. The client in Go
// always works. The tools of the others may not be installed.
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

// A client is a connection to a server, with the lines that it receives.
type client struct {
	t     *testing.T
	in    io.Writer
	lines chan string
	leave func() // ends the connection
}

// run starts a command as a client.
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

// hears waits for the next line, which must be want.
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

// ends waits for the end of the connection. No line may arrive before it.
func (c *client) ends() {
	c.t.Helper()
	select {
	case line, more := <-c.lines:
		require.False(c.t, more, line)
	case <-time.After(patience):
		require.Fail(c.t, "the connection stays")
	}
}
