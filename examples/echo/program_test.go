package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// asProgram makes the test binary be the program. A binary built apart would
// not be known to go test, which then takes old results for new code.
const asProgram = "ECHO_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Setenv("GORACE", "atexit_sleep_ms=10") // not a second at the end of each program
	os.Exit(m.Run())
}

// command runs the program with arguments.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// A program is a running echo server.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	log  chan string   // its lines
	gone chan struct{} // closed when it has ended
}

// start runs the program on a free port.
func start(t *testing.T, args ...string) *program {
	return launch(t, command(append([]string{"-address", "127.0.0.1:0"}, args...)...))
}

func launch(t *testing.T, cmd *exec.Cmd) *program {
	p := &program{t: t, cmd: cmd, log: make(chan string, 4096), gone: make(chan struct{})}
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.gone
	})
	out := bufio.NewReader(stdout)
	greeting, err := out.ReadString('\n')
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.log <- lines.Text()
		}
		close(p.log)
		cmd.Wait()
		close(p.gone)
	}()
	require.NoError(t, err)
	addr, found := strings.CutPrefix(greeting, "listening on ")
	require.True(t, found, greeting)
	p.addr = strings.TrimSpace(addr)
	return p
}

// await returns the next line of the log that has the words.
func (p *program) await(words string) string {
	p.t.Helper()
	expired := time.After(patience)
	for {
		select {
		case line, more := <-p.log:
			if !more {
				require.Fail(p.t, "the log ended without "+words)
			}
			if strings.Contains(line, words) {
				return line
			}
			require.NotContains(p.t, line, "DATA RACE")
		case <-expired:
			require.Fail(p.t, "the log lacks "+words)
		}
	}
}

func (p *program) signal(sig os.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig))
}

// ended waits for the program's end, and returns its state and the rest of its
// log.
func (p *program) ended() (*os.ProcessState, string) {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(patience):
		require.Fail(p.t, "the program does not end")
	}
	var rest strings.Builder
	for line := range p.log {
		rest.WriteString(line + "\n")
	}
	return p.cmd.ProcessState, rest.String()
}

// stop ends the program by SIGTERM, when no client is left.
func (p *program) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	state, log := p.ended()
	require.Zero(p.t, state.ExitCode(), log)
	require.Contains(p.t, log, "stopped")
	require.NotContains(p.t, log, "connection broken")
}

// socat is a command that is a client which half-closes at the end of its
// input, and then waits for the rest.
func (p *program) socat() *exec.Cmd {
	return tool(p.t, "socat", "-t", "60", "-", "TCP:"+p.addr)
}

// stayer is a client that keeps its side open, and ends when the server closes.
func (p *program) stayer() *exec.Cmd {
	return tool(p.t, "socat", "-t", "0.01", "-", "TCP:"+p.addr)
}

// nc is such a client, too.
func (p *program) nc() *exec.Cmd {
	host, port, err := net.SplitHostPort(p.addr)
	require.NoError(p.t, err)
	return tool(p.t, "nc.openbsd", "-N", host, port)
}

var packages = map[string]string{"socat": "socat", "nc.openbsd": "netcat-openbsd"}

// tool is a command of Debian's. Only where the tests are a gate must it exist.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing := fmt.Sprintf("%s is not installed: apt-get install %s", name, packages[name])
		if os.Getenv("CI") == "true" {
			require.Fail(t, missing)
		}
		t.Skip(missing)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}

// A client is a tool that runs, and the ends of its pipes.
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

// exchange sends data and reads so much back.
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

// rest is what the client receives until the server closes.
func (c *client) rest() []byte {
	c.t.Helper()
	rest, err := io.ReadAll(c)
	require.NoError(c.t, err)
	require.NoError(c.t, c.cmd.Wait(), c.complaint)
	return rest
}
