package suites

import (
	"fmt"
	"slices"

	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// The echo suite: every connection sends a message, waits until all of it has come back, and
// sends the next.
var echoSuite = Suite{
	Name:     "echo",
	About:    "request and answer over TCP, one message in flight per connection",
	Settings: Settings{Conns: []int{1, 50, 1000}, Sizes: []int{128}},
	tables:   echoTables,
}

func echoTables(e env) ([]report.Table, error) { return []report.Table{echoTable(e)}, nil }

func echoTable(e env) report.Table {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeEcho != nil })
	t := report.Table{
		Title: fmt.Sprintf("echo: messages of %s there and back over TCP on 127.0.0.1, %s of %v",
			eachSize(e.Sizes), report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "connections",
		Metrics: slices.Concat([]report.Metric{
			{Name: reqPerSec, Heading: "req/s", Format: report.Grouped, Display: report.InTable, Compare: report.InTable},
			{Name: cpuPerReq, Heading: "CPU µs/req", Format: report.Decimals(2), Display: report.InTable, Compare: report.InJSON},
			{Name: latencyP50, Heading: "p50 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
			{Name: latencyP99, Heading: "p99 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
		}, busyMetrics),
		Pairs: report.PairsWith(names, peers...),
		Legend: contestLegend(e, "req/s",
			"req/s: messages that came back, per second. More is better.",
			"CPU µs/req: the server's processor time for one of them, user and system. Less is better; the steadiest figure on a noisy machine.",
			"p50, p99: half, and 99 in 100, of the messages came back within this time. It grows with the number of connections, because messages queue.",
			"With few connections the cores sleep between messages, and waking them takes much of the time, most of all on a virtual machine.",
		),
		Review: reviewContest,
	}
	for _, c := range connsBySize(e, contest{server: "echo-server", load: "echo-load", burst: 1}) {
		t.Trials = append(t.Trials, c.trial(e, c.label(e), names, sampleOf))
	}
	return t
}
