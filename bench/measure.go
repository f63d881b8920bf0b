package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// measureAll runs the suites one after the other, and shows each when it is whole.
func measureAll(ctx context.Context, opts options, out, errOut *os.File) (err error) {
	var lines io.Writer = io.Discard
	if opts.json != "" {
		// Opened before the first measurement: a bad path is better known now than in a minute.
		file, err := os.Create(opts.json)
		if err != nil {
			return fmt.Errorf("-json: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		lines = file
	}
	cores, notices := chooseCores()
	for _, notice := range notices {
		fmt.Fprintln(errOut, "bench: note:", notice)
	}
	e := env{options: opts, cores: cores}

	// Nor is a minute spent on tables that nobody will see.
	if _, err := fmt.Fprintln(out, machine()); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	var failures []error
	for _, name := range opts.suites {
		s, err := findSuite(name)
		if err != nil {
			return err
		}
		own, notices := e.of(s)
		for _, notice := range notices {
			fmt.Fprintln(errOut, "bench: note:", notice)
		}
		results, err := s.measure(ctx, own, errOut)
		if errors.Is(err, errNothing) && len(opts.suites) > 1 {
			fmt.Fprintf(errOut, "bench: note: suite %s: %v: left out\n", s.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("suite %s: %w", s.name, err)
		}
		for _, r := range results {
			var notes []string
			if r.table.review != nil {
				var failure error
				notes, failure = r.table.review(r.outcomes)
				failures = append(failures, failure)
			}
			var text bytes.Buffer
			r.table.render(&text, r.outcomes, notes)
			if _, err := out.Write(text.Bytes()); err != nil {
				return fmt.Errorf("results: %w", err)
			}
			if err := writeLines(lines, s.name, r.table, r.outcomes); err != nil {
				return fmt.Errorf("-json: %w", err)
			}
		}
	}
	return errors.Join(failures...)
}

// A tableResult is a table with the outcomes of its trials.
type tableResult struct {
	table    table
	outcomes []outcome
}

// errNothing is an error of a suite that was asked for by itself. Among several it is left out.
var errNothing = errors.New("none of the chosen subjects takes part in it")

func (s suite) measure(ctx context.Context, e env, errOut *os.File) ([]tableResult, error) {
	tables := s.tables(e)
	steps := 0
	for _, t := range tables {
		for _, tr := range t.trials {
			if len(tr.subjects) > 0 {
				steps += e.reps
			}
		}
	}
	if steps == 0 {
		return nil, errNothing
	}
	bar := newProgress(errOut, steps)
	defer bar.close()

	var results []tableResult
	for _, t := range tables {
		r := tableResult{table: t}
		for _, tr := range t.trials {
			if len(tr.subjects) == 0 {
				continue
			}
			o, err := tr.rounds(ctx, e.reps, bar)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", tr.name, err)
			}
			r.outcomes = append(r.outcomes, o)
		}
		if len(r.outcomes) > 0 {
			results = append(results, r)
		}
	}
	return results, nil
}

func (tr trial) rounds(ctx context.Context, reps int, bar *progress) (outcome, error) {
	o := outcome{trial: tr}
	for i := range reps {
		r, err := tr.measure(ctx, rotated(tr.subjects, i), func(subject string) {
			bar.doing(fmt.Sprintf("%s, round %d of %d: %s", tr.name, i+1, reps, subject))
		})
		if err != nil {
			return o, err
		}
		o.rounds = append(o.rounds, r)
		bar.step()
	}
	return o, nil
}

// rotated moves the start on by one with every round (A B C, B C A, C A B), so that a slow
// drift of the machine does not always favour the same subject.
func rotated(names []string, by int) []string {
	by %= len(names)
	return slices.Concat(names[by:], names[:by])
}
