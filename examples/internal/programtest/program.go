// Package programtest runs the example programs for their tests, each in a process
// of its own, and the tools that talk to them.
package programtest

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

// Patience is how long a test waits for what must happen.
const Patience = time.Minute

// A Program is a running program that has printed its address.
type Program struct {
	Addr string // host:port
	Cmd  *exec.Cmd
	Log  chan string // the lines of its log, and of its successors'; closed when all have ended

	t    testing.TB
	gone chan struct{} // closed when the program has ended
}

// Start runs the program with arguments.
func Start(t testing.TB, args ...string) *Program {
	t.Helper()
	return Launch(t, weirtest.Command(context.Background(), args...))
}

// Launch runs a command that starts the program.
func Launch(t testing.TB, cmd *exec.Cmd) *Program {
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
	greeting, err := bufio.NewReader(stdout).ReadString('\n')
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

// Port returns the port of the address.
func (p *Program) Port() string {
	_, port, err := net.SplitHostPort(p.Addr)
	require.NoError(p.t, err)
	return port
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

// Await returns the next line of the log that contains the words.
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

// Ended waits until the program has ended, and returns its state and the rest of its
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
	require.NotContains(p.t, rest.String(), "DATA RACE")
	require.NotContains(p.t, rest.String(), "panic:")
	return p.Cmd.ProcessState, rest.String()
}

// Stop ends the program by SIGTERM, requires that it exits with status 0, and returns
// the rest of its log.
func (p *Program) Stop() string {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	state, log := p.Ended()
	require.Zero(p.t, state.ExitCode(), log)
	require.Contains(p.t, log, "stopped")
	return log
}

// A Refusal is a command line that the program refuses.
type Refusal struct {
	Args string
	Code int      // the exit status
	Want []string // what the one line that it prints names
}

// Refuses checks that the program refuses it.
func Refuses(t *testing.T, refusals []Refusal) {
	for _, c := range refusals {
		t.Run(c.Args, func(t *testing.T) {
			out, err := weirtest.Command(context.Background(), strings.Fields(c.Args)...).CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, c.Code, exit.ExitCode())
			require.Equal(t, 1, strings.Count(string(out), "\n"), string(out))
			for _, want := range c.Want {
				require.Contains(t, string(out), want)
			}
		})
	}
}

// Helps checks that --help lists all flags.
func Helps(t *testing.T, flags ...string) {
	out, err := weirtest.Command(context.Background(), "--help").Output()
	require.NoError(t, err)
	for _, flag := range flags {
		require.Contains(t, string(out), "\n  "+flag+" ")
	}
	require.Equal(t, len(flags), strings.Count(string(out), "\n  -"), "flags")
}

// Tool returns the command of a tool. If the tool is missing the test is skipped, or
// fails where CI=true is set.
func Tool(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*Patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, machine.NeedTool(t, name), args...)
	cmd.WaitDelay = Patience
	machine.EndWithTest(cmd)
	return cmd
}

// StopsOnHangup checks that SIGHUP ends the program in good order, as SIGTERM does.
func StopsOnHangup(t *testing.T, p *Program) {
	t.Helper()
	p.Signal(syscall.SIGHUP)
	state, log := p.Ended()
	require.Zero(t, state.ExitCode(), log)
	require.Contains(t, log, "stopped")
}
