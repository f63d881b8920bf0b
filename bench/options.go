package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

type options struct {
	suites   []string
	subjects []string
	conns    []int
	size     int           // of a message, in bytes
	dur      time.Duration // of one measured window
	reps     int           // rounds
	json     string        // file, "" for none
}

const (
	maxConns = 1 << 20
	maxSize  = 16 << 20
	maxDur   = time.Hour
	maxReps  = 10000
)

// parseOptions reads the command line. Help goes to out; an error names the flag and the value.
func parseOptions(args []string, out io.Writer) (options, error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the caller prints the error, once and without the help text
	suiteList := fs.String("suite", "echo", "suites to run, a comma-separated `list`")
	subjectList := fs.String("subjects", strings.Join(subjectNames(), ","),
		"subjects to measure, a comma-separated `list`")
	connList := fs.String("conns", "1,50,1000", "numbers of connections, a comma-separated `list`")
	size := fs.Int("size", 128, "`bytes` in a message")
	dur := fs.Duration("dur", 500*time.Millisecond, "length of one measured window, a `duration`")
	reps := fs.Int("reps", 5, "`rounds`: how often each subject is measured")
	jsonFile := fs.String("json", "", "write the results to this `file` too, one JSON object a line")

	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			printHelp(fs, out)
		}
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("%q: there are no arguments beside the flags (-h shows them)", fs.Arg(0))
	}

	opts := options{size: *size, dur: *dur, reps: *reps, json: *jsonFile}
	var err error
	if opts.suites, err = nameList("suite", *suiteList, func(s string) error { _, err := findSuite(s); return err }); err != nil {
		return options{}, err
	}
	if opts.subjects, err = nameList("subjects", *subjectList, func(s string) error { _, err := findSubject(s); return err }); err != nil {
		return options{}, err
	}
	if opts.conns, err = connections(*connList); err != nil {
		return options{}, err
	}
	return opts, errors.Join(
		within("size", *size, 1, maxSize),
		within("dur", *dur, time.Millisecond, maxDur),
		within("reps", *reps, 1, maxReps),
	)
}

func within[T int | time.Duration](name string, value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("-%s %v: want %v to %v", name, value, least, most)
	}
	return nil
}

// nameList splits a comma-separated list, keeping the user's order and each name once.
func nameList(flagName, list string, known func(string) error) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if err := known(name); err != nil {
			return nil, fmt.Errorf("-%s %q: %w", flagName, name, err)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func connections(list string) ([]int, error) {
	var conns []int
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil {
			return nil, fmt.Errorf("-conns %q: not a whole number", field)
		}
		if err := within("conns", n, 1, maxConns); err != nil {
			return nil, err
		}
		if limit, err := hardFileLimit(); err == nil && limit < uint64(n+spareFiles) {
			return nil, fmt.Errorf("-conns %d: %d descriptors are needed and the hard limit (ulimit -Hn) is %d",
				n, n+spareFiles, limit)
		}
		if !slices.Contains(conns, n) {
			conns = append(conns, n)
		}
	}
	return conns, nil
}

func printHelp(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, "Bench measures Weir beside its peers.\n\nusage: go run ./bench [flags]\n\nSuites (-suite):\n")
	for _, s := range suites {
		fmt.Fprintf(out, "  %-10s %s\n", s.name, s.about)
	}
	fmt.Fprint(out, "\nSubjects (-subjects):\n")
	for _, s := range subjects {
		fmt.Fprintf(out, "  %-10s %s\n", s.name, s.about)
	}
	fmt.Fprint(out, "\nFlags:\n")
	fs.SetOutput(out)
	fs.PrintDefaults()
}
