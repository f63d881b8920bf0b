package main

import (
	"fmt"
	"slices"
	"strings"
)

// The udp suite: datagrams there and back, one at a time and in bursts.
var udpSuite = suite{
	name:   "udp",
	about:  "datagrams there and back, received and sent singly and in batches",
	sizes:  []int{128},
	least:  8,    // a datagram is known by its stamp
	most:   1400, // so many of all bursts fit the smallest of usual receive buffers
	tables: udpTables,
}

// udpSettings are clients, each with a socket of its own, and datagrams that each has in
// flight. Not more than 64 in all: what does not fit the server's receive buffer is lost, and
// a lost one is an error.
var udpSettings = []struct{ clients, burst int }{{1, 1}, {4, 1}, {4, 16}}

// batches tells the subjects that are to be set beside raw-batch.
func batches(s subject) bool { return strings.HasSuffix(s.name, "-batch") }

func udpTables(e env) []table {
	names := able(e.subjects, func(s subject) bool { return s.serveUDP != nil })
	t := table{
		title: fmt.Sprintf("udp: datagrams of %s there and back on 127.0.0.1, %s of %v",
			eachSize(e.sizes), counted(e.reps, "round"), e.dur),
		rowHead: "clients × in flight",
		metrics: slices.Concat([]metric{
			{reqPerSec, "req/s", grouped, inTable, inTable},
			{cpuPerReq, "CPU µs/req", decimals(2), inTable, inJSON},
			{latencyP50, "p50 µs", decimals(0), inTable, inJSON},
			{latencyP99, "p99 µs", decimals(0), inTable, inJSON},
		}, busyMetrics),
		pairs: append(pairsWith(names, peers...), pairsWith(able(names, batches), "raw-batch")...),
		legend: contestLegend(e, "req/s",
			"req/s: datagrams that came back, per second. None may be lost: a queue never has more than a receive buffer holds.",
			"CPU µs/req: the server's processor time for one of them, user and system. Less is better.",
			fmt.Sprintf("-batch: recvmmsg and sendmmsg, up to %d at once. The others make two calls for each datagram. The generator has batches in any case.", udpBatch),
		),
		review: reviewContest,
	}
	for _, size := range e.sizes {
		for _, s := range udpSettings {
			c := contest{server: "udp-server", load: "udp-load", conns: s.clients, burst: s.burst, size: size}
			label := fmt.Sprintf("%d × %d", s.clients, s.burst)
			if len(e.sizes) > 1 {
				label += ", " + bytesOf(size)
			}
			t.trials = append(t.trials, c.trial(e, label, names, loadResult.sample))
		}
	}
	return []table{t}
}
