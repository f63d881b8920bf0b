package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/cli"
)

type options struct {
	address string
	debug   string // "" is none
	loops   int
	max     int
	memory  size
	request size
	idle    time.Duration // 0 is none
	write   time.Duration // 0 is none
	grace   time.Duration
}

// The least and the greatest -request, in bytes.
const (
	leastRequest = 64 << 10
	mostRequest  = 512 << 20
)

// parseOptions reads the command line. Help goes to out; an error names the
// flag and the value.
func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{memory: 256 << 20, request: 16 << 20}
	fs := cli.Flags("kv")
	fs.StringVar(&o.address, "address", "127.0.0.1:6380",
		"listen at this `host:port`; an IPv6 host in brackets, no host for all\naddresses, port 0 for a free one")
	fs.StringVar(&o.debug, "debug", "",
		"show loops and connections on a web page at this `host:port`, which everybody\nwho reaches it can read; none without it")
	fs.IntVar(&o.loops, "loops", runtime.GOMAXPROCS(0),
		"serve on this `number` of event loops; without it, one for each processor")
	fs.IntVar(&o.max, "max", 10000,
		"serve this `number` of connections at once; more wait in the backlog")
	fs.Var(&o.memory, "memory",
		"use this `size` at most: three quarters for keys and values, with the memory\naround them, and a quarter, at least 1MB, for requests and replies")
	fs.Var(&o.request, "request",
		"refuse requests above this `size`, and do not queue longer replies")
	fs.DurationVar(&o.idle, "idle", 0,
		"close a connection when its client sends nothing for this `duration`; 0 for never")
	fs.DurationVar(&o.write, "write", time.Minute,
		"close a connection when its client reads none of its replies for this\n`duration`; 0 for never")
	fs.DurationVar(&o.grace, "grace", 5*time.Second,
		"when a connection is closed (all are on SIGTERM, SIGINT and SIGHUP), give its client\nthis `duration` to read its replies")

	err := cli.Parse(fs, args, out, about)
	switch {
	case err != nil:
		return o, err
	case o.loops < 1:
		return o, fmt.Errorf("-loops %d: want 1 or more", o.loops)
	case o.max < 1:
		return o, fmt.Errorf("-max %d: want 1 or more", o.max)
	case o.memory < 1:
		return o, fmt.Errorf("-memory %v: want more than 0", o.memory)
	case o.request < leastRequest || o.request > mostRequest:
		return o, fmt.Errorf("-request %v: want %v to %v", o.request, size(leastRequest), size(mostRequest))
	case o.idle < 0:
		return o, fmt.Errorf("-idle %v: want 0 or more", o.idle)
	case o.write < 0:
		return o, fmt.Errorf("-write %v: want 0 or more", o.write)
	case o.grace <= 0:
		return o, fmt.Errorf("-grace %v: want more than 0", o.grace)
	}
	if _, _, err := cli.SplitAddress(o.address, 0, 6380); err != nil {
		return o, fmt.Errorf("-address %q: %w", o.address, err)
	}
	if o.debug != "" {
		if _, _, err := cli.SplitAddress(o.debug, 0, 8080); err != nil {
			return o, fmt.Errorf("-debug %q: %w", o.debug, err)
		}
	}
	return o, nil
}

// A size is a number of bytes, as a flag.
type size int64

var units = []struct {
	name  string
	bytes int64
}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"", 1}}

// String returns the size in the greatest unit that divides it.
func (s size) String() string {
	for _, u := range units {
		if int64(s)%u.bytes == 0 && s != 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0"
}

// Set reads a size such as 64MB.
func (s *size) Set(text string) error {
	for _, u := range units {
		digits, found := strings.CutSuffix(strings.ToUpper(text), u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		*s = size(n * u.bytes)
		return nil
	}
	return errors.New("want a number of bytes, such as 4096, 64KB, 64MB or 1GB")
}

// about prints what the program does.
func about(out io.Writer) {
	fmt.Fprint(out, `Kv is a key-value store in memory that Redis's clients can talk to.

usage: kv [flags]

    kv -address 127.0.0.1:6380 &
    redis-cli -p 6380 SET greeting hello EX 60

It prints the address that it listens on, and logs to the standard error. It
knows the commands
`)
	line := " "
	for _, name := range names() {
		if len(line)+len(name) > 76 {
			fmt.Fprintln(out, line)
			line = " "
		}
		line += " " + strings.ToUpper(name)
	}
	fmt.Fprint(out, line, `
(SET with EX, PX, NX, XX, KEEPTTL and GET; EXPIRE and PEXPIRE with NX, XX, GT and
LT), and answers as Redis 7 does. A request may also be a plain line of text.
Nothing is kept on disk. No command sees a key after its time. A command that
would need more memory than -memory gets an OOM error, and changes nothing. When
unfinished requests and unread replies need too much, the client that holds most is
disconnected.

SIGTERM, SIGINT or SIGHUP stops it: it accepts no more, executes what it has received,
sends the replies, and exits with status 0. A second signal ends it at once.

`)
}
