// Bench measures Weir beside its peers.
//
// Each figure has a peer that was measured in the same round. A ratio is taken inside a round,
// and the table shows the median of the ratios with the least and the greatest, so that a reader
// sees how much of a difference is noise.
//
//	go run ./bench                             echo, and a few cells of ordinary: one to two minutes
//	go run ./bench -h                          suites, subjects, flags
//	go run ./bench -suite ordinary -brief      that suite with few cells: under a minute
//	go run ./bench -suite churn -subjects raw,net,gnet,weir,nbio
//	go run ./bench -suite all -json all.jsonl  everything: under an hour
//	go run ./bench -html page.html             a page with charts beside the tables; -svg is one chart
//
// The packages below this one, from the top down:
//
//	suites     what is measured: a table for each question
//	scripts    the processes of the interp suite: Lua and Lisp
//	finders    the processes of the select suite: find the ready one of many sockets
//	together   the process of the oneprocess suite: server and clients in one
//	soak       the process of the soak suite: everything at once, for long
//	web        the processes of the http suite
//	load       the load generators
//	subjects   what is compared: the same servers on Weir and on its peers
//	report     tables, charts and a page for people, JSON lines for programs
//	measure    rounds, medians, ratios
//	child      processes with a role
//	machine    cores, processor time, memory, descriptors
//	wire       what the generators and the servers both speak: frames, batches of datagrams
//
// A new suite is a file in suites and a line in suites.All; a new subject is a file in subjects
// and a line in subjects.All.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/suites"
)

func main() {
	child.Main(suites.Roles())
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	opts, err := parseOptions(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return child.ExitUsage
	}
	opts.Command = commandLine(args)
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	err = suites.Run(ctx, opts, os.Stdout, os.Stderr)
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "bench: interrupted; the unfinished suite is not shown")
		return child.ExitInterrupted
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return child.ExitFailed
	}
	return 0
}

// commandLine is the command line as a person types it.
func commandLine(args []string) string {
	words := []string{"go run ./bench"}
	for _, arg := range args {
		if strings.ContainsAny(arg, " \t'\"\\$*?&;|<>()") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
