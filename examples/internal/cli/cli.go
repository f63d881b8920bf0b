// Package cli has what the command lines of the example programs share: help,
// errors of one line, and exit statuses.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/seed-2334f180/weir/internal/loglimit"
)

// mostLines is how many lines of one kind a program logs in loglimit.Every. Many clients
// may reset their connections at once.
const mostLines = 20

// Main is a program's main function. It exits with status 2 for a wrong command
// line, and with 1 if run fails. When help is asked for, parse writes it to its
// second argument and returns flag.ErrHelp.
func Main[O any](name string, parse func([]string, io.Writer) (O, error), run func(O) error) {
	opts, err := parse(os.Args[1:], os.Stdout)
	status := 2
	if err == nil {
		limited, stop := loglimit.New(slog.New(slog.NewTextHandler(os.Stderr, nil)), mostLines, loglimit.Every)
		slog.SetDefault(limited)
		err, status = run(opts), 1
		stop()
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(status)
	}
}

// Flags returns an empty set of flags for Parse.
func Flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // Main prints the error, once and without the help text
	return fs
}

// Parse reads a command line that has flags alone. When help is asked for, it calls
// about, which prints what the program does, lists the flags, and returns
// flag.ErrHelp.
func Parse(fs *flag.FlagSet, args []string, out io.Writer, about func(io.Writer)) error {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		about(out)
		fs.SetOutput(out)
		fs.PrintDefaults()
		return err
	case err != nil:
		return fmt.Errorf("%w (-help shows the flags)", err)
	case fs.NArg() > 0:
		return fmt.Errorf("%q: there are no arguments beside the flags (-help shows them)", fs.Arg(0))
	}
	return nil
}

// SplitAddress splits host:port. The port is a number from least to 65535. Errors
// show an address with the port example.
func SplitAddress(address string, least, example int) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf(`want host:port, such as "127.0.0.1:%d" or "[::1]:%d"`, example, example)
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil || int(n) < least {
		return "", 0, fmt.Errorf("port %q: want %d to 65535", service, least)
	}
	return host, int(n), nil
}

// StopSignals returns the signals on which a program ends in good order: SIGINT, SIGTERM,
// and SIGHUP, which the kernel sends when the terminal is closed. A program that nohup(1)
// has started goes on after SIGHUP.
func StopSignals() []os.Signal {
	list := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}
