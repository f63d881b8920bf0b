package main

import (
	"fmt"
	"slices"
)

// The churn suite: connections that make one request and end. Each is replaced at once.
var churnSuite = suite{
	name:   "churn",
	about:  "connect, one request, close: connections per second",
	conns:  []int{1, 64},
	sizes:  []int{128},
	tables: churnTables,
}

const (
	connPerSec = "conn_per_s"
	cpuPerConn = "cpu_us_per_conn"
)

func churnTables(e env) []table {
	names := able(e.subjects, func(s subject) bool { return s.serveEcho != nil })
	t := table{
		title: fmt.Sprintf("churn: TCP connections on 127.0.0.1 with one message of %s each, %s of %v",
			eachSize(e.sizes), counted(e.reps, "round"), e.dur),
		rowHead: "at a time",
		metrics: slices.Concat([]metric{
			{connPerSec, "conn/s", grouped, inTable, inTable},
			{cpuPerConn, "CPU µs/conn", decimals(1), inTable, inJSON},
			{latencyP50, "p50 µs", decimals(0), inTable, inJSON},
			{latencyP99, "p99 µs", decimals(0), inTable, inJSON},
		}, busyMetrics),
		pairs: pairsWith(names, peers...),
		legend: contestLegend(e, "conn/s",
			"CPU µs/conn: the server's processor time to accept a connection, answer it and close it, user and system. Less is better.",
			"p50, p99: from connect to the whole answer.",
			"The client closes with a reset (SO_LINGER 0), so that no ports wait in TIME_WAIT. The server's half of it is the same for all.",
		),
		review: reviewContest,
	}
	for _, c := range connsBySize(e, contest{server: "echo-server", load: "churn-load", burst: 1}) {
		t.trials = append(t.trials, c.trial(e, c.label(e), names, func(r loadResult) sample {
			s := r.sample()
			s[connPerSec], s[cpuPerConn] = s[reqPerSec], s[cpuPerReq]
			return s
		}))
	}
	return []table{t}
}
