// Package running runs the example programs as processes of their own, and
// the tools that are their clients, for the programs' tests.
package running

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Patience is how long a test waits for what must happen.
const Patience = 20 * time.Second

const asProgram = "EXAMPLE_TEST_AS_PROGRAM"

// Main is the TestMain of a program's tests. It makes the test binary be the
// program when Command has started it: a binary built apart would not be known
// to go test, which then takes old results for new code.
func Main(m *testing.M, main func()) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Setenv("GORACE", "atexit_sleep_ms=10") // not a second at the end of each program
	os.Exit(m.Run())
}

// Command runs the program with arguments.
func Command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// A Program runs, and listens.
type Program struct {
	Addr string
	Cmd  *exec.Cmd
	// Log has the lines of its standard error, and of its successors'. It is
	// closed when all of them have ended.
	Log chan string

	t    *testing.T
	gone chan struct{} // closed when it has ended
}

// Start runs the program on a free port.
func Start(t *testing.T, args ...string) *Program {
	t.Helper()
	return Launch(t, Command(append([]string{"-address", "127.0.0.1:0"}, args...)...))
}

// Launch runs a command that is the program.
func Launch(t *testing.T, cmd *exec.Cmd) *Program {
	t.Helper()
	p := &Program{t: t, Cmd: cmd, Log: make(chan string, 4096), gone: make(chan struct{})}
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.gone
		if t.Failed() {
			for line := range p.Log {
				t.Log("its log:", line)
			}
		}
	})
	out := bufio.NewReader(stdout)
	greeting, err := out.ReadString('\n')
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.Log <- lines.Text()
		}
		close(p.Log)
		cmd.Wait()
		close(p.gone)
	}()
	require.NoError(t, err)
	addr, found := strings.CutPrefix(greeting, "listening on ")
	require.True(t, found, greeting)
	p.Addr = strings.TrimSpace(addr)
	return p
}

// Port is that of the address.
func (p *Program) Port() string {
	_, port, err := net.SplitHostPort(p.Addr)
	require.NoError(p.t, err)
	return port
}

// Await returns the next line of the log that has the words.
func (p *Program) Await(words string) string {
	p.t.Helper()
	expired := time.After(Patience)
	for {
		select {
		case line, more := <-p.Log:
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

// Signal sends the program a signal.
func (p *Program) Signal(sig os.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.Cmd.Process.Signal(sig))
}

// Ended waits for the program's end, and returns its state and the rest of its
// log.
func (p *Program) Ended() (*os.ProcessState, string) {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(Patience):
		require.Fail(p.t, "the program does not end")
	}
	var rest strings.Builder
	for line := range p.Log {
		rest.WriteString(line + "\n")
	}
	return p.Cmd.ProcessState, rest.String()
}

// Stop ends the program by SIGTERM, and has it end well.
func (p *Program) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	state, log := p.Ended()
	require.Zero(p.t, state.ExitCode(), log)
	require.Contains(p.t, log, "stopped")
	require.NotContains(p.t, log, "panic")
	require.NotContains(p.t, log, "DATA RACE")
}

// Dial connects to the program. Reads and writes end when Patience is over.
func (p *Program) Dial() net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	require.NoError(p.t, err)
	require.NoError(p.t, c.SetDeadline(time.Now().Add(Patience)))
	p.t.Cleanup(func() { c.Close() })
	return c
}

// The Debian packages of the tools.
var packages = map[string]string{
	"nc.openbsd":      "netcat-openbsd",
	"redis-benchmark": "redis-tools",
	"redis-cli":       "redis-tools",
	"redis-server":    "redis-server",
	"socat":           "socat",
}

// Tool is a command of Debian's. Only where the tests are a gate must it exist.
func Tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing := fmt.Sprintf("%s is not installed: apt-get install %s", name, packages[name])
		if os.Getenv("CI") == "true" {
			require.Fail(t, missing)
		}
		t.Skip(missing)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*Patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}
