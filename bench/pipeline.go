package main

import (
	"fmt"
	"slices"
)

// The pipeline suite: every connection sends a burst of requests with one write, waits for
// the answers to all of them, and sends the next. The server handles each request on its own
// (frame.go); a good one sends the answers to a burst with one write.
var pipelineSuite = suite{
	name:   "pipeline",
	about:  fmt.Sprintf("%d framed requests at once per connection, over TCP", pipelined),
	conns:  []int{1, 50},
	sizes:  []int{64},
	least:  frameHeader,
	most:   1 << 20,
	tables: pipelineTables,
}

// pipelined is how many requests a connection has in flight.
const pipelined = 16

func pipelineTables(e env) []table {
	names := able(e.subjects, func(s subject) bool { return s.servePipeline != nil })
	t := table{
		title: fmt.Sprintf("pipeline: %d requests of %s at once over TCP on 127.0.0.1, %s of %v",
			pipelined, eachSize(e.sizes), counted(e.reps, "round"), e.dur),
		rowHead: "connections",
		metrics: slices.Concat([]metric{
			{reqPerSec, "req/s", grouped, inTable, inTable},
			{cpuPerReq, "CPU µs/req", decimals(2), inTable, inJSON},
			{latencyP50, "p50 µs", decimals(0), inTable, inJSON},
			{latencyP99, "p99 µs", decimals(0), inTable, inJSON},
		}, busyMetrics),
		pairs: pairsWith(names, peers...),
		legend: contestLegend(e, "req/s",
			"A request is a frame with its length in front, and is answered by itself. raw, gnet, nbio: gathered by hand and sent with one write; net, weir: through bufio, flushed before a read would wait;",
			"weir-events, gnet-each: a Write for each answer, which weir-events gathers by itself.",
			"CPU µs/req: the server's processor time for one request, user and system. Less is better.",
			fmt.Sprintf("p50, p99: of the time until all %d answers were there.", pipelined),
		),
		review: reviewContest,
	}
	for _, c := range connsBySize(e, contest{server: "pipeline-server", load: "echo-load", burst: pipelined, framed: true}) {
		t.trials = append(t.trials, c.trial(e, c.label(e), names, loadResult.sample))
	}
	return []table{t}
}
