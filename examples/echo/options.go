package main

import (
	"fmt"
	"io"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/cli"
)

type options struct {
	address string // as it was given
	host    string // an IP address, a name, or nothing for all addresses
	port    int
	timeout time.Duration // 0 is none
	max     int
	grace   time.Duration
}

// parseOptions reads the command line. Help goes to out; an error names the
// flag and the value.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	fs := cli.Flags("echo")
	fs.StringVar(&o.address, "address", "127.0.0.1:7007",
		"listen at this `host:port`: an address (IPv6 in brackets), or a name for all its\naddresses; no host for all of the machine's; port 0 for a free one")
	fs.DurationVar(&o.timeout, "timeout", time.Minute,
		"close a connection when its client sends nothing, or does not read its echo,\nfor this `duration`; 0 for never")
	fs.IntVar(&o.max, "max", 10000,
		"serve this `number` of connections at once; more wait in the backlog")
	fs.DurationVar(&o.grace, "grace", 5*time.Second,
		"on SIGTERM, SIGINT or SIGHUP, give the clients this `duration` to finish")

	err := cli.Parse(fs, args, out, about)
	switch {
	case err != nil:
		return o, err
	case o.timeout < 0:
		return o, fmt.Errorf("-timeout %v: want 0 or more", o.timeout)
	case o.max < 1:
		return o, fmt.Errorf("-max %d: want 1 or more", o.max)
	case o.grace < 0:
		return o, fmt.Errorf("-grace %v: want 0 or more", o.grace)
	}
	if o.host, o.port, err = cli.SplitAddress(o.address, 0, 7007); err != nil {
		return o, fmt.Errorf("-address %q: %w", o.address, err)
	}
	return o, nil
}

// about prints what the program does.
func about(out io.Writer) {
	fmt.Fprint(out, `Echo is a TCP echo server: it sends back what its clients send.

usage: echo [flags]

    echo -address 127.0.0.1:7007 &
    nc 127.0.0.1 7007

It prints the addresses that it listens on, and logs to the standard error. SIGTERM,
SIGINT or SIGHUP stops it: it serves the clients that have connected by then and no
more. It echoes what they send until they end their stream or the grace period is
over, and exits with status 0. A second signal ends it at once.

`)
}
