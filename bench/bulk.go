package main

import (
	"fmt"
	"slices"
)

// The bulk suite: echo with messages that no socket buffer holds, in bytes.
var bulkSuite = suite{
	name:   "bulk",
	about:  "large messages there and back over TCP, in bytes per second",
	conns:  []int{2, 8},
	sizes:  []int{64 << 10, 1 << 20},
	tables: bulkTables,
}

const (
	mibPerSec = "mib_per_s"
	cpuPerMib = "cpu_us_per_mib"
)

func bulkTables(e env) []table {
	names := able(e.subjects, func(s subject) bool { return s.serveEcho != nil })
	t := table{
		title:   fmt.Sprintf("bulk: large messages there and back over TCP on 127.0.0.1, %s of %v", counted(e.reps, "round"), e.dur),
		rowHead: "connections × message",
		metrics: slices.Concat([]metric{
			{mibPerSec, "MiB/s", grouped, inTable, inTable},
			{cpuPerMib, "CPU µs/MiB", decimals(0), inTable, inJSON},
		}, busyMetrics),
		pairs: pairsWith(names, peers...),
		legend: contestLegend(e, "MiB/s",
			"MiB/s: what came back, in 2^20 bytes; as much went there. A connection sends the next message when all of the last is back.",
			"CPU µs/MiB: the server's processor time to receive and send so much, user and system. Less is better.",
			"A connection of net or weir has a buffer of a message's size; so have the shared ones of raw, gnet and nbio. Weir's Server and netpoll have their own sizes.",
		),
		review: reviewContest,
	}
	for _, c := range connsBySize(e, contest{server: "echo-server", load: "echo-load", burst: 1}) {
		label := fmt.Sprintf("%d × %s", c.conns, bytesOf(c.size))
		t.trials = append(t.trials, c.trial(e, label, names, func(r loadResult) sample {
			s := r.sample()
			mib := float64(c.size) / (1 << 20)
			s[mibPerSec], s[cpuPerMib] = s[reqPerSec]*mib, s[cpuPerReq]/mib
			return s
		}))
	}
	return []table{t}
}
