package child

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

	"github.com/seed-2334f180/weir/bench/machine"
	"golang.org/x/sys/unix"
)

// roleVariable names the environment variable that tells a child its role.
const roleVariable = "WEIR_BENCH_ROLE"

// A Role is what a child does: it gets its order as JSON and sends answers. A child whose role
// returns an error writes the error to its standard error and ends with ExitFailed.
type Role func(order json.RawMessage, answer Answer) error

// An Answer sends one value to the parent.
type Answer func(value any) error

// oneAtATime lets several goroutines answer.
func oneAtATime(answer Answer) Answer {
	var mu sync.Mutex
	return func(value any) error {
		mu.Lock()
		defer mu.Unlock()
		return answer(value)
	}
}

// Ordered makes a role of a function that takes an order of type T.
func Ordered[T any](f func(order T, answer Answer) error) Role {
	return func(raw json.RawMessage, answer Answer) error {
		var order T
		if err := json.Unmarshal(raw, &order); err != nil {
			return err
		}
		return f(order, answer)
	}
}

// Main plays the role that the parent chose, and ends the process. In a process that is no
// child it does nothing.
func Main(roles map[string]Role) {
	if name := os.Getenv(roleVariable); name != "" {
		os.Exit(runRole(name, roles))
	}
}

// runRole returns the exit code.
func runRole(name string, roles map[string]Role) int {
	play, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "%s=%q: no such role\n", roleVariable, name)
		return ExitUsage
	}
	input := json.NewDecoder(os.Stdin)
	var order json.RawMessage
	if err := input.Decode(&order); err != nil {
		fmt.Fprintln(os.Stderr, "order:", err)
		return ExitUsage
	}
	answer := oneAtATime(json.NewEncoder(os.Stdout).Encode)
	go func() {
		var settle struct{}
		for input.Decode(&settle) == nil && answer(machine.Settle()) == nil {
			continue
		}
		os.Exit(0)
	}()
	if err := play(order, answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitFailed
	}
	return 0
}

// A Place is where and how a child runs.
type Place struct {
	Cores   []int          // that it may use; nil is any
	Threads int            // GOMAXPROCS; 0 is the runtime's default
	Quota   *machine.Quota // of processor time; nil is none
}

// A Process is a running process with a role.
type Process struct {
	role    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers *json.Decoder
	stderr  *bytes.Buffer // to be read when the process has ended
}

// Start starts a process and gives it its order. The end of ctx kills it; the caller must
// call Stop in any case.
func Start(ctx context.Context, where Place, role string, order any) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &Process{role: role, cmd: exec.CommandContext(ctx, program), stderr: new(bytes.Buffer)}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	if where.Threads > 0 {
		c.cmd.Env = append(c.cmd.Env, "GOMAXPROCS="+strconv.Itoa(where.Threads))
	}
	c.cmd.Stderr = c.stderr
	// The end of stdin ends a child. If the child hangs, the kernel kills it when this process dies.
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
	if err := pinned(where.Cores, c.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	if where.Quota != nil { // the child waits for its order meanwhile
		if err := where.Quota.Add(c.Pid()); err != nil {
			return nil, errors.Join(fmt.Errorf("start %s: %w", role, err), c.Stop())
		}
	}
	if err := json.NewEncoder(c.stdin).Encode(order); err != nil {
		return nil, c.failed(err)
	}
	return c, nil
}

// pinned calls start on a thread that may use these cores only. The new process inherits that
// before it has threads of its own, so it holds for all of them.
func pinned(cores []int, start func() error) error {
	if cores == nil {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	for _, core := range cores {
		only.Set(core)
	}
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("cores %v: %w", cores, os.NewSyscallError("sched_setaffinity", err))
	}
	err := start()
	return errors.Join(err, os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &before)))
}

// Answer waits for the child's next value.
func (c *Process) Answer(value any) error {
	if err := c.answers.Decode(value); err != nil {
		return c.failed(err)
	}
	return nil
}

// Pid returns the process id.
func (c *Process) Pid() int { return c.cmd.Process.Pid }

// Settle asks the child to return unused memory to the kernel, and returns what memory it has
// then.
func (c *Process) Settle() (machine.Memory, error) {
	if err := json.NewEncoder(c.stdin).Encode(struct{}{}); err != nil {
		return machine.Memory{}, c.failed(err)
	}
	var m machine.Memory
	return m, c.Answer(&m)
}

// failed stops a child that gave no answer. It returns the error text that the child wrote, if
// any.
func (c *Process) failed(err error) error {
	stopped := c.Stop()
	if words := strings.TrimSpace(c.stderr.String()); words != "" {
		return fmt.Errorf("%s: %s", c.role, words)
	}
	return fmt.Errorf("%s: %w", c.role, errors.Join(err, stopped))
}

// Stop ends the child and waits until it is gone. Further calls do nothing.
func (c *Process) Stop() error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	c.stdin.Close() //nolint:errcheck // of a pipe whose other end may be gone
	patience := time.AfterFunc(2*time.Second, func() { c.cmd.Process.Kill() })
	defer patience.Stop()
	return c.cmd.Wait()
}

// Ask starts a child that gives one answer, and returns that answer.
func Ask[A any](ctx context.Context, where Place, role string, order any) (A, error) {
	var a A
	c, err := Start(ctx, where, role, order)
	if err != nil {
		return a, err
	}
	defer c.Stop() //nolint:errcheck // it has answered: how it ends does not matter
	return a, c.Answer(&a)
}

// The exit codes of the program and of its children, beside 0. ExitInterrupted is the one that
// shells use for SIGINT: 128 + 2.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitInterrupted = 130
)
