package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestMain lets the test's binary be a child, as the program's binary is.
func TestMain(m *testing.M) {
	realSubjects = subjectNames()
	subjects = append(subjects, wrongSubjects...)
	roles["test-parent"] = ordered(beParent)
	if os.Getenv("WEIR_BENCH_TEST_RUN") != "" && os.Getenv(roleVariable) == "" {
		os.Exit(run(os.Args[1:]))
	}
	if name := os.Getenv(roleVariable); name != "" {
		os.Exit(runRole(name))
	}
	// A process of a race build sleeps for a second before it exits, unless told not to.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// command is the program itself, with arguments.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "WEIR_BENCH_TEST_RUN=1")
	return cmd
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
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
		5*time.Second, time.Millisecond, "a server and a generator are running")

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	var rest []string
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, exitInterrupted, exit.ExitCode())
	require.Empty(t, strings.Join(rest, ""))
	require.Contains(t, stderr.String(), "interrupted")
}

func TestBadFlagExitsWithUsage(t *testing.T) {
	out, err := command("-conns", "0").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, exitUsage, exit.ExitCode())
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

// requireNoChildren fails if this process has a child left, running or not waited for.
func requireNoChildren(t *testing.T) {
	t.Helper()
	_, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
	require.ErrorIs(t, err, syscall.ECHILD)
}
