package main

import (
	"fmt"
	"slices"
)

// The echo suite: every connection sends a message, waits until all of it has come back, and
// sends the next.
var echoSuite = suite{
	name:   "echo",
	about:  "request and answer over TCP, one message in flight per connection",
	conns:  []int{1, 50, 1000},
	sizes:  []int{128},
	tables: echoTables,
}

func echoTables(e env) []table {
	names := able(e.subjects, func(s subject) bool { return s.serveEcho != nil })
	t := table{
		title: fmt.Sprintf("echo: messages of %s there and back over TCP on 127.0.0.1, %s of %v",
			eachSize(e.sizes), counted(e.reps, "round"), e.dur),
		rowHead: "connections",
		metrics: slices.Concat([]metric{
			{reqPerSec, "req/s", grouped, inTable, inTable},
			{cpuPerReq, "CPU µs/req", decimals(2), inTable, inJSON},
			{latencyP50, "p50 µs", decimals(0), inTable, inJSON},
			{latencyP99, "p99 µs", decimals(0), inTable, inJSON},
		}, busyMetrics),
		pairs: pairsWith(names, peers...),
		legend: contestLegend(e, "req/s",
			"req/s: messages that came back, per second. More is better.",
			"CPU µs/req: the server's processor time for one of them, user and system. Less is better; the steadiest figure on a noisy machine.",
			"p50, p99: half, and 99 in 100, of the messages came back within this time. It grows with the connections, for they queue.",
			"With few connections the cores sleep between messages, and much of the time is that of waking them: most of all on a virtual machine.",
		),
		review: reviewContest,
	}
	for _, c := range connsBySize(e, contest{server: "echo-server", load: "echo-load", burst: 1}) {
		t.trials = append(t.trials, c.trial(e, c.label(e), names, loadResult.sample))
	}
	return []table{t}
}
