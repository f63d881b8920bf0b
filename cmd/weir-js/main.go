// Weir-js runs a JavaScript program that uses the network, by package interp/js.
//
//	weir-js echo.js 7007
//
// A program has require("net") and require("events") in the manner of Node, Buffer,
// console, setTimeout and its kin, and process.argv and process.exit.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/interp/js"
	"golang.org/x/sys/unix"
)

const usage = `Weir-js runs a JavaScript program that uses the network.

usage: weir-js [-help] FILE [ARGUMENT ...]

The file - is the standard input. The program finds the arguments in process.argv,
from index 2. It has require("net") and require("events") in the manner of Node,
Buffer, console, setTimeout and its kin, and process.exit. It ends when nothing is
left that it waits for. An echo server:

    require("net").createServer((socket) => socket.pipe(socket)).listen(7007)

The exit status is 0; 1 after an exception that the program does not catch, which is
printed with its stack; 2 for a wrong command line; 128 plus the signal's number after
SIGINT or SIGTERM; or what the program gives to process.exit.
`

func main() { os.Exit(run(os.Args[1:])) }

// A signalled is the error of a program that a signal has ended.
type signalled struct{ syscall.Signal }

func (s signalled) Error() string { return s.String() }

// run returns the process's exit status.
func run(args []string) int {
	flags := flag.NewFlagSet("weir-js", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(usage)
		return 0
	}
	if err == nil && flags.NArg() == 0 {
		err = errors.New("want a file to run")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "weir-js: %v (-help shows the usage)\n", err)
		return 2
	}
	name, source, err := read(flags.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "weir-js:", err)
		return 1
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer builtins.OnSignal(func(s os.Signal) { cancel(signalled{s.(syscall.Signal)}) }, unix.SIGINT, unix.SIGTERM)()
	err = js.Run(ctx, name, source, js.Options{Args: flags.Args()[1:]})
	var exit *js.Exit
	var signal signalled
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.Code
	}
	text := strings.TrimSpace(err.Error())
	text = strings.Replace(text, "SyntaxError: SyntaxError: ", "SyntaxError: ", 1) // goja says it twice
	fmt.Fprintln(os.Stderr, text)
	if errors.As(err, &signal) {
		return 128 + int(signal.Signal)
	}
	return 1
}

// read returns the name and the text of a program.
func read(file string) (name, source string, err error) {
	var text []byte
	if name = file; file == "-" {
		name = "stdin"
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	return name, string(text), err
}
