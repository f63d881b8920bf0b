package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os/exec"
	"testing"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { weirtest.ProgramMain(m, main) }

// A program is a running echo server.
type program struct {
	*programtest.Program
	t *testing.T
}

// start runs the program on a free port.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	return launch(t, weirtest.Command(context.Background(), append([]string{"-address", "127.0.0.1:0"}, args...)...))
}

func launch(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	return &program{programtest.Launch(t, cmd), t}
}

// stop ends the program by SIGTERM. The program must have no client.
func (p *program) stop() {
	p.t.Helper()
	require.NotContains(p.t, p.Stop(), "connection broken")
}

// socat returns the command of a client that closes its writing side at the end of its
// input, and then waits for the rest.
func (p *program) socat() *exec.Cmd {
	return programtest.Tool(p.t, "socat", "-t", "60", "-", "TCP:"+p.Addr)
}

// stayer returns the command of a client that keeps its writing side open. It ends when
// the server closes.
func (p *program) stayer() *exec.Cmd {
	return programtest.Tool(p.t, "socat", "-t", "0.01", "-", "TCP:"+p.Addr)
}

// nc returns the command of a client that closes its writing side, too.
func (p *program) nc() *exec.Cmd {
	host, port, err := net.SplitHostPort(p.Addr)
	require.NoError(p.t, err)
	return programtest.Tool(p.t, "nc.openbsd", "-N", host, port)
}

// A client is a running tool with the ends of its pipes.
type client struct {
	t   *testing.T
	cmd *exec.Cmd
	io.WriteCloser
	io.Reader
	complaint *bytes.Buffer
}

func talk(t *testing.T, cmd *exec.Cmd) *client {
	t.Helper()
	c := &client{t: t, cmd: cmd, complaint: new(bytes.Buffer)}
	var err error
	c.WriteCloser, err = cmd.StdinPipe()
	require.NoError(t, err)
	c.Reader, err = cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = c.complaint
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return c
}

// exchange sends data and reads the same number of bytes back.
func (c *client) exchange(data []byte) []byte {
	c.t.Helper()
	go c.Write(data)
	got := make([]byte, len(data))
	_, err := io.ReadFull(c, got)
	require.NoError(c.t, err)
	return got
}

// finish ends the client's input and returns the rest of what it receives.
func (c *client) finish() []byte {
	c.t.Helper()
	require.NoError(c.t, c.Close())
	return c.rest()
}

// rest returns what the client receives until the server closes.
func (c *client) rest() []byte {
	c.t.Helper()
	rest, err := io.ReadAll(c)
	require.NoError(c.t, err)
	require.NoError(c.t, c.cmd.Wait(), c.complaint)
	return rest
}

func TestHangup(t *testing.T) {
	programtest.StopsOnHangup(t, start(t).Program)
}
