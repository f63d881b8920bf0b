package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

type options struct {
	listen  string
	to      string
	connect time.Duration
	idle    time.Duration // 0 is none
	max     int
	grace   time.Duration
}

// parseOptions reads the command line. Help goes to out; an error names the
// flag and the value.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("proxy", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the caller prints the error, once and without the help text
	fs.StringVar(&o.listen, "listen", "127.0.0.1:7008",
		"listen at this `host:port`; an IPv6 host in brackets, no host for all\naddresses, port 0 for a free one")
	fs.StringVar(&o.to, "to", "",
		"connect the clients to this `host:port`; of a name, the address that\nanswers first (required)")
	fs.DurationVar(&o.connect, "connect-timeout", 5*time.Second,
		"give up a server that does not answer for this `duration`; 0 for never")
	fs.DurationVar(&o.idle, "idle", 5*time.Minute,
		"close a connection when nothing comes from either side, or one side reads\nnothing, for this `duration`; 0 for never")
	fs.IntVar(&o.max, "max", 10000,
		"serve this `number` of clients at once; more wait in the backlog")
	fs.DurationVar(&o.grace, "grace", 5*time.Second,
		"on SIGTERM or SIGINT, give the connections this `duration` to end")

	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		printHelp(fs, out)
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w (-help shows the flags)", err)
	case fs.NArg() > 0:
		return o, fmt.Errorf("%q: there are no arguments beside the flags (-help shows them)", fs.Arg(0))
	case o.to == "":
		return o, errors.New("-to is required (-help shows the flags)")
	case o.connect < 0:
		return o, fmt.Errorf("-connect-timeout %v: want 0 or more", o.connect)
	case o.idle < 0:
		return o, fmt.Errorf("-idle %v: want 0 or more", o.idle)
	case o.max < 1:
		return o, fmt.Errorf("-max %d: want 1 or more", o.max)
	case o.grace < 0:
		return o, fmt.Errorf("-grace %v: want 0 or more", o.grace)
	}
	if err := checkAddress(o.listen, 0); err != nil {
		return o, fmt.Errorf("-listen %q: %w", o.listen, err)
	}
	if err := checkAddress(o.to, 1); err != nil {
		return o, fmt.Errorf("-to %q: %w", o.to, err)
	}
	return o, nil
}

func checkAddress(address string, leastPort uint64) error {
	_, service, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New(`want host:port, such as "127.0.0.1:7008" or "[::1]:7008"`)
	}
	if n, err := strconv.ParseUint(service, 10, 16); err != nil || n < leastPort {
		return fmt.Errorf("port %q: want %d to 65535", service, leastPort)
	}
	return nil
}

func printHelp(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, `Proxy is a TCP proxy: it connects each client to a server, and passes on what
the two send.

usage: proxy -to host:port [flags]

It prints the address that it listens on, and logs to the standard error. Each
direction is ended on its own, and what breaks on one side is reset on the other.
SIGTERM or SIGINT stops it: it accepts no more, serves the connections until they
end or the grace period is over, and exits with status 0. A second signal ends it
at once.

`)
	fs.SetOutput(out)
	fs.PrintDefaults()
}
