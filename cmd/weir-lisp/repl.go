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
	// plain is the mode for programs. The line editor changes the terminal's mode.
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
		// Without ISIG the editor gets Ctrl-C as a character as soon as the prompt is
		// visible. The editor clears ISIG itself a little later, and an earlier Ctrl-C
		// would be lost.
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

// setTerminal changes the terminal's mode. It ignores an error: the terminal is gone
// then, and the next read fails, too.
func setTerminal(mode *unix.Termios) { unix.IoctlSetTermios(unix.Stdin, unix.TCSETS, mode) }

// readForms reads lines until all lists and strings are complete.
func readForms(editor *liner.State) (string, error) {
	text := ""
	for ask := prompt; ; ask = promptMore {
		line, err := editor.Prompt(ask)
		if errors.Is(err, io.EOF) && text != "" {
			// The input ended within a list. Evaluating the text gives an error that
			// names the missing part.
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

// evalInterruptibly evaluates the forms of a text and prints the value of each form.
// Ctrl-C ends the evaluation.
func evalInterruptibly(in *lisp.Interp, interrupts <-chan os.Signal, text string) error {
	select {
	case <-interrupts: // drop an interrupt that came before the evaluation
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
	// Wait for the goroutine: otherwise it could take the interrupt of the next
	// evaluation.
	defer watching.Wait()
	defer cancel()
	return in.EvalEach(ctx, "", text, func(v lisp.Value) error {
		_, err := fmt.Println(lisp.Print(v))
		return err
	})
}

// describe returns the text of an error, with the calls that were in progress. It
// omits the line number if the text has only one line.
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

// The prompt works without a history if the file cannot be read or written.

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
