package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"

	"github.com/peterh/liner"
	"github.com/seed-2334f180/weir/interp/lisp"
	"golang.org/x/sys/unix"
)

const (
	prompt     = "> "
	promptMore = "  " // within a list or string
)

const banner = "weir-lisp, a Lisp with sockets and select. (help) says more; Ctrl-D leaves."

// repl reads, evaluates and prints until the end of the input. It returns the
// exit status.
func repl(in *lisp.Interp, history string) int {
	// Programs have the terminal as it was; the line editor changes it.
	plain, err := unix.IoctlGetTermios(unix.Stdin, unix.TCGETS)
	if err != nil {
		return report(fmt.Errorf("terminal: %w", err))
	}
	editor := liner.NewLiner()
	defer editor.Close()
	editing, err := unix.IoctlGetTermios(unix.Stdin, unix.TCGETS)
	if err != nil {
		return report(fmt.Errorf("terminal: %w", err))
	}
	if editing.Lflag&unix.ICANON == 0 {
		// Ctrl-C is the editor's from when the prompt is seen: the editor itself
		// takes it a little later, and what is pressed before would be lost.
		editing.Lflag &^= unix.ISIG
	}
	editor.SetCtrlCAborts(true)
	editor.SetTabCompletionStyle(liner.TabPrints)
	editor.SetWordCompleter(func(line string, pos int) (string, []string, string) { return complete(in, line, pos) })
	loadHistory(editor, history)
	defer saveHistory(editor, history)

	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, unix.SIGINT)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, unix.SIGTERM, unix.SIGHUP)
	go func() {
		<-ends
		setTerminal(plain)
		os.Exit(1)
	}()

	fmt.Println(banner)
	for {
		setTerminal(editing)
		text, err := readForms(editor)
		setTerminal(plain)
		switch {
		case errors.Is(err, liner.ErrPromptAborted):
			continue
		case errors.Is(err, io.EOF):
			fmt.Println()
			return 0
		case err != nil:
			return report(err)
		}
		err = evalInterruptibly(in, interrupts, text)
		var exit *lisp.Exit
		if errors.As(err, &exit) {
			return exit.Code
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, describe(err, text))
		}
	}
}

// setTerminal changes the terminal's mode. If that fails there is no terminal any
// more, as the next read will tell.
func setTerminal(mode *unix.Termios) { unix.IoctlSetTermios(unix.Stdin, unix.TCSETS, mode) }

// readForms reads lines until all lists and strings have their end.
func readForms(editor *liner.State) (string, error) {
	text := ""
	for ask := prompt; ; ask = promptMore {
		line, err := editor.Prompt(ask)
		if errors.Is(err, io.EOF) && text != "" {
			// The end of the input within a list: it is evaluated as it is, which
			// says what lacks.
			fmt.Println()
			return text, nil
		}
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(line) != "" {
			editor.AppendHistory(line)
		}
		if text += line; !lisp.Incomplete(text) {
			return text, nil
		}
		text += "\n"
	}
}

// evalInterruptibly evaluates the forms of a text and prints the value of each.
// Ctrl-C ends that.
func evalInterruptibly(in *lisp.Interp, interrupts <-chan os.Signal, text string) error {
	select {
	case <-interrupts: // one from before
	default:
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-interrupts:
			cancel()
		case <-ctx.Done():
		}
	})
	// It must have ended, or it could take the interrupt of the next evaluation.
	defer watching.Wait()
	defer cancel()
	return in.EvalEach(ctx, "", text, func(v lisp.Value) error {
		_, err := fmt.Println(lisp.Print(v))
		return err
	})
}

// describe returns an error with the calls that were in progress. It leaves the number
// of the line out where there is but one.
func describe(err error, text string) string {
	var e *lisp.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	lines := e.Backtrace()
	if e.File == "" && text != "" && !strings.Contains(text, "\n") {
		shown := *e
		shown.Line = 0
		lines = strings.ReplaceAll(shown.Backtrace(), ", called at line 1", "")
	}
	return lines
}

// complete completes the name before the cursor.
func complete(in *lisp.Interp, line string, pos int) (head string, names []string, tail string) {
	runes := []rune(line)
	start := pos
	for start > 0 && !strings.ContainsRune(" \t()'\"", runes[start-1]) {
		start--
	}
	word := string(runes[start:pos])
	for _, name := range in.Names() {
		if strings.HasPrefix(name, word) {
			names = append(names, name)
		}
	}
	return string(runes[:start]), names, string(runes[pos:])
}

// A history that cannot be read or written is none: the prompt works without.

func loadHistory(editor *liner.State, path string) {
	if file, err := os.Open(path); err == nil {
		editor.ReadHistory(file)
		file.Close()
	}
}

func saveHistory(editor *liner.State, path string) {
	if path == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		editor.WriteHistory(file)
		file.Close()
	}
}
