package main

import (
	"fmt"
	"io"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/cli"
)

type options struct {
	address string
	root    string
	header  time.Duration
	idle    time.Duration
	grace   time.Duration
}

// parseOptions reads the command line. Help goes to out; an error names the
// flag and the value.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	fs := cli.Flags("http")
	fs.StringVar(&o.address, "address", "127.0.0.1:8080",
		"listen at this `host:port`; an IPv6 host in brackets, no host for all\naddresses, port 0 for a free one")
	fs.StringVar(&o.root, "root", ".",
		"serve the files of this `directory`, and none outside it")
	fs.DurationVar(&o.header, "header-timeout", 10*time.Second,
		"close a connection whose request header is not complete after this `duration`;\n0 for never")
	fs.DurationVar(&o.idle, "idle", time.Minute,
		"close a connection without a request after this `duration`; 0 for the\nheader timeout")
	fs.DurationVar(&o.grace, "grace", 5*time.Second,
		"on SIGTERM, SIGINT or SIGHUP, give the requests this `duration` to end")

	err := cli.Parse(fs, args, out, about)
	switch {
	case err != nil:
		return o, err
	case o.header < 0:
		return o, fmt.Errorf("-header-timeout %v: want 0 or more", o.header)
	case o.idle < 0:
		return o, fmt.Errorf("-idle %v: want 0 or more", o.idle)
	case o.grace < 0:
		return o, fmt.Errorf("-grace %v: want 0 or more", o.grace)
	}
	if _, _, err := cli.SplitAddress(o.address, 0, 8080); err != nil {
		return o, fmt.Errorf("-address %q: %w", o.address, err)
	}
	return o, nil
}

// about prints what the program does.
func about(out io.Writer) {
	fmt.Fprint(out, `Http is a web server: net/http, whose idle connections Weir keeps.

usage: http [flags]

    http -address 127.0.0.1:8080 -root .

  /             the files of a directory
  /api/status   the server's state, as JSON
  /api/echo     the JSON that is sent there by POST

It prints the address that it listens on, and logs to the standard error. SIGTERM,
SIGINT or SIGHUP stops it: it accepts no more, waits for the requests in progress, at
most for the grace period, and exits with status 0. A second signal ends it at
once.

`)
}
