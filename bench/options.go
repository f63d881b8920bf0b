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
	conns    []int         // none: each suite has its own
	sizes    []int         // of messages, in bytes; none: each suite has its own
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
	suiteList := fs.String("suite", "echo", "suites to run, a comma-separated `list`, or all")
	subjectList := fs.String("subjects", strings.Join(usualSubjects(), ","),
		"subjects to measure, a comma-separated `list`, or all")
	connList := fs.String("conns", "", "numbers of connections, a comma-separated `list`, instead of a suite's own")
	sizeList := fs.String("size", "", "bytes in a message, a comma-separated `list`, instead of a suite's own")
	dur := fs.Duration("dur", 300*time.Millisecond, "length of one measured window, a `duration`")
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

	opts := options{dur: *dur, reps: *reps, json: *jsonFile}
	var err error
	if opts.suites, err = nameList("suite", *suiteList, suiteNames(), func(s string) error { _, err := findSuite(s); return err }); err != nil {
		return options{}, err
	}
	if opts.subjects, err = nameList("subjects", *subjectList, subjectNames(), func(s string) error { _, err := findSubject(s); return err }); err != nil {
		return options{}, err
	}
	if opts.conns, err = numberList("conns", *connList, func(n int) error {
		if err := within("conns", n, 1, maxConns); err != nil {
			return err
		}
		if err := filesAllowed(n); err != nil {
			return fmt.Errorf("-conns: %w", err)
		}
		return nil
	}); err != nil {
		return options{}, err
	}
	if opts.sizes, err = numberList("size", *sizeList, func(n int) error {
		for _, name := range opts.suites {
			if s, err := findSuite(name); err != nil {
				return err
			} else if err := s.sizeAllowed(n); err != nil {
				return err
			}
		}
		return within("size", n, 1, maxSize)
	}); err != nil {
		return options{}, err
	}
	return opts, errors.Join(
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

// nameList splits a comma-separated list, keeping the user's order and each name once. "all"
// stands for all names.
func nameList(flagName, list string, all []string, known func(string) error) ([]string, error) {
	if list == "all" {
		return all, nil
	}
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

// numberList splits a comma-separated list likewise. An empty one has none.
func numberList(flagName, list string, allowed func(int) error) ([]int, error) {
	if list == "" {
		return nil, nil
	}
	var numbers []int
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil {
			return nil, fmt.Errorf("-%s %q: not a whole number", flagName, field)
		}
		if err := allowed(n); err != nil {
			return nil, err
		}
		if !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// filesAllowed tells whether a process may have so many connections.
func filesAllowed(conns int) error {
	if limit, err := hardFileLimit(); err == nil && limit < uint64(conns+spareFiles) {
		return fmt.Errorf("%d connections need %d descriptors, and the hard limit (ulimit -Hn) is %d",
			conns, conns+spareFiles, limit)
	}
	return nil
}

func printHelp(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, "Bench measures Weir beside its peers.\n\nusage: go run ./bench [flags]\n\nSuites (-suite):\n")
	for _, s := range suites {
		fmt.Fprintf(out, "  %-10s %s%s\n", s.name, s.about, s.ownSettings())
	}
	fmt.Fprint(out, "\nSubjects (-subjects):\n")
	for _, s := range subjects {
		about := s.about
		if s.byRequest {
			about += " (only when asked for)"
		}
		fmt.Fprintf(out, "  %-10s %s\n", s.name, about)
	}
	fmt.Fprint(out, "\nFlags:\n")
	fs.SetOutput(out)
	fs.PrintDefaults()
}

// ownSettings are what -conns and -size replace.
func (s suite) ownSettings() string {
	var settings []string
	if len(s.conns) > 0 {
		settings = append(settings, "-conns "+numbers(s.conns))
	}
	if len(s.sizes) > 0 {
		settings = append(settings, "-size "+numbers(s.sizes))
	}
	if settings == nil {
		return ""
	}
	return "\n             " + strings.Join(settings, " ")
}

func numbers(list []int) string {
	var words []string
	for _, n := range list {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ",")
}
