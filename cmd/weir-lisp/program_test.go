package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/stretchr/testify/require"
)

// patience is the longest time that a test waits for an event that must happen.
const patience = time.Minute

func TestMain(m *testing.M) { weirtest.ProgramMain(m, main) }

// command returns a command that runs the program with arguments and an empty home
// directory.
func command(t *testing.T, args ...string) *exec.Cmd {
	cmd := weirtest.Command(t.Context(), args...)
	cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+t.TempDir(), "TERM=xterm")
	cmd.WaitDelay = patience
	return cmd
}

// runProgram runs the program until it ends.
func runProgram(t *testing.T, input string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := command(t, args...)
	var out, errors bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errors
	err := cmd.Run()
	if _, failed := err.(*exec.ExitError); !failed {
		require.NoError(t, err)
	}
	return out.String(), errors.String(), cmd.ProcessState.ExitCode()
}

func script(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "script.lisp")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestPrograms(t *testing.T) {
	broken := script(t, "#!/usr/bin/env weir-lisp\n(print 1)\n(defun f (x)\n  (car x))\n(f 5)\n")
	echo := script(t, "(print *args*)")
	upper := script(t, "(let ((line nil)) (while (setq line (read-line *stdin*)) (write-line *stdout* (upcase line))))")
	for _, c := range []struct {
		name           string
		input          string
		args           []string
		stdout, stderr string
		status         int
	}{
		{"expressions", "", []string{"-e", "(setq x 1)", "-e", "(list x \"a\")"}, "1\n(1 \"a\")\n", "", 0},
		{"a wrong expression", "", []string{"-e", "(car", "-e", "1"}, "", "-e:1: a list has no end\n", 1},
		{"a script's arguments", "", []string{echo, "-e", "b"}, "(\"-e\" \"b\")\n", "", 0},
		{"no arguments", "", []string{echo}, "nil\n", "", 0},
		{"an expression, then a script", "", []string{"-e", "1", echo}, "1\nnil\n", "", 0},
		{"a broken script", "", []string{broken}, "1\n", broken + ":4: car: want a list, got 5\n  in f, called at " + broken + ":5\n", 1},
		{"no script", "", []string{"/no/such"}, "", "weir-lisp: open /no/such: no such file or directory\n", 1},
		{"input", "(print 'a)\n(print\n 'b)", nil, "a\nb\n", "", 0},
		{"input by name", "(print *args*)", []string{"-", "x"}, "(\"x\")\n", "", 0},
		{"broken input", "\n(foo)", nil, "", "stdin:2: foo has no value\n", 1},
		{"a script that reads its input", "one\ntwo", []string{upper}, "ONE\nTWO\n", "", 0},
		{"a status", "(exit 7)", nil, "", "", 7},
		{"the input buffer", "", []string{"-t", "123", "-e", "(get (make-instance socket 'inet 'dgram 0) 'maxstring)"}, "123\n", "", 0},
		{"a wrong size", "", []string{"-t", "0"}, "", "weir-lisp: -t 0: want 1 to 268435456\n", 2},
		{"a wrong flag", "", []string{"-x"}, "", "weir-lisp: flag provided but not defined: -x (-help shows the flags)\n", 2},
		{"deep recursion", "(defun f (n) (+ 1 (f n)))\n(f 1)", nil, "", "stdin:1: recursion deeper than 20000\n  in f, called at stdin:1, and 99 more such calls\n  ...\n", 1},
		{"a thread's error", "(catch-error (e) (join (thread (car 5))))", nil, "", "", 0},
		{"threads end with the script", "(thread (while t))", nil, "", "", 0},
		{"exit ends the other threads", "(thread (while t)) (thread (select nil nil nil)) (exit 3)", nil, "", "", 3},
		{"exit in a thread", "(setq x (thread (exit 3))) (princ (catch-error (e e) (join x)))", nil, "thread: stdin:1: exit 3", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, status := runProgram(t, c.input, c.args...)
			require.Equal(t, c.stdout, stdout)
			if c.name != "a thread's error" { // the error is printed if the thread ends before join
				require.Equal(t, c.stderr, stderr)
			}
			require.Equal(t, c.status, status)
		})
	}
}

// The option -reference prints a file of the documentation.
func TestReference(t *testing.T) {
	stdout, stderr, status := runProgram(t, "", "-reference")
	require.Empty(t, stderr)
	require.Zero(t, status)
	file, err := os.ReadFile("../../docs/lisp.md")
	require.NoError(t, err)
	require.Equal(t, string(file), stdout)
}

// The program reports an error if it cannot write a value, as the function print does.
func TestFullOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	for expr, where := range map[string]string{"1": "weir-lisp: -e: ", "(print 1)": "-e:1: print: "} {
		cmd := command(t, "-e", expr)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = full, &stderr
		require.Error(t, cmd.Run(), expr)
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), expr)
		require.Equal(t, where+"write /dev/stdout: no space left on device\n", stderr.String())
	}
}

func TestHelp(t *testing.T) {
	for _, flag := range []string{"--help", "-help", "-h"} {
		stdout, stderr, status := runProgram(t, "", flag)
		require.Empty(t, stderr)
		require.Zero(t, status)
		for _, words := range []string{"usage: weir-lisp [flags] [FILE [ARGUMENT ...]]", "-e expression", "-t bytes", "-history file", "-reference", "Ctrl-C"} {
			require.Contains(t, stdout, words)
		}
	}
}

// A signal interrupts a script that is blocked. The script's cleanup forms run, and
// the exit status is 128 plus the signal's number. A second signal ends the script at
// once.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := command(t, "-e", "(unwind-protect (progn (print 'ready) (select nil nil nil)) (print 'cleaned))")
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			ready := make([]byte, len("ready\n"))
			_, err = io.ReadFull(out, ready)
			require.NoError(t, err)
			require.NoError(t, cmd.Process.Signal(sig))
			rest, err := io.ReadAll(out)
			require.NoError(t, err)
			require.Equal(t, "cleaned\n", string(rest))
			require.Error(t, cmd.Wait())
			require.Equal(t, 128+int(sig), cmd.ProcessState.ExitCode())
			require.Equal(t, "-e:1: interrupted: "+sig.String()+"\n", stderr.String())
		})
	}
	t.Run("twice", func(t *testing.T) {
		cmd := command(t, "-e", "(unwind-protect (progn (print 'ready) (while t)) (print 'again) (while t))")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		for _, words := range []string{"ready\n", "again\n"} {
			got := make([]byte, len(words))
			_, err = io.ReadFull(out, got)
			require.NoError(t, err)
			require.Equal(t, words, string(got))
			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		}
		require.Error(t, cmd.Wait())
		require.Equal(t, syscall.SIGINT, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	})
}
