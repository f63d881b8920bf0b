// Package programtest runs the programs of examples for their tests, as
// processes of their own, and the tools that talk to them.
package programtest

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

// Patience is how long a test waits for what must happen.
const Patience = 20 * time.Second

// asProgram makes a test binary be the program. A binary built apart would not
// be known to go test, which then takes old results for new code.
const asProgram = "WEIR_TEST_AS_PROGRAM"

// Main is for TestMain: it runs the program if the binary is started as that,
// and the tests otherwise.
func Main(m *testing.M, program func()) {
	if os.Getenv(asProgram) != "" {
		program()
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

// A Program is one that runs, and has said what it listens at.
type Program struct {
	Addr string // host:port
	Cmd  *exec.Cmd
	Log  chan string // the lines of its log, and of its successors'; closed when all have ended

	t    testing.TB
	gone chan struct{} // closed when it has ended
}

// Start runs the program with arguments.
func Start(t testing.TB, args ...string) *Program {
	t.Helper()
	return Launch(t, Command(args...))
}

// Launch runs a command that runs the program.
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

// Port is that of the address.
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
	require.NotContains(p.t, rest.String(), "DATA RACE")
	require.NotContains(p.t, rest.String(), "panic:")
	return p.Cmd.ProcessState, rest.String()
}

// Stop ends the program by SIGTERM, which must succeed, and returns the rest of
// its log.
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

// Refuses checks that it does.
func Refuses(t *testing.T, refusals []Refusal) {
	for _, c := range refusals {
		t.Run(c.Args, func(t *testing.T) {
			out, err := Command(strings.Fields(c.Args)...).CombinedOutput()
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

// Helps checks that --help explains all flags.
func Helps(t *testing.T, flags ...string) {
	out, err := Command("--help").Output()
	require.NoError(t, err)
	for _, flag := range flags {
		require.Contains(t, string(out), "\n  "+flag+" ")
	}
	require.Equal(t, len(flags), strings.Count(string(out), "\n  -"), "flags")
}

// Tool returns a command of a program that the machine may lack.
func Tool(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), machine.NeedTool(t, name), args...)
	cmd.WaitDelay = Patience
	timer := time.AfterFunc(3*Patience, func() {
		if cmd.Process != nil {
			cmd.Process.Kill()
		}
	})
	t.Cleanup(func() { timer.Stop() })
	return cmd
}
