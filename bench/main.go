// Bench measures Weir beside its peers.
//
// With no arguments it runs the echo suite: a server of each subject, alone on one core,
// against one load generator on another. Every figure has a peer measured in the same round:
// ratios are taken inside a round, and the table shows their median with the least and the
// greatest, so that a reader sees how much of a difference is noise.
//
//	go run ./bench                             the main table, under a minute
//	go run ./bench -h                          suites, subjects, flags
//	go run ./bench -suite churn -subjects raw,net,gnet,weir,nbio
//	go run ./bench -suite all -json all.jsonl   some minutes
//
// A suite is one value in suites (suite.go), a subject one value in subjects (subject.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes beside 0. Interrupted is the shell's own for SIGINT: 128 + 2.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	if name := os.Getenv(roleVariable); name != "" {
		os.Exit(runRole(name))
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	opts, err := parseOptions(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitUsage
	}
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	err = measureAll(ctx, opts, os.Stdout, os.Stderr)
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "bench: interrupted; the unfinished suite is not shown")
		return exitInterrupted
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitFailed
	}
	return 0
}
