package suites

import (
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/bench/report"
)

// The pace suite: servers that have little to do, or something at regular times. Each is asked
// the same number of requests, so what counts is what a request costs, and how long it takes.
var paceSuite = Suite{
	Name:  "pace",
	About: "requests at a slow and at a quick pace: latency and processor time for each",
	Settings: Settings{
		Procs: []int{2},
		Pins:  []string{PinShared},
		Rates: []int{10, 100, 1000, 20000},
		Works: []time.Duration{0},
		Conns: []int{8},
		Sizes: []int{128},
	},
	most:     ordinaryMost,
	tables:   paceTables,
	criteria: paceCriteria,
}

func paceCriteria(env) []report.Criterion {
	return []report.Criterion{
		{Metric: cpuPerReq, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1.05, AtMost: true, Heading: "CPU per request above 1.05 of net"},
		{Metric: latencyP99, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1, AtMost: true, Heading: "p99 above net"},
	}
}

func paceTables(e env) ([]report.Table, error) {
	names := ordinaryNames(e)
	steps := stepsFor(e.Works)
	var tables []report.Table
	for _, procs := range e.Procs {
		for _, pin := range e.Pins {
			t := cellTable(fmt.Sprintf("pace: GOMAXPROCS=%d, cores %s", procs, pin), "requests per second × connections", names)
			for _, size := range e.Sizes {
				for _, work := range e.Works {
					for _, conns := range e.Conns {
						for _, rate := range e.Rates {
							c := cell{procs: procs, pin: pin, work: work, conns: conns, size: size, rate: rate}
							label := fmt.Sprintf("%d × %d", rate, conns)
							if len(e.Works) > 1 {
								label += fmt.Sprintf(", %v", work)
							}
							if len(e.Sizes) > 1 {
								label += ", " + report.Bytes(size)
							}
							t.Trials = append(t.Trials, c.trial(e, label, names, steps))
						}
					}
				}
			}
			tables = append(tables, t)
		}
	}
	return explained(tables, cellLegend(e,
		"Requests are due at equal distances, and go to the connections in turn. p50, p99, p99.9: from when a request was due to the answer.",
		"A window is longer than -dur where it would contain fewer than 10 requests. p99 of fewer than 100 requests is the slowest one's.",
	)), nil
}
