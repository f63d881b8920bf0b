package main

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/cli"
)

type options struct {
	address string
	loops   int
	max     int
	line    int           // bytes
	queue   int           // bytes
	idle    time.Duration // 0 is none
	write   time.Duration
	grace   time.Duration
}

// The bounds of the sizes. The queue must hold many lines.
const (
	leastLine, mostLine   = 16, 16 << 10
	leastQueue, mostQueue = 128 << 10, 64 << 20
)

// parseOptions reads the command line. Help goes to out; an error names the
// flag and the value.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	fs := cli.Flags("chat")
	fs.StringVar(&o.address, "address", "127.0.0.1:7008",
		"listen at this `host:port`; an IPv6 host in brackets, no host for all\naddresses, port 0 for a free one")
	fs.IntVar(&o.loops, "loops", runtime.GOMAXPROCS(0),
		"serve on this `number` of event loops; without it, one for each processor")
	fs.IntVar(&o.max, "max", 10000,
		"let this `number` of members in at once; more wait in the backlog")
	fs.IntVar(&o.line, "line", 1024,
		"refuse lines of more than this `number` of bytes")
	fs.IntVar(&o.queue, "queue", 256<<10,
		"queue this `number` of bytes for a member that reads too slowly, then leave\nlines out")
	fs.DurationVar(&o.idle, "idle", time.Hour,
		"close the connection of a member that is silent for this `duration`; 0 for never")
	fs.DurationVar(&o.write, "write", 30*time.Second,
		"close the connection of a member that reads nothing of what is queued for it for\nthis `duration`")
	fs.DurationVar(&o.grace, "grace", 5*time.Second,
		"when a connection is closed (all are on SIGTERM, SIGINT and SIGHUP), give its client\nthis `duration` to read what is queued; give a successor as long to start")

	err := cli.Parse(fs, args, out, about)
	switch {
	case err != nil:
		return o, err
	case o.loops < 1:
		return o, fmt.Errorf("-loops %d: want 1 or more", o.loops)
	case o.max < 1:
		return o, fmt.Errorf("-max %d: want 1 or more", o.max)
	case o.line < leastLine || o.line > mostLine:
		return o, fmt.Errorf("-line %d: want %d to %d", o.line, leastLine, mostLine)
	case o.queue < leastQueue || o.queue > mostQueue:
		return o, fmt.Errorf("-queue %d: want %d to %d", o.queue, leastQueue, mostQueue)
	case o.idle < 0:
		return o, fmt.Errorf("-idle %v: want 0 or more", o.idle)
	case o.write <= 0:
		return o, fmt.Errorf("-write %v: want more than 0", o.write)
	case o.grace <= 0:
		return o, fmt.Errorf("-grace %v: want more than 0", o.grace)
	}
	if _, _, err := cli.SplitAddress(o.address, 0, 7008); err != nil {
		return o, fmt.Errorf("-address %q: %w", o.address, err)
	}
	return o, nil
}

// about prints what the program does.
func about(out io.Writer) {
	fmt.Fprint(out, `Chat is a chat server for people with nc or socat: lines of text, one room.

usage: chat [flags]

    chat -address 127.0.0.1:7008 &
    nc 127.0.0.1 7008

It prints the address that it listens on, and logs to the standard error. All
members see the same lines in the same order, their own among them. Lines that
begin with a slash are commands; /help tells which.

A member that reads slowly delays no other. -queue bytes are queued for it;
beyond that lines are left out. When there is room again, the member is told how
many.

SIGTERM, SIGINT or SIGHUP stops it: it accepts no more, delivers the lines that have
arrived, and exits with status 0. A second signal ends it at once. SIGUSR2 first
starts the program again. The new process accepts connections from then on, so
that none is refused, and the old one asks its members to connect again.

`)
}
