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
	var opts suites.Options
	own := &opts.Settings
	var parsers []func() error // of the flags that are lists
	list := func(name, what string, parse func(list string) error) {
		text := fs.String(name, "", what+", a comma-separated `list` (default: a suite's own)")
		parsers = append(parsers, func() error {
			if *text == "" {
				return nil
			}
			return parse(*text)
		})
	}
	suiteList := fs.String("suite", "", "suites to run, a comma-separated `list`, or all (default "+strings.Join(suites.Usual, ",")+", the latter with few settings)")
	subjectList := fs.String("subjects", strings.Join(subjects.Usual(), ","),
		"subjects to measure, a comma-separated `list`, or all")
	list("conns", "numbers of connections", numbersTo(&own.Conns, "conns", suites.MaxConns, machine.FilesAllowed))
	list("size", "bytes in a message (http: in an answer)", numbersTo(&own.Sizes, "size", suites.MaxSize, nil))
	list("procs", "GOMAXPROCS of the server", numbersTo(&own.Procs, "procs", suites.MaxProcs, nil))
	list("rates", "requests per second", numbersTo(&own.Rates, "rates", suites.MaxRate, nil))
	list("pin", "server and load generator on cores of their own, or sharing all: "+strings.Join(suites.Pins, " or "), wordsTo(&own.Pins, "pin", suites.Pins))
	list("beside", "what else runs: "+strings.Join(suites.Besides(), ", "), wordsTo(&own.Beside, "beside", suites.Besides()))
	list("web", "kinds of HTTP: "+strings.Join(suites.WebKinds(), ", "), wordsTo(&own.Web, "web", suites.WebKinds()))
	list("flood", "floods of the fairness suite: "+strings.Join(suites.Floods(), ", "), wordsTo(&own.Floods, "flood", suites.Floods()))
	list("work", "computation for each request, as durations", worksTo(&own.Works))
	fs.IntVar(&opts.Open, "open", 0, "`per cent` of net's greatest rate to offer, whether or not answers come; 0 is as fast as answers come (ordinary, neighbours)")
	fs.BoolVar(&opts.Brief, "brief", false, "few settings: those that a suite has for a short run (ordinary, neighbours, http)")
	fs.DurationVar(&opts.Dur, "dur", 300*time.Millisecond, "length of one measured window, a `duration`")
	fs.IntVar(&opts.Reps, "reps", 5, "`rounds`: how often each subject is measured")
	fs.StringVar(&opts.JSON, "json", "", "write the results to this `file` too, one JSON object a line")
	fs.StringVar(&opts.HTML, "html", "", "write a page with charts, tables and raw figures to this `file`")
	fs.StringVar(&opts.Markdown, "md", "", "write the tables to this `file` in Markdown, as docs/results.md is written")
	fs.StringVar(&opts.SVG, "svg", "", "write one chart to this `file`: of ordinary, or of the first suite that compares")

	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			printHelp(fs, out)
		}
		return suites.Options{}, err
	}
	if fs.NArg() > 0 {
		return suites.Options{}, fmt.Errorf("%q: there are no arguments beside the flags (-h shows them)", fs.Arg(0))
	}
	for _, parse := range parsers {
		if err := parse(); err != nil {
			return suites.Options{}, err
		}
	}
	if err := choose(&opts, fs, *suiteList, *subjectList); err != nil {
		return suites.Options{}, err
	}
	if err := check(opts); err != nil {
		return suites.Options{}, err
	}
	return opts, nil
}

// choose fills in the suites and the subjects. Without -suite, the usual suites run briefly.
func choose(opts *suites.Options, fs *flag.FlagSet, suiteList, subjectList string) (err error) {
	named := false
	fs.Visit(func(f *flag.Flag) { named = named || f.Name == "suite" })
	if named {
		opts.Suites, err = nameList("suite", suiteList, suites.Names(), func(s string) error { _, err := suites.Find(s); return err })
	} else {
		opts.Suites, opts.Brief = suites.Usual, true
	}
	if err != nil {
		return err
	}
	opts.Subjects, err = nameList("subjects", subjectList, subjects.Names(), func(s string) error { _, err := subjects.Find(s); return err })
	return err
}

