package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	up    = "\x1b[A"
)

var size = pty.Winsize{Rows: 24, Cols: 200}

// A session is a run of the program on a terminal.
type session struct {
	t        *testing.T
	cmd      *exec.Cmd
	terminal *os.File
	gone     chan struct{}

	mu     sync.Mutex
	screen bytes.Buffer // output after the last awaited words
	more   chan struct{}
}

func open(t *testing.T, args ...string) *session {
	return openCommand(t, command(t, args...))
}

func openCommand(t *testing.T, cmd *exec.Cmd) *session {
	s := &session{t: t, cmd: cmd, gone: make(chan struct{}), more: make(chan struct{}, 1)}
	var err error
	s.terminal, err = pty.StartWithSize(cmd, &size)
	require.NoError(t, err)
	go func() {
		defer close(s.gone)
		buf := make([]byte, 4096)
		for {
			n, err := s.terminal.Read(buf)
			s.mu.Lock()
			s.screen.Write(buf[:n])
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
			if err != nil { // EIO: the program has ended
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		s.terminal.Close()
		<-s.gone
	})
	return s
}

// await waits for words on the screen. It drops the words and all output before them.
func (s *session) await(words string) {
	s.t.Helper()
	expired := time.After(patience)
	for {
		s.mu.Lock()
		text := s.screen.String()
		i := strings.Index(text, words)
		if i >= 0 {
			s.screen.Next(i + len(words))
		}
		s.mu.Unlock()
		if i >= 0 {
			return
		}
		select {
		case <-s.more:
		case <-s.gone:
			require.Contains(s.t, text, words, "the program has ended")
		case <-expired:
			require.Contains(s.t, text, words)
		}
	}
}

func (s *session) send(keys string) {
	s.t.Helper()
	_, err := s.terminal.WriteString(keys)
	require.NoError(s.t, err)
}

// says enters a line and waits for output. The line must not contain that output,
// because the terminal echoes the line.
func (s *session) says(line, want string) {
	s.t.Helper()
	require.NotContains(s.t, line, want)
	s.send(line + "\r")
	s.await(want)
	s.await(prompt)
}

// ended waits for the program's end and returns its exit status.
func (s *session) ended() int {
	s.t.Helper()
	select {
	case <-s.gone:
	case <-time.After(patience):
		require.Fail(s.t, "the program does not end")
	}
	s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

func TestPrompt(t *testing.T) {
	s := open(t)
	s.await(prompt)
	s.says("(+ 20 22)", "42\r\n")
	s.says("(car 5)", "\r\ncar: want a list, got 5\r\n")
	s.says("(setq x \"a€\")", "\"a€\"\r\n")
	s.says("(list x x)", "(\"a€\" \"a€\")\r\n")
	s.says("", "\n")

	// A list may extend over several lines.
	s.send("(list 1\r")
	s.await("\r\n" + promptMore)
	s.says("  (+ 1 1))", "(1 2)\r\n")
	s.send("(progn\r")
	s.await("\r\n" + promptMore)
	s.says("(nothing))", "line 2: nothing has no value\r\n")

	// A key brings the previous line back for editing.
	s.says("(+ 1 6)", "7\r\n")
	s.send(up + "\x7f0)")
	s.says("", "61\r\n")
	// The tab key completes a name.
	s.says("(string-tr\t \" b \")", "\"b\"\r\n")

	s.send(ctrlD)
	require.Zero(t, s.ended())
}

// The prompt prints the values of all forms of a line. A list that Ctrl-D ends is an
// error, and the prompt continues. An error in a function names the function's
// callers.
func TestPromptValues(t *testing.T) {
	s := open(t)
	s.await("(help) says more")
	s.await(prompt)
	s.says("1 (+ 1 1) \"x\"", "1\r\n2\r\n\"x\"\r\n")
	s.says("(+ 20 22) (car 5)", "42\r\ncar: want a list, got 5\r\n")
	s.send("(list 1\r")
	s.await("\r\n" + promptMore)
	s.send(ctrlD)
	s.await("\r\nline 1: a list has no end\r\n")
	s.await(prompt)
	s.says("(progn (defun f (x) (car x)) (defun g (x) (list (f x))))", "g\r\n")
	s.says("(g 6)", "\r\ncar: want a list, got 6\r\n  in f\r\n  in g\r\n")
	s.send(ctrlD)
	require.Zero(t, s.ended())
}

func TestPromptExit(t *testing.T) {
	s := open(t)
	s.await(prompt)
	s.send("(exit 3)\r")
	require.Equal(t, 3, s.ended())
}

// Ctrl-C ends an evaluation that is blocked, or that loops for ever. The prompt comes
// back, and the interpreter keeps its variables.
func TestCtrlC(t *testing.T) {
	s := open(t)
	s.await(prompt)
	s.says("(setq l (make-instance socket 'inet 'stream 0 'address \"127.0.0.1\" 'port 0) n (listen l 5))", "\nt\r\n")
	s.says("(setq a (make-instance socket 'inet 'stream 0) n (connect a \"127.0.0.1\" (get l 'port)) b (accept l) n 5)", "\n5\r\n")
	s.says("(setq path \""+fullBacklog(t)+"\" n 6)", "\n6\r\n")
	for _, expr := range []string{
		"(accept l)", "(recv a (make-binary 4))", "(read-line a)", "(select (list a))", "(connect (make-instance socket 'unix 'stream 0) path)",
		"(while t)", "(progn (defun f () (f)) (f))", "(sleep 1e12)", "(fwrite a (make-binary 30000000))",
	} {
		s.send("(progn (print (* 6 7)) " + expr + ")\r")
		s.await("42\r\n")
		s.send(ctrlC)
		s.await("interrupted\r\n")
		s.await(prompt)
	}
	s.says("(progn (write-line b \"still\") (upcase (read-line a)))", "\"STILL\"\r\n")

	// At the prompt Ctrl-C drops the text that was entered.
	s.send("(list 1\r")
	s.await("\r\n" + promptMore)
	s.send("2" + ctrlC)
	s.await(prompt)
	s.says("(+ 1 1)", "2\r\n")
	s.send(ctrlD)
	require.Zero(t, s.ended())
}

// fullBacklog returns the path of a unix socket whose backlog is full: a connect to it
// waits.
func fullBacklog(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "full")
	to := &unix.SockaddrUnix{Name: path}
	for listening := false; ; {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		if listening {
			require.NoError(t, unix.Connect(fd, to))
			return path
		}
		require.NoError(t, unix.Bind(fd, to))
		require.NoError(t, unix.Listen(fd, 0))
		listening = true
	}
}

// The prompt also works on a terminal that the line editor does not support.
func TestPlainTerminal(t *testing.T) {
	cmd := command(t)
	cmd.Env = append(cmd.Env, "TERM=dumb")
	s := openCommand(t, cmd)
	s.await(prompt)
	s.says("(+ 40 2)", "42\r\n")
	s.send("(progn (print (* 6 7)) (while t))\r")
	s.await("42\r\n")
	s.send(ctrlC)
	s.await("interrupted\r\n")
	s.await(prompt)
	s.send(ctrlD)
	require.Zero(t, s.ended())
}

// The next session has the lines of the last one in its history.
func TestHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "history")
	s := open(t, "-history", file)
	s.await(prompt)
	s.says("(+ 40 2)", "42\r\n")
	s.send(ctrlD)
	require.Zero(t, s.ended())
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	s = open(t, "-history", file)
	s.await(prompt)
	s.send(up)
	s.says("", "42\r\n")
}

// The program restores the terminal when it ends, also when a signal ends it.
func TestTerminalIsRestored(t *testing.T) {
	for name, end := range map[string]func(*session){
		"ctrl-d":  func(s *session) { s.send(ctrlD) },
		"exit":    func(s *session) { s.send("(exit)\r") },
		"SIGTERM": func(s *session) { require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM)) },
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs, err := pty.Open()
			require.NoError(t, err)
			defer ours.Close()
			defer theirs.Close()
			require.NoError(t, pty.Setsize(theirs, &size))
			before, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
			require.NoError(t, err)

			cmd := command(t)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			require.NoError(t, cmd.Start())
			seen := make(chan struct{})
			go func() { // read the prompt and all later output: otherwise the program would block
				buf := make([]byte, 4096)
				for text, found := "", false; ; {
					n, err := ours.Read(buf)
					if text += string(buf[:n]); !found && strings.Contains(text, prompt) {
						found = true
						close(seen)
					}
					if err != nil {
						return
					}
				}
			}()
			<-seen
			during, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
			require.NoError(t, err)
			require.NotEqual(t, before, during)
			end(&session{t: t, cmd: cmd, terminal: ours})
			cmd.Wait()
			after, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
}
