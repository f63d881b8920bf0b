package suites

import (
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/bench/report"
)

// The ordinary suite: servers as most are run, with several processors and a handler that
// computes, on cores that they share with their clients.
var ordinarySuite = Suite{
	Name:  "ordinary",
	About: "echo with several processors, shared cores and handlers that compute, as most servers run",
	Settings: Settings{
		Procs: []int{1, 2},
		Pins:  Pins,
		Works: []time.Duration{0, 10 * time.Microsecond, 100 * time.Microsecond, time.Millisecond},
		Conns: []int{1, 8, 64, 1000},
		Sizes: []int{128},
	},
	Brief: Settings{
		Procs: []int{2},
		Pins:  []string{PinShared},
		Works: []time.Duration{0, 10 * time.Microsecond},
		Conns: []int{8, 64},
	},
	most:     ordinaryMost,
	tables:   ordinaryTables,
	criteria: ordinaryCriteria,
}

// ordinaryMost is the largest message, in bytes: it arrives in one piece.
const ordinaryMost = 1024

func ordinaryTables(e env) ([]report.Table, error) {
	names := ordinaryNames(e)
	steps := stepsFor(e.Works)
	var tables []report.Table
	for _, procs := range e.Procs {
		for _, pin := range e.Pins {
			c := cell{procs: procs, pin: pin, open: e.Open}
			title := fmt.Sprintf("ordinary: GOMAXPROCS=%d, cores %s", procs, pin)
			tables = append(tables, workTable(e, c, title, names, steps))
		}
	}
	return explained(tables, cellLegend(e, openLegend(e)...)), nil
}

// workTable is the table of the cells that differ in work, connections and size.
func workTable(e env, c cell, title string, names []string, steps float64) report.Table {
	if e.Open > 0 {
		title += fmt.Sprintf(", requests at %d %% of net's greatest rate", e.Open)
	}
	t := cellTable(title, "work × connections", names)
	for _, size := range e.Sizes {
		for _, work := range e.Works {
			for _, conns := range e.Conns {
				c.work, c.conns, c.size = work, conns, size
				label := fmt.Sprintf("%s × %d", workLabel(work), conns)
				if len(e.Sizes) > 1 {
					label += ", " + report.Bytes(size)
				}
				t.Trials = append(t.Trials, c.trial(e, label, names, steps))
			}
		}
	}
	return t
}

func workLabel(work time.Duration) string {
	if work == 0 {
		return "none"
	}
	return work.String()
}

func openLegend(e env) []string {
	if e.Open == 0 {
		return []string{"Each connection sends its next request when it has the answer to the last. p50, p99, p99.9: from the request to the answer."}
	}
	return []string{fmt.Sprintf("Requests are due at equal distances, at %d %% of the rate that net reached when each followed an answer. ", e.Open) +
		"p50, p99, p99.9: from when the request was due to the answer."}
}

// explained puts the legend below the last table.
func explained(tables []report.Table, legend []string) []report.Table {
	if len(tables) > 0 {
		tables[len(tables)-1].Legend = legend
	}
	return tables
}
