package suites

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
)

// Run runs the suites one after the other, and shows each when it is whole.
func Run(ctx context.Context, opts Options, out, errOut *os.File) (err error) {
	var lines io.Writer = io.Discard
	if opts.Json != "" {
		// Opened before the first measurement: a bad path is better known now than in a minute.
		file, err := os.Create(opts.Json)
		if err != nil {
			return fmt.Errorf("-json: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		lines = file
	}
	cores, notices := machine.ChooseCores()
	for _, notice := range notices {
		fmt.Fprintln(errOut, "bench: note:", notice)
	}
	e := env{Options: opts, cores: cores}

	// Nor is a minute spent on tables that nobody will see.
	if _, err := fmt.Fprintln(out, report.Machine()); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	var failures []error
	for _, name := range opts.Suites {
		s, err := Find(name)
		if err != nil {
			return err
		}
		own, notices := e.of(s)
		for _, notice := range notices {
			fmt.Fprintln(errOut, "bench: note:", notice)
		}
		results, err := s.measure(ctx, own, errOut)
		if errors.Is(err, errNothing) && len(opts.Suites) > 1 {
			fmt.Fprintf(errOut, "bench: note: suite %s: %v: left out\n", s.Name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("suite %s: %w", s.Name, err)
		}
		for _, r := range results {
			var notes []string
			if r.table.Review != nil {
				var failure error
				notes, failure = r.table.Review(r.outcomes)
				failures = append(failures, failure)
			}
			var text bytes.Buffer
			r.table.Render(&text, r.outcomes, notes)
			if _, err := out.Write(text.Bytes()); err != nil {
				return fmt.Errorf("results: %w", err)
			}
			if err := report.WriteLines(lines, s.Name, r.table, r.outcomes); err != nil {
				return fmt.Errorf("-json: %w", err)
			}
		}
	}
	return errors.Join(failures...)
}

// A tableResult is a table with the outcomes of its trials.
type tableResult struct {
	table    report.Table
	outcomes []measure.Outcome
}

// errNothing is an error of a suite that was asked for by itself. Among several it is left out.
var errNothing = errors.New("none of the chosen subjects takes part in it")

func (s Suite) measure(ctx context.Context, e env, errOut *os.File) ([]tableResult, error) {
	tables := s.tables(e)
	steps := 0
	for _, t := range tables {
		for _, tr := range t.Trials {
			if len(tr.Subjects) > 0 {
				steps += e.Reps
			}
		}
	}
	if steps == 0 {
		return nil, errNothing
	}
	bar := measure.NewProgress(errOut, steps)
	defer bar.Close()

	var results []tableResult
	for _, t := range tables {
		r := tableResult{table: t}
		for _, tr := range t.Trials {
			if len(tr.Subjects) == 0 {
				continue
			}
			o, err := tr.Rounds(ctx, e.Reps, bar)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", tr.Name, err)
			}
			r.outcomes = append(r.outcomes, o)
		}
		if len(r.outcomes) > 0 {
			results = append(results, r)
		}
	}
	return results, nil
}
