package suites

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
)

// Run runs the suites one after the other, and shows each when it is whole. A suite that fails
// does not keep the others from being measured, and what was measured is written after an interruption, too.
func Run(ctx context.Context, opts Options, out, errOut *os.File) (err error) {
	// The files are opened before the first measurement, so that a bad path fails at once.
	files, err := openFiles(opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.close()) }()
	note := func(format string, args ...any) { fmt.Fprintf(errOut, "bench: note: "+format+"\n", args...) }
	cores, notices := machine.ChooseCores()
	for _, notice := range notices {
		note("%s", notice)
	}
	e := env{Options: opts, cores: cores, note: note}
	page := report.Page{Command: opts.Command, Begun: time.Now(), Machine: report.Machine(), Versions: report.Versions(peerModules...)}

	// An output that cannot be written fails at once, too.
	if _, err := fmt.Fprintln(out, page.Machine); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	var failures []error
	for _, name := range opts.Suites {
		s, err := Find(name)
		if err != nil {
			return err
		}
		own := s.fill(e)
		results, err := s.measure(ctx, own, errOut)
		if errors.Is(err, errNothing) && len(opts.Suites) > 1 {
			note("suite %s: %v: left out", s.Name, err)
			continue
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("suite %s: %w", s.Name, err))
			if ctx.Err() != nil {
				break // the suites before are written all the same
			}
			continue
		}
		section, failure, err := s.show(own, results, out, files.lines())
		if err != nil {
			return err
		}
		page.Sections = append(page.Sections, section)
		failures = append(failures, failure)
	}
	return errors.Join(append(failures, files.write(page))...)
}

// show writes the tables, and then the summary. The failure is what a table's review found; it
// does not keep the next suite from running.
func (s Suite) show(e env, results []report.Result, out, lines io.Writer) (section report.Section, failure, err error) {
	section = report.Section{Suite: s.Name, About: s.About, Results: results}
	var text bytes.Buffer
	for _, r := range results {
		var notes []string
		if r.Table.Review != nil {
			var found error
			notes, found = r.Table.Review(r.Outcomes)
			failure = errors.Join(failure, found)
		}
		section.Notes = append(section.Notes, notes)
		r.Table.Render(&text, r.Outcomes, notes)
		if err := report.WriteLines(lines, s.Name, r.Table, r.Outcomes); err != nil {
			return section, failure, fmt.Errorf("-json: %w", err)
		}
	}
	if s.criteria != nil {
		report.Summarize(&text, s.Name, s.criteria(e), results)
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return section, failure, fmt.Errorf("results: %w", err)
	}
	return section, failure, nil
}

// errNothing is an error if the user asked for one suite. Among several, that suite is left out.
var errNothing = errors.New("none of the chosen subjects takes part in it")

func (s Suite) measure(ctx context.Context, e env, errOut *os.File) ([]report.Result, error) {
	tables, err := s.tables(e)
	if err != nil {
		return nil, err
	}
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

	var results []report.Result
	for _, t := range tables {
		r := report.Result{Table: t}
		for _, tr := range t.Trials {
			if len(tr.Subjects) == 0 {
				continue
			}
			o, err := tr.Rounds(ctx, e.Reps, bar)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", tr.Name, err)
			}
			r.Outcomes = append(r.Outcomes, o)
		}
		if len(r.Outcomes) > 0 {
			results = append(results, r)
		}
	}
	return results, nil
}
