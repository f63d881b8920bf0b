package suites

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/scripts"
)

const (
	lispSubject = "weir-lisp"
	lispInGo    = "Go"
)

func lispTable(e env) report.Table {
	names := []string{lispSubject, lispInGo}
	t := report.Table{
		Title:   fmt.Sprintf("interp: calls of the Lisp's socket class, %s of %v", report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "call",
		Metrics: []report.Metric{{Name: nsPerCall, Heading: "ns/call", Format: report.Decimals(0), Display: report.InTable, Compare: report.InTable}},
		Pairs:   report.PairsWith(names, lispInGo),
		Legend: []string{
			"Go: the same calls of Weir without an interpreter. The time of a call in Lisp contains that of the loop around it, about 200 ns.",
			"vs: this row divided by the peer in the same round: median (least–greatest).",
		},
	}
	for i, c := range scripts.LispCalls {
		if err := machine.FilesAllowed(c.Sockets); err != nil {
			e.note("suite interp: %s: %v: left out", c.Label, err)
			continue
		}
		t.Trials = append(t.Trials, measure.Trial{
			Name:     "lisp," + strings.ReplaceAll(c.Label, " ", "-"),
			Label:    c.Label,
			Subjects: names,
			Measure: func(ctx context.Context, _ []string, turnTo func(string)) (measure.Round, error) {
				turnTo(lispSubject)
				got, err := child.Ask[scripts.LispResult](ctx, child.Place{Cores: e.cores.Server, Threads: 1}, "lisp-calls", scripts.LispOrder{Call: i, Window: e.Dur})
				if err != nil {
					return nil, fmt.Errorf("%s: %w", c.Label, err)
				}
				return measure.Round{lispSubject: measure.Sample{nsPerCall: got.Lisp}, lispInGo: measure.Sample{nsPerCall: got.Go}}, nil
			},
		})
	}
	return t
}
