package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

type options struct {
	exprs     []string // to evaluate before the script
	maxString int
	history   string // a file; empty for no history
	script    string // a file, "-" for standard input, or empty for none
	args      []string
	reference bool // print the language's reference
}

// parseOptions parses the command line. It prints help to out. Its errors name the
// flag and the value.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("weir-lisp", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the caller prints the error, once and without the help text
	fs.Func("e", "evaluate this `expression` and print its value; may be given several times", func(s string) error {
		o.exprs = append(o.exprs, s)
		return nil
	})
	fs.IntVar(&o.maxString, "t", 4096, "the size in `bytes` of a socket's input buffer, without a 'maxstring")
	fs.BoolVar(&o.reference, "reference", false, "print the reference of the language, in Markdown")
	fs.StringVar(&o.history, "history", historyFile(), "keep the prompt's history in this `file`; \"\" for none")

	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		printHelp(fs, out)
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w (-help shows the flags)", err)
	case o.maxString < 1 || o.maxString > 1<<28:
		return o, fmt.Errorf("-t %d: want 1 to %d", o.maxString, 1<<28)
	}
	if fs.NArg() > 0 {
		o.script, o.args = fs.Arg(0), fs.Args()[1:]
	}
	return o, nil
}

// historyFile returns the path of the history, in the directory that the XDG base
// directory specification gives for a program's state.
func historyFile() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "weir-lisp", "history")
}

func printHelp(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, `Weir-lisp is a small Lisp with a socket class and select.

usage: weir-lisp [flags] [FILE [ARGUMENT ...]]

    weir-lisp                          # a prompt
    weir-lisp -e '(+ 1 2)'
    weir-lisp server.lisp 7007

It evaluates the file, or standard input if that is -. The arguments are the list
*args*. Without a file and -e there is a prompt on a terminal: the tab key
completes names, Ctrl-C interrupts an evaluation or drops the input, Ctrl-D leaves.
At the prompt, (help) says how to find out more. What a script's threads still do
when it ends is interrupted: it should join those that matter. -reference prints
the description of the language.

The exit status is 0, 1 after an error, 2 for wrong flags, or what (exit STATUS)
says; in a thread that ends the thread alone. SIGINT or SIGTERM interrupts a
script, whose cleanup forms run; a second one ends it at once.

`)
	fs.SetOutput(out)
	fs.PrintDefaults()
}
