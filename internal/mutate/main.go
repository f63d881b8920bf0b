//go:build linux

// Mutate tells what the tests do not notice. It makes small changes to the code, one
// at a time, and runs the tests of the changed package alone:
//
//	go run ./internal/mutate -seed 7 -n 50 -packages loop,timers -budget 20m
//	go run ./internal/mutate -changed HEAD^ -budget 1m
//
// A change that no test notices is a hole: a line could be wrong, and nobody would
// know. Some changes have no effect that a test could see, as they cost time alone, or
// a later check makes up for them. These are listed with the reason in harmless.txt. A
// listed change of code that is gone is an error.
//
// A seed and the code give the same sample always. Nothing is copied: the go command
// takes the changed file instead of the file of the tree (go build -overlay). Most
// changes of a package share one binary of its tests. Each test first runs without a
// change, to learn which changes it reaches, and a change is tried by these tests alone.
// A hang counts as noticed, when the tests take longer than twice their ordinary time.
//
// Gremlins and the forks of go-mutesting do the same for whole modules. Neither removes
// statements and takes a sample with a seed, and each copies the module for each
// worker. What is needed here is smaller than their configuration.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

// core lists the packages whose tests are asked, unless -packages says others.
const core = "poller,timers,loop,socket,net,server"

type options struct {
	seed     uint64
	n        int
	packages []string
	budget   time.Duration
	changed  string
	match    string
	workers  int
	short    bool
	tests    string
	reach    bool
	strict   bool
	list     bool
	harmless string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	holes, o, err := 0, options{}, error(nil)
	if o, err = parse(os.Args[1:]); err == nil {
		holes, err = run(ctx, o, os.Stdout)
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	case holes > 0 && o.strict:
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("mutate", flag.ExitOnError)
	f.Uint64Var(&o.seed, "seed", 1, "`number` that chooses the sample")
	f.IntVar(&o.n, "n", 20, "`number` of changes to try; 0 means all")
	packages := f.String("packages", core, "directories of packages, separated by `commas`")
	f.DurationVar(&o.budget, "budget", 10*time.Minute, "begin no trial after this `time`, and end those that run")
	f.StringVar(&o.changed, "changed", "", "change only lines that differ from this git `revision`")
	f.StringVar(&o.match, "match", "", "change only lines whose file:line begins with this `text`, such as loop/turn.go")
	f.IntVar(&o.workers, "workers", 2, "`number` of trials at a time; the tests mostly wait")
	f.BoolVar(&o.short, "short", false, "run the tests with -short")
	f.DurationVar(&grace, "grace", grace, "`time` added to twice the ordinary time of the tests, before they count as hanging")
	f.StringVar(&o.tests, "run", "", "run only the tests that match this regular `expression`")
	f.BoolVar(&o.reach, "reach", false, "try nothing: report only the changes that no test reaches")
	f.BoolVar(&o.strict, "strict", false, "exit with status 1 if there is a hole")
	f.BoolVar(&o.list, "list", false, "print the sample, and run nothing")
	f.StringVar(&o.harmless, "harmless", "internal/mutate/harmless.txt", "`file` of changes without effect")
	f.Parse(args)
	o.packages = strings.Split(*packages, ",")
	switch {
	case f.NArg() > 0:
		err = fmt.Errorf("argument %q is not understood", f.Arg(0))
	case o.n < 0:
		err = fmt.Errorf("-n %d is negative", o.n)
	case o.workers < 1:
		err = fmt.Errorf("-workers %d is less than 1", o.workers)
	case o.budget <= 0:
		err = fmt.Errorf("-budget %v is not positive", o.budget)
	}
	return o, err
}

// run tries a sample of changes, prints what became of each, and returns the number
// of holes.
func run(ctx context.Context, o options, out io.Writer) (holes int, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.budget)
	defer cancel()
	known, err := readHarmless(o.harmless)
	if err != nil {
		return 0, err
	}
	all, err := candidates(o)
	if err != nil {
		return 0, err
	}
	shuffle(all, o.seed)
	fmt.Fprintf(out, "%d possible changes, seed %d\n", len(all), o.seed)
	if o.list {
		if o.n > 0 {
			all = all[:min(o.n, len(all))]
		}
		for _, c := range all {
			fmt.Fprintln(out, c)
		}
		return 0, nil
	}
	if len(all) == 0 {
		return 0, nil
	}
	work, err := os.MkdirTemp("", "m") // a short name: tests bind unix sockets below it
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	count, err := tryAll(ctx, o, all, known, work, out)
	fmt.Fprintf(out, "%d noticed, %d without effect, %d holes, %d doubtful, %d unfinished, %d do not build\n",
		count[noticed], count[harmless], count[hole], count[doubtful], count[unfinished], count[unbuildable])
	return count[hole], err
}
