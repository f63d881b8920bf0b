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

	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/suites"
)

// parseOptions reads the command line. Help goes to out; an error names the flag and the value.
func parseOptions(args []string, out io.Writer) (suites.Options, error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the caller prints the error, once and without the help text
	suiteList := fs.String("suite", "echo", "suites to run, a comma-separated `list`, or all")
	subjectList := fs.String("subjects", strings.Join(subjects.Usual(), ","),
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
		return suites.Options{}, err
	}
	if fs.NArg() > 0 {
		return suites.Options{}, fmt.Errorf("%q: there are no arguments beside the flags (-h shows them)", fs.Arg(0))
	}

	opts := suites.Options{Dur: *dur, Reps: *reps, Json: *jsonFile}
	var err error
	if opts.Suites, err = nameList("suite", *suiteList, suites.Names(), func(s string) error { _, err := suites.Find(s); return err }); err != nil {
		return suites.Options{}, err
	}
	if opts.Subjects, err = nameList("subjects", *subjectList, subjects.Names(), func(s string) error { _, err := subjects.Find(s); return err }); err != nil {
		return suites.Options{}, err
	}
	if opts.Conns, err = numberList("conns", *connList, func(n int) error {
		if err := suites.Within("conns", n, 1, suites.MaxConns); err != nil {
			return err
		}
		if err := machine.FilesAllowed(n); err != nil {
			return fmt.Errorf("-conns: %w", err)
		}
		return nil
	}); err != nil {
		return suites.Options{}, err
	}
	if opts.Sizes, err = numberList("size", *sizeList, func(n int) error {
		for _, name := range opts.Suites {
			if s, err := suites.Find(name); err != nil {
				return err
			} else if err := s.SizeAllowed(n); err != nil {
				return err
			}
		}
		return suites.Within("size", n, 1, suites.MaxSize)
	}); err != nil {
		return suites.Options{}, err
	}
	return opts, errors.Join(
		suites.Within("dur", *dur, time.Millisecond, suites.MaxDur),
		suites.Within("reps", *reps, 1, suites.MaxReps),
	)
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

func printHelp(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, "Bench measures Weir beside its peers.\n\nusage: go run ./bench [flags]\n\nSuites (-suite):\n")
	for _, s := range suites.All {
		fmt.Fprintf(out, "  %-10s %s%s\n", s.Name, s.About, ownSettings(s))
	}
	fmt.Fprint(out, "\nSubjects (-subjects):\n")
	for _, s := range subjects.All {
		about := s.About
		if s.ByRequest {
			about += " (only when asked for)"
		}
		fmt.Fprintf(out, "  %-10s %s\n", s.Name, about)
	}
	fmt.Fprint(out, "\nFlags:\n")
	fs.SetOutput(out)
	fs.PrintDefaults()
}

// ownSettings are what -conns and -size replace.
func ownSettings(s suites.Suite) string {
	var settings []string
	if len(s.Conns) > 0 {
		settings = append(settings, "-conns "+numbers(s.Conns))
	}
	if len(s.Sizes) > 0 {
		settings = append(settings, "-size "+numbers(s.Sizes))
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
