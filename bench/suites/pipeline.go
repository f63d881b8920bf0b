package suites

import (
	"fmt"
	"slices"

	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/wire"
)

// The pipeline suite: every connection sends a burst of requests with one write, waits for
// the answers to all of them, and sends the next. The server handles each request on its own
// (package wire); a good one sends the answers to a burst with one write.
var pipelineSuite = Suite{
	Name:     "pipeline",
	About:    fmt.Sprintf("%d framed requests at once per connection, over TCP", pipelined),
	Settings: Settings{Conns: []int{1, 50}, Sizes: []int{64}},
	least:    wire.HeaderSize,
	most:     1 << 20,
	tables:   pipelineTables,
}

// pipelined is how many requests a connection has in flight.
const pipelined = 16

func pipelineTables(e env) ([]report.Table, error) {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServePipeline != nil })
	t := report.Table{
		Title: fmt.Sprintf("pipeline: %d requests of %s at once over TCP on 127.0.0.1, %s of %v",
			pipelined, eachSize(e.Sizes), report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "connections",
		Metrics: slices.Concat([]report.Metric{
			{Name: reqPerSec, Heading: "req/s", Format: report.Grouped, Display: report.InTable, Compare: report.InTable},
			{Name: cpuPerReq, Heading: "CPU µs/req", Format: report.Decimals(2), Display: report.InTable, Compare: report.InJSON},
			{Name: latencyP50, Heading: "p50 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
			{Name: latencyP99, Heading: "p99 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
		}, busyMetrics),
		Pairs: report.PairsWith(names, peers...),
		Legend: contestLegend(e, "req/s",
			"A request is a frame with its length in front, and is answered by itself. raw, gnet, nbio: gathered by hand and sent with one write; net, weir: through bufio, flushed before a read would wait;",
			"weir-events, gnet-each: a Write for each answer, which weir-events gathers by itself.",
			"CPU µs/req: the server's processor time for one request, user and system. Less is better.",
			fmt.Sprintf("p50, p99: of the time until all %d answers were there.", pipelined),
		),
		Review: reviewContest,
	}
	for _, c := range connsBySize(e, contest{server: "pipeline-server", load: "echo-load", burst: pipelined, framed: true}) {
		t.Trials = append(t.Trials, c.trial(e, c.label(e), names, sampleOf))
	}
	return []report.Table{t}, nil
}
