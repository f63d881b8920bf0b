package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { weirtest.ProgramMain(m, main) }

func command(t *testing.T, args ...string) *exec.Cmd {
	cmd := weirtest.Command(t.Context(), args...)
	cmd.WaitDelay = weirtest.Patience
	return cmd
}

func TestCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "args.js")
	require.NoError(t, os.WriteFile(file, []byte("#!/usr/bin/env weir-js\nconsole.log(process.argv.join(' '))\n"), 0o600))
	for name, c := range map[string]struct {
		args           []string
		stdin          string
		code           int
		stdout, stderr string // stderr: the beginning
	}{
		"arguments":      {[]string{file, "-a", "b"}, "", 0, "weir-js " + file + " -a b\n", ""},
		"its input":      {[]string{"-", "x"}, "console.log(process.argv[2])", 0, "x\n", ""},
		"a code":         {[]string{"-"}, "process.exit(7)", 7, "", ""},
		"an exception":   {[]string{"-"}, "\nnull.x", 1, "", "TypeError: Cannot read property 'x' of"},
		"a wrong syntax": {[]string{"-"}, "x = = 1", 1, "", "SyntaxError: stdin: Line 1:5"},
		"no file":        {nil, "", 2, "", "weir-js: want a file to run (-help shows the usage)\n"},
		"no such file":   {[]string{"/no/such.js"}, "", 1, "", "weir-js: open /no/such.js: no such file or directory\n"},
		"a wrong flag":   {[]string{"-x"}, "", 2, "", "weir-js: flag provided but not defined: -x (-help"},
		"-help":          {[]string{"-help"}, "", 0, usage, ""},
		"--help, later":  {[]string{"--help", file}, "", 0, usage, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, c.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
			var failed *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
				require.NoError(t, err)
			}
			require.Equal(t, c.code, cmd.ProcessState.ExitCode(), stderr.String())
			require.Equal(t, c.stdout, stdout.String())
			if c.stderr == "" {
				require.Empty(t, stderr.String())
			} else {
				require.True(t, strings.HasPrefix(stderr.String(), c.stderr), stderr.String())
			}
		})
	}
}

// The example of the help text runs, and a signal ends it.
func TestSignals(t *testing.T) {
	_, example, found := strings.Cut(usage, "An echo server:\n\n")
	require.True(t, found)
	example, _, _ = strings.Cut(example, "\n\n")
	server := strings.Replace(example, "listen(7007)", "listen(0, '127.0.0.1', () => console.log('ready'))", 1)
	require.NotEqual(t, example, server)
	for sig, source := range map[syscall.Signal]string{
		syscall.SIGTERM: server,
		syscall.SIGINT:  "console.log('ready'); for (;;) ;",
	} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			cmd := command(t, "-")
			cmd.Stdin = strings.NewReader(source)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(stdout).ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "ready\n", line)
			require.NoError(t, cmd.Process.Signal(sig))
			require.Error(t, cmd.Wait())
			require.Equal(t, 128+int(sig), cmd.ProcessState.ExitCode())
			require.Equal(t, sig.String()+"\n", stderr.String())
		})
	}
}
