package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/suites"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test's binary be the program, and a child of it.
func TestMain(m *testing.M) {
	if os.Getenv("WEIR_BENCH_TEST_RUN") != "" {
		child.Main(suites.Roles())
		os.Exit(run(os.Args[1:]))
	}
	benchtest.Main(m, suites.Roles())
}

// command is the program itself, with arguments.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "WEIR_BENCH_TEST_RUN=1")
	return cmd
}

func TestInterruptPrintsNoTable(t *testing.T) {
	cmd := command("-dur", "1m", "-conns", "1", "-subjects", "raw,net")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "the machine is described before anything is measured")
	require.Eventually(t, func() bool { return len(childrenOf(cmd.Process.Pid)) == 2 },
		time.Minute, time.Millisecond, "a server and a generator are running")

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	var rest []string
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, child.ExitInterrupted, exit.ExitCode())
	require.Empty(t, strings.Join(rest, ""))
	require.Contains(t, stderr.String(), "interrupted")
}

func TestBadFlagExitsWithUsage(t *testing.T) {
	out, err := command("-conns", "0").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, child.ExitUsage, exit.ExitCode())
	require.Equal(t, "bench: -conns 0: want 1 to 1048576\n", string(out))
}

// childrenOf lists the processes that a process has started.
func childrenOf(pid int) []string {
	var all []string
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // errs on bad patterns only
	for _, thread := range threads {
		pids, _ := os.ReadFile(thread) // a thread that has ended has no children
		all = append(all, strings.Fields(string(pids))...)
	}
	return all
}

func TestCommandIsWhatAPersonTypes(t *testing.T) {
	require.Equal(t, "go run ./bench -conns 8,64 -suite 'echo, udp'", commandLine([]string{"-conns", "8,64", "-suite", "echo, udp"}))
}
