package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/cli"
)

type options struct {
	address string
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
	fs := cli.Flags("proxy")
	fs.StringVar(&o.address, "address", "127.0.0.1:7009",
		"listen at this `host:port`; an IPv6 host in brackets, no host for all\naddresses, port 0 for a free one")
	fs.StringVar(&o.to, "to", "",
		"connect the clients to this `host:port`; if the host is a name, to its address\nthat answers first (required)")
	fs.DurationVar(&o.connect, "connect-timeout", 5*time.Second,
		"give up a server that does not answer for this `duration`; 0 for never")
	fs.DurationVar(&o.idle, "idle", 5*time.Minute,
		"close a connection when nothing comes from either side, or one side reads\nnothing, for this `duration`; 0 for never")
	fs.IntVar(&o.max, "max", 10000,
		"serve this `number` of clients at once; more wait in the backlog")
	fs.DurationVar(&o.grace, "grace", 5*time.Second,
		"on SIGTERM, SIGINT or SIGHUP, give the connections this `duration` to end")

	err := cli.Parse(fs, args, out, about)
	switch {
	case err != nil:
		return o, err
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
	if _, _, err := cli.SplitAddress(o.address, 0, 7009); err != nil {
		return o, fmt.Errorf("-address %q: %w", o.address, err)
	}
	if _, _, err := cli.SplitAddress(o.to, 1, 7009); err != nil {
		return o, fmt.Errorf("-to %q: %w", o.to, err)
	}
	return o, nil
}

// about prints what the program does.
func about(out io.Writer) {
	fmt.Fprint(out, `Proxy is a TCP proxy. It connects each client to a server, and passes on what
both send.

usage: proxy -to host:port [flags]

    proxy -address 127.0.0.1:7009 -to www.example.com:80

It prints the address that it listens on, and logs to the standard error. It
passes on no TCP urgent bytes, but all others. Each direction ends separately. If
the connection breaks on one side, the proxy resets the other.
SIGTERM, SIGINT or SIGHUP stops it: it accepts no more, serves the connections
until they end or the grace period is over, and exits with status 0. A second
signal ends it at once.

`)
}
