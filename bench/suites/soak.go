package suites

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/soak"
)

// The soak suite: whether anything grows or goes wrong in a process that does everything at
// once, for as long as -dur says.
var soakSuite = Suite{
	Name:     "soak",
	About:    "mixed work for the time of -dur, every byte checked: nothing may grow (one round, Weir alone)",
	Settings: Settings{Conns: []int{5000}},
	tables:   soakTables,
	once:     true,
}

const (
	soakJobs       = "jobs"
	soakBytes      = "checked_mib"
	soakGoroutines = "goroutines_more"
	soakFiles      = "descriptors_more"
	soakHeap       = "heap_kib_more"
	soakResident   = "resident_kib_more"
)

func soakTables(e env) ([]report.Table, error) {
	var results []soak.Result
	t := report.Table{
		Title:   fmt.Sprintf("soak: %s of mixed work, %v", report.Counted(len(soak.Kinds()), "kind"), e.Dur),
		RowHead: "clients",
		Metrics: []report.Metric{
			{Name: soakJobs, Heading: "jobs", Format: report.Grouped, Display: report.InTable},
			{Name: soakBytes, Heading: "MiB checked", Format: report.Grouped, Display: report.InTable},
			{Name: soakGoroutines, Heading: "goroutines", Format: report.Grouped, Display: report.InTable},
			{Name: soakFiles, Heading: "descriptors", Format: report.Grouped, Display: report.InTable},
			{Name: soakHeap, Heading: "heap KiB", Format: report.Grouped, Display: report.InTable},
			{Name: soakResident, Heading: "resident KiB", Format: report.Grouped, Display: report.InTable},
		},
		Legend: []string{
			"Servers and clients are in one process: " + strings.Join(soak.Kinds(), ", ") + ".",
			"goroutines, descriptors, heap, resident: how many more the process has at the end than after the warm-up, without connections both times.",
		},
		Review: func([]measure.Outcome) (notes []string, err error) {
			for _, r := range results {
				notes = append(notes, soakSummary(r))
				if grown := r.Growth(); grown != nil {
					return notes, fmt.Errorf("soak: not flat:\n%w", grown)
				}
			}
			return notes, nil
		},
	}
	for _, conns := range e.Conns {
		t.Trials = append(t.Trials, measure.Trial{
			Name:     fmt.Sprintf("conns=%d", conns),
			Label:    report.Grouped(float64(conns)),
			Subjects: []string{"weir"},
			Measure: measure.InTurn(func(ctx context.Context, _ string) (measure.Sample, error) {
				r, err := child.Ask[soak.Result](ctx, child.Place{}, "soak", soak.Order{Conns: conns, Dur: e.Dur, Patience: patience})
				if err != nil {
					return nil, err
				}
				if r.Conns < r.Wanted {
					e.note("soak: %d clients instead of %d: there are too few descriptors (ulimit -Hn)", r.Conns, r.Wanted)
				}
				results = append(results, r)
				return soakSample(r), nil
			}),
		})
	}
	return []report.Table{t}, nil
}

func soakSample(r soak.Result) measure.Sample {
	first, last := r.Looks[0], r.Looks[len(r.Looks)-1]
	jobs := 0.0
	for _, n := range r.Jobs {
		jobs += float64(n)
	}
	return measure.Sample{
		soakJobs:       jobs,
		soakBytes:      float64(r.Bytes) / (1 << 20),
		soakGoroutines: float64(last.Goroutines - first.Goroutines),
		soakFiles:      float64(last.Files - first.Files),
		soakHeap:       float64(last.Heap-first.Heap) / (1 << 10),
		soakResident:   float64(last.Resident-first.Resident) / (1 << 10),
	}
}

// soakSummary is the line that says it all.
func soakSummary(r soak.Result) string {
	var jobs []string
	for _, name := range soak.Kinds() {
		jobs = append(jobs, fmt.Sprintf("%s %d", name, r.Jobs[name]))
	}
	flat := "flat"
	if r.Growth() != nil {
		flat = "NOT FLAT"
	}
	last := r.Looks[len(r.Looks)-1]
	return fmt.Sprintf("%s: %d clients; %s; %d MiB checked; at the end %d goroutines, %d descriptors, %d KiB of heap",
		flat, r.Conns, strings.Join(jobs, ", "), r.Bytes>>20, last.Goroutines, last.Files, last.Heap>>10)
}
