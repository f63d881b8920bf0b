package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const patience = time.Minute

// filesOfProgram is the environment variable for the number of descriptors that the
// program may have.
const filesOfProgram = "WEIR_LUA_TEST_FILES"

func TestMain(m *testing.M) {
	weirtest.ProgramMain(m, func() {
		if n, err := strconv.ParseUint(os.Getenv(filesOfProgram), 10, 64); err == nil {
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
				panic(err)
			}
		}
		main()
	})
}

func command(args ...string) *exec.Cmd {
	cmd := weirtest.Command(context.Background(), args...)
	cmd.Args[0] = "weir-lua"
	return cmd
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
		return path
	}
	args := write("args.lua", "#! /usr/bin/env weir-lua\nprint(arg[-1], arg[0], #arg, arg[1], arg[2], ...)\n")
	fails := write("fails.lua", "local function inner()\n  error('no good')\nend\ninner()\n")
	broken := write("broken.lua", "x = = 1\n")
	table := write("table.lua", "error {}\n")
	sayer := write("sayer.lua", "error(setmetatable({}, { __tostring = function() return 'in words' end }))\n")
	deep := write("deep.lua", "local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end print(f(10000), pcall(pcall, f, 10000))")
	for _, c := range []struct {
		name   string
		args   []string
		stdin  string
		code   int
		stdout string
		stderr []string
	}{
		{"a file with arguments", []string{args, "one", "-e"}, "", 0, "weir-lua\t" + args + "\t2\tone\t-e\tone\t-e\n", nil},
		{"a file behind --", []string{"--", args}, "", 0, "weir-lua\t" + args + "\t0\tnil\tnil\n", nil},
		{"code", []string{"-e", "print(1 + 1)"}, "", 0, "2\n", nil},
		{"code twice, and a file", []string{"-e", "x = 1", "-e", "print(x, arg[0])", args}, "", 0, "1\t" + args + "\nweir-lua\t" + args + "\t0\tnil\tnil\n", nil},
		{"the standard input", []string{"-", "a"}, "print(arg[0], ...)", 0, "-\ta\n", nil},
		{"modules", []string{"-e", `print(require "socket" == require "socket.core", require "socket.unix".stream, require "mime.core".b64("x")) `}, "", 0, "true\tfunction", nil},
		{"a swap", []string{"-e", "local a, b = 1, 2 a, b = b, a print(a, b)"}, "", 0, "2\t1\n", nil},
		{"deep calls", []string{deep}, "", 0, "10000\ttrue\ttrue\t10000\n", nil},
		{"an exit code", []string{"-e", "os.exit(7)"}, "", 7, "", nil},
		{"no exit code", []string{"-e", "print(pcall(os.exit, {})) os.exit(true)"}, "", 1, "false\t", []string{"weir-lua: (command line):1: bad argument #1 to exit (number expected, got boolean)", "stack traceback:"}},
		{"an error", []string{fails}, "", 1, "", []string{"weir-lua: " + fails + ":2: no good", "stack traceback:", "fails.lua:2: in function 'inner'", "fails.lua:4: in main chunk"}},
		{"an error in code", []string{"-e", "error('x', 0)", args}, "", 1, "", []string{"weir-lua: x", "(command line)"}},
		{"a syntax error", []string{broken}, "", 1, "", []string{"broken.lua:1: syntax error near '='"}},
		{"an error that is a table", []string{table}, "", 1, "", []string{"weir-lua: (error object is a table value)"}},
		{"an error that has words", []string{sayer}, "", 1, "", []string{"weir-lua: in words"}},
		{"an uncaught exception", []string{"-e", `require "socket".try(nil, "refused")`}, "", 1, "", []string{"weir-lua: refused"}},
		{"no such file", []string{dir + "/none.lua"}, "", 1, "", []string{"none.lua: no such file or directory"}},
		{"help", []string{"--help"}, "", 0, usage, nil},
		{"help, with one hyphen", []string{"-help"}, "", 0, usage, nil},
		{"help, short", []string{"-h", "ignored"}, "", 0, usage, nil},
		{"nothing", nil, "", 2, "", []string{"there is nothing to run (-help shows the usage)"}},
		{"no code", []string{"-e"}, "", 2, "", []string{"-e: there is no code behind it"}},
		{"no such option", []string{"-x"}, "", 2, "", []string{`"-x": no such option`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd := command(c.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				require.NoError(t, err)
			}
			require.Equal(t, c.code, cmd.ProcessState.ExitCode(), stderr.String())
			if strings.HasSuffix(c.stdout, "\n") {
				require.Equal(t, c.stdout, stdout.String())
			} else {
				require.Contains(t, stdout.String(), c.stdout)
			}
			for _, words := range c.stderr {
				require.Contains(t, stderr.String(), words)
			}
			if c.stderr == nil {
				require.Empty(t, stderr.String())
			}
		})
	}
}

// A script need not close its sockets. The collector closes them before the process
// runs out of descriptors.
func TestForgottenSockets(t *testing.T) {
	for name, text := range map[string]string{
		"connect and accept": `
			local server = assert(socket.bind("127.0.0.1", 0))
			local host, port = server:getsockname()
			for i = 1, 1000 do
				local a = assert(socket.connect(host, port))
				local b = assert(server:accept())
				b:send("x\n")
				assert(a:receive() == "x")
			end`,
		"udp": `
			for i = 1, 1000 do assert(assert(socket.udp4()):sendto("x", "127.0.0.1", 9)) end`,
		"select": `
			for i = 1, 100 do
				local all = {}
				for j = 1, 20 do all[j] = assert(socket.udp4()) end
				socket.select(all, nil, 0)
			end`,
		"protected calls": `
			for i = 1, 1000 do
				assert(pcall(function(s) local u = assert(socket.udp4()) end, assert(socket.udp4())))
				pcall(function() local u = assert(socket.udp4()) error("x") end)
			end`,
		"coroutines": `
			for i = 1, 1000 do
				local co = coroutine.create(function() local u = assert(socket.udp4()) coroutine.yield() end)
				assert(coroutine.resume(co))
			end`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command("-e", `socket = require "socket" `+text+` print("done")`)
			cmd.Env = append(cmd.Env, filesOfProgram+"=64")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, "done\n", string(out))
		})
	}
}

// SIGINT ends a script that computes, and a script that waits.
func TestInterrupt(t *testing.T) {
	for name, text := range map[string]string{
		"a loop":      `while true do end`,
		"select":      `local socket = require "socket" socket.select({ socket.udp4() })`,
		"receive":     `local s = require "socket".udp4() s:receive()`,
		"sleep":       `require "socket".sleep(1000)`,
		"pcall":       `while true do pcall(require "socket".sleep, 1000) end`,
		"a coroutine": `coroutine.wrap(function() require "socket".sleep(1000) end)()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command("-e", "print('ready') io.stdout:flush() "+text)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
			defer kill.Stop()
			out := bufio.NewReader(stdout)
			line, err := out.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "ready\n", line)
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			io.Copy(io.Discard, out)
			cmd.Wait()
			require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), stderr.String())
			require.Contains(t, stderr.String(), "weir-lua: interrupted\n")
			require.Contains(t, stderr.String(), "stack traceback:")
		})
	}
}
