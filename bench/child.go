package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What is measured runs in processes of its own: this program once more, with a role. A child
// reads its order from the standard input, one JSON value, and answers with JSON lines on the
// standard output. The input stays open: every other value on it asks the child to settle its
// memory; its end tells the child that its parent has no more use for it, or is dead.

// roles are what a child can be.
var roles = map[string]role{
	"echo-server":     serving("echo", func(s subject) serveFunc { return s.serveEcho }),
	"pipeline-server": serving("pipeline", func(s subject) serveFunc { return s.servePipeline }),
	"udp-server":      serving("udp", func(s subject) serveFunc { return s.serveUDP }),
	"echo-load":       generating(openStreams),
	"churn-load":      generating(openChurn),
	"udp-load":        generating(openDatagrams),
	"idle-load":       ordered(idle),
	"wait":            ordered(measureWaits),
	"receive":         ordered(measureReceives),
	"select":          ordered(measureFinds),
	"lua-select":      ordered(runLuaSelect),
	"lua-server":      ordered(runLuaServer),
	"lisp-calls":      ordered(measureLisp),
}

const roleVariable = "WEIR_BENCH_ROLE"

type role func(order json.RawMessage, answer answerFunc) error

// An answerFunc sends one value to the parent.
type answerFunc func(value any) error

// oneAtATime lets several goroutines answer.
func oneAtATime(answer answerFunc) answerFunc {
	var mu sync.Mutex
	return func(value any) error {
		mu.Lock()
		defer mu.Unlock()
		return answer(value)
	}
}

// ordered makes a role of a function that takes an order of type T.
func ordered[T any](f func(order T, answer answerFunc) error) role {
	return func(raw json.RawMessage, answer answerFunc) error {
		var order T
		if err := json.Unmarshal(raw, &order); err != nil {
			return err
		}
		return f(order, answer)
	}
}

// runRole is the child's main; it returns the exit code.
func runRole(name string) int {
	role, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "%s=%q: no such role\n", roleVariable, name)
		return exitUsage
	}
	input := json.NewDecoder(os.Stdin)
	var order json.RawMessage
	if err := input.Decode(&order); err != nil {
		fmt.Fprintln(os.Stderr, "order:", err)
		return exitUsage
	}
	answer := oneAtATime(json.NewEncoder(os.Stdout).Encode)
	go func() {
		var settle struct{}
		for input.Decode(&settle) == nil && answer(settled()) == nil {
			continue
		}
		os.Exit(0)
	}()
	if err := role(order, answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return 0
}

// A place is where a child runs: its core, and how many threads at once run its Go code (0 is
// the runtime's default).
type place struct{ core, threads int }

// A child is a running process with a role.
type child struct {
	role    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers *json.Decoder
	stderr  *bytes.Buffer // to be read when the process has ended
}

// startChild starts a process and gives it its order. The end of ctx kills it; the caller must
// call stop in any case.
func startChild(ctx context.Context, where place, role string, order any) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{role: role, cmd: exec.CommandContext(ctx, program), stderr: new(bytes.Buffer)}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	if where.threads > 0 {
		c.cmd.Env = append(c.cmd.Env, "GOMAXPROCS="+strconv.Itoa(where.threads))
	}
	c.cmd.Stderr = c.stderr
	// The end of stdin ends a child that is in order; this one also a child that hangs.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.cmd.WaitDelay = time.Second
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.answers = json.NewDecoder(stdout)
	if err := pinned(where.core, c.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	if err := json.NewEncoder(c.stdin).Encode(order); err != nil {
		return nil, c.failed(err)
	}
	return c, nil
}

// pinned calls start on a thread that may run on one core only. A process inherits that from
// the thread that makes it, before it has threads of its own, so none of those can escape.
func pinned(core int, start func() error) error {
	if core == anywhere {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("core %d: %w", core, os.NewSyscallError("sched_setaffinity", err))
	}
	err := start()
	return errors.Join(err, os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &before)))
}

// answer waits for the child's next value.
func (c *child) answer(value any) error {
	if err := c.answers.Decode(value); err != nil {
		return c.failed(err)
	}
	return nil
}

// settle asks a child to give back the memory that it does not need, and tells what it has.
func (c *child) settle() (memory, error) {
	if err := json.NewEncoder(c.stdin).Encode(struct{}{}); err != nil {
		return memory{}, c.failed(err)
	}
	var m memory
	return m, c.answer(&m)
}

// failed stops a child that broke off, and explains with the child's own words if it left any.
func (c *child) failed(err error) error {
	stopped := c.stop()
	if words := strings.TrimSpace(c.stderr.String()); words != "" {
		return fmt.Errorf("%s: %s", c.role, words)
	}
	return fmt.Errorf("%s: %w", c.role, errors.Join(err, stopped))
}

// stop ends the child and waits until it is gone. It may be called again.
func (c *child) stop() error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	c.stdin.Close() //nolint:errcheck // of a pipe whose other end may be gone
	patience := time.AfterFunc(2*time.Second, func() { c.cmd.Process.Kill() })
	defer patience.Stop()
	return c.cmd.Wait()
}

// ask starts a child that has one answer, and returns that.
func ask[A any](ctx context.Context, where place, role string, order any) (A, error) {
	var a A
	c, err := startChild(ctx, where, role, order)
	if err != nil {
		return a, err
	}
	defer c.stop() //nolint:errcheck // it has answered: how it ends does not matter
	return a, c.answer(&a)
}