// check returns an error for a value that is out of bounds.
func check(opts suites.Options) error {
	for _, name := range opts.Suites {
		s, err := suites.Find(name)
		if err != nil {
			return err
		}
		for _, size := range opts.Settings.Sizes {
			if err := s.SizeAllowed(size); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		suites.Within("dur", opts.Dur, time.Millisecond, suites.MaxDur),
		suites.Within("reps", opts.Reps, 1, suites.MaxReps),
		suites.Within("open", opts.Open, 0, suites.MaxOpen),
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

// numbersTo returns the parser of a flag that is a list of whole numbers from 1 to most. It
// keeps the user's order and each number once.
func numbersTo(to *[]int, flagName string, most int, allowed func(int) error) func(string) error {
	return func(list string) error {
		*to = nil
		for field := range strings.SplitSeq(list, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(field))
			if err != nil {
				return fmt.Errorf("-%s %q: not a whole number", flagName, field)
			}
			if err := suites.Within(flagName, n, 1, most); err != nil {
				return err
			}
			if allowed != nil {
				if err := allowed(n); err != nil {
					return fmt.Errorf("-%s: %w", flagName, err)
				}
			}
			if !slices.Contains(*to, n) {
				*to = append(*to, n)
			}
		}
		return nil
	}
}

// wordsTo returns the parser of a flag that is a list of some words.
func wordsTo(to *[]string, flagName string, words []string) func(string) error {
	return func(list string) (err error) {
		*to, err = nameList(flagName, list, words, func(word string) error {
			if !slices.Contains(words, word) {
				return errors.New("there are " + strings.Join(words, ", "))
			}
			return nil
		})
		return err
	}
}

// worksTo returns the parser of a flag that is a list of durations, which may be 0.
func worksTo(to *[]time.Duration) func(string) error {
	return func(list string) error {
		*to = nil
		for field := range strings.SplitSeq(list, ",") {
			d, err := time.ParseDuration(strings.TrimSpace(field))
			if err != nil {
				return fmt.Errorf("-work %q: not a duration", field)
			}
			if err := suites.Within("work", d, 0, suites.MaxWork); err != nil {
				return err
			}
			if !slices.Contains(*to, d) {
				*to = append(*to, d)
			}
		}
		return nil
	}
}

const intro = `Bench measures Weir beside its peers.

usage: go run ./bench [flags]

    go run ./bench                                        # an overview, in one to two minutes
    go run ./bench -suite ordinary -brief -svg chart.svg  # one suite in under a minute, and its chart
    go run ./bench -suite churn,idle -subjects weir,net -html page.html

A figure says something beside a peer's from the same run. "vs net 1.20 (1.10-1.30)" means: in the
median of the rounds 1.2 times net's figure, at least 1.1 and at most 1.3 times.

Suites (-suite), with what each goes through:
`

func printHelp(fs *flag.FlagSet, out io.Writer) {
	fmt.Fprint(out, intro)
	for _, s := range suites.All {
		fmt.Fprintf(out, "  %-14s %s%s\n", s.Name, s.About, ownSettings(s))
	}
	fmt.Fprint(out, "\nSubjects (-subjects):\n")
	for _, s := range subjects.All {
		about := s.About
		if s.ByRequest {
			about += " (only when asked for)"
		}
		fmt.Fprintf(out, "  %-14s %s\n", s.Name, about)
	}
	fmt.Fprint(out, "Each has one event loop; in ordinary, neighbours, oneprocess, pace and http one for each processor (-procs).\n")
	fmt.Fprint(out, "\nFlags:\n")
	fs.SetOutput(out)
	fs.PrintDefaults()
}

// ownSettings shows what a suite goes through, as the flags that say the same.
func ownSettings(s suites.Suite) string {
	var settings []string
	add := func(flagName string, list string) {
		if list != "" {
			settings = append(settings, "-"+flagName+" "+list)
		}
	}
	add("procs", joined(s.Procs))
	add("pin", joined(s.Pins))
	add("beside", joined(s.Beside))
	add("work", joined(s.Works))
	add("rates", joined(s.Rates))
	add("web", joined(s.Web))
	add("flood", joined(s.Floods))
	add("conns", joined(s.Conns))
	add("size", joined(s.Sizes))
	if settings == nil {
		return ""
	}
	return "\n                 " + strings.Join(settings, " ")
}

func joined[T any](list []T) string {
	var words []string
	for _, v := range list {
		words = append(words, fmt.Sprint(v))
	}
	return strings.Join(words, ",")
}
