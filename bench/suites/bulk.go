package suites

import (
	"fmt"
	"slices"

	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// The bulk suite: echo with messages that no socket buffer holds, in bytes.
var bulkSuite = Suite{
	Name:     "bulk",
	About:    "large messages there and back over TCP, in bytes per second",
	Settings: Settings{Conns: []int{2, 8}, Sizes: []int{64 << 10, 1 << 20}},
	tables:   bulkTables,
}

const (
	mibPerSec = "mib_per_s"
	cpuPerMib = "cpu_us_per_mib"
)

func bulkTables(e env) ([]report.Table, error) {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeEcho != nil })
	t := report.Table{
		Title:   fmt.Sprintf("bulk: large messages there and back over TCP on 127.0.0.1, %s of %v", report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "connections × message",
		Metrics: slices.Concat([]report.Metric{
			{Name: mibPerSec, Heading: "MiB/s", Format: report.Grouped, Display: report.InTable, Compare: report.InTable},
			{Name: cpuPerMib, Heading: "CPU µs/MiB", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
		}, busyMetrics),
		Pairs: report.PairsWith(names, peers...),
		Legend: contestLegend(e, "MiB/s",
			"MiB/s: what came back, in 2^20 bytes; the same amount was sent. A connection sends the next message when all of the last has come back.",
			"CPU µs/MiB: the server's processor time to receive and send so much, user and system. Less is better.",
			"A connection of net or weir has a buffer for a whole message, and so has the shared one of raw, gnet and nbio. Weir's Server and netpoll choose their own sizes.",
		),
		Review: reviewContest,
	}
	for _, c := range connsBySize(e, contest{server: "echo-server", load: "echo-load", burst: 1}) {
		label := fmt.Sprintf("%d × %s", c.conns, report.Bytes(c.size))
		t.Trials = append(t.Trials, c.trial(e, label, names, func(r load.Result) measure.Sample {
			s := sampleOf(r)
			mib := float64(c.size) / (1 << 20)
			s[mibPerSec], s[cpuPerMib] = s[reqPerSec]*mib, s[cpuPerReq]/mib
			return s
		}))
	}
	return []report.Table{t}, nil
}
