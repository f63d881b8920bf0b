package suites

import (
	"fmt"
	"slices"

	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// The churn suite: each connection makes one request and ends. A new one replaces it at once.
var churnSuite = Suite{
	Name:     "churn",
	About:    "connect, one request, close: connections per second",
	Settings: Settings{Conns: []int{1, 64}, Sizes: []int{128}},
	tables:   churnTables,
}

const (
	connPerSec = "conn_per_s"
	cpuPerConn = "cpu_us_per_conn"
)

func churnTables(e env) ([]report.Table, error) {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeEcho != nil })
	t := report.Table{
		Title: fmt.Sprintf("churn: TCP connections on 127.0.0.1 with one message of %s each, %s of %v",
			eachSize(e.Sizes), report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "at a time",
		Metrics: slices.Concat([]report.Metric{
			{Name: connPerSec, Heading: "conn/s", Format: report.Grouped, Display: report.InTable, Compare: report.InTable},
			{Name: cpuPerConn, Heading: "CPU µs/conn", Format: report.Decimals(1), Display: report.InTable, Compare: report.InJSON},
			{Name: latencyP50, Heading: "p50 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
			{Name: latencyP99, Heading: "p99 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
		}, busyMetrics),
		Pairs: report.PairsWith(names, peers...),
		Legend: contestLegend(e, "conn/s",
			"CPU µs/conn: the server's processor time to accept a connection, answer it and close it, user and system. Less is better.",
			"p50, p99: from connect to the whole answer.",
			"The client closes with a reset (SO_LINGER 0), so that no ports wait in TIME_WAIT. All servers see the same.",
		),
		Review: reviewContest,
	}
	for _, c := range connsBySize(e, contest{server: "echo-server", load: "churn-load", burst: 1}) {
		t.Trials = append(t.Trials, c.trial(e, c.label(e), names, func(r load.Result) measure.Sample {
			s := sampleOf(r)
			s[connPerSec], s[cpuPerConn] = s[reqPerSec], s[cpuPerReq]
			return s
		}))
	}
	return []report.Table{t}, nil
}
