// Weir-lisp runs scripts in the Lisp of package interp/lisp. Without a script it shows
// a prompt, at which a person can enter forms.
//
//	weir-lisp                     # a prompt, with line editing and history
//	weir-lisp server.lisp 7007    # a script with arguments
//	weir-lisp -e '(+ 1 2)'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/interp/lisp"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

func main() {
	opts, err := parseOptions(os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "weir-lisp:", err)
		os.Exit(2)
	}
	os.Exit(run(opts))
}

// run returns the process's exit status.
func run(opts options) int {
	if opts.reference {
		if err := lisp.WriteReference(os.Stdout); err != nil {
			return report(err)
		}
		return 0
	}
	in := lisp.New(lisp.Options{MaxString: opts.maxString})
	defer in.Close()
	if err := in.Set("*args*", opts.args); err != nil {
		return report(err)
	}
	interactive := term.IsTerminal(unix.Stdin) && term.IsTerminal(unix.Stdout)
	if interactive && opts.script == "" && len(opts.exprs) == 0 {
		return repl(in, opts.history)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	// The first signal ends the script, and its cleanup forms run.
	defer builtins.OnSignal(func(s os.Signal) { cancel(signalled{s.(syscall.Signal)}) }, unix.SIGINT, unix.SIGTERM)()
	for _, expr := range opts.exprs {
		v, err := in.EvalSource(ctx, "-e", expr)
		if err != nil {
			return report(err)
		}
		if _, err := fmt.Println(lisp.Print(v)); err != nil {
			return report(fmt.Errorf("-e: %w", err))
		}
	}
	var err error
	switch {
	case opts.script != "" && opts.script != "-":
		_, err = in.Load(ctx, opts.script)
	case opts.script == "-" || len(opts.exprs) == 0:
		err = evalInput(ctx, in)
	}
	if err != nil {
		return report(err)
	}
	return 0
}

// maxInput bounds a script on standard input, as Load bounds a file.
const maxInput = 16 << 20

func evalInput(ctx context.Context, in *lisp.Interp) error {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("more than %d bytes", maxInput)
	}
	if err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	_, err = in.EvalSource(ctx, "stdin", string(text))
	return err
}

// A signalled is the error of an evaluation that a signal ended.
type signalled struct{ syscall.Signal }

func (s signalled) Error() string { return s.Signal.String() }

// report prints an error, with the calls that were in progress, and returns the exit
// status. The status is 1 for most errors, and after a signal 128 plus the signal's
// number, as in shells. For the function exit, report prints nothing, and the status
// is the argument of exit.
func report(err error) int {
	var exit *lisp.Exit
	if errors.As(err, &exit) {
		return exit.Code
	}
	text := describe(err, "")
	var e *lisp.Error
	if !errors.As(err, &e) || e.File == "" { // not of a place in a script, which tells more than the program's name
		text = "weir-lisp: " + text
	}
	fmt.Fprintln(os.Stderr, text)
	var s signalled
	if errors.As(err, &s) {
		return 128 + int(s.Signal)
	}
	return 1
}
