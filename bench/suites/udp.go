package suites

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// The udp suite: datagrams there and back, one at a time and in bursts.
var udpSuite = Suite{
	Name:     "udp",
	About:    "datagrams there and back, received and sent singly and in batches",
	Settings: Settings{Sizes: []int{128}},
	least:    8,    // a datagram is known by its stamp
	most:     1400, // all bursts together fit into a receive buffer of the usual size
	tables:   udpTables,
}

// udpSettings lists numbers of clients, each with a socket, and of datagrams that each has in
// flight. There are no more than 64 in all: the server's receive buffer drops what it has no room
// for, and a lost datagram is an error.
var udpSettings = []struct{ clients, burst int }{{1, 1}, {4, 1}, {4, 16}}

// batches reports whether a subject is compared with raw-batch.
func batches(s subjects.Subject) bool { return strings.HasSuffix(s.Name, "-batch") }

func udpTables(e env) ([]report.Table, error) {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeUDP != nil })
	t := report.Table{
		Title: fmt.Sprintf("udp: datagrams of %s there and back on 127.0.0.1, %s of %v",
			eachSize(e.Sizes), report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "clients × in flight",
		Metrics: slices.Concat([]report.Metric{
			{Name: reqPerSec, Heading: "req/s", Format: report.Grouped, Display: report.InTable, Compare: report.InTable},
			{Name: cpuPerReq, Heading: "CPU µs/req", Format: report.Decimals(2), Display: report.InTable, Compare: report.InJSON},
			{Name: latencyP50, Heading: "p50 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
			{Name: latencyP99, Heading: "p99 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
		}, busyMetrics),
		Pairs: append(report.PairsWith(names, peers...), report.PairsWith(subjects.Able(names, batches), "raw-batch")...),
		Legend: contestLegend(e, "req/s",
			"req/s: datagrams that came back, per second. None may be lost: all that are in flight fit into a receive buffer.",
			"CPU µs/req: the server's processor time for one of them, user and system. Less is better.",
			fmt.Sprintf("-batch: recvmmsg and sendmmsg, up to %d at once. The others make two calls for each datagram. The generator has batches in any case.", subjects.UDPBatch),
		),
		Review: reviewContest,
	}
	for _, size := range e.Sizes {
		for _, s := range udpSettings {
			c := contest{server: "udp-server", load: "udp-load", conns: s.clients, burst: s.burst, size: size, setup: laboratory(e)}
			label := fmt.Sprintf("%d × %d", s.clients, s.burst)
			if len(e.Sizes) > 1 {
				label += ", " + report.Bytes(size)
			}
			t.Trials = append(t.Trials, c.trial(e, label, names, sampleOf))
		}
	}
	return []report.Table{t}, nil
}
