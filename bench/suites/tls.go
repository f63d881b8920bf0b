package suites

import (
	"fmt"
	"slices"

	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// The tls suite: echo over TLS, on connections that stay and on connections of one message.
var tlsSuite = Suite{
	Name:     "tls",
	About:    "request and answer over TLS, and TLS connections of one message",
	Settings: Settings{Conns: []int{1, 50}, Sizes: []int{128, 16 << 10}},
	tables:   tlsTables,
}

func tlsTables(e env) ([]report.Table, error) {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeTLS != nil })
	echo := report.Table{
		Title:   fmt.Sprintf("tls: messages there and back over TLS 1.3 on 127.0.0.1, %s of %v", report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "connections × message",
		Metrics: tlsMetrics(reqPerSec, "req/s", cpuPerReq, "CPU µs/req"),
		Pairs:   report.PairsWith(names, ordinaryPeer, "nbio"),
	}
	once := report.Table{
		Title:   fmt.Sprintf("tls: connections over TLS 1.3 with one message each, %s of %v", report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "at a time × message",
		Metrics: tlsMetrics(connPerSec, "conn/s", cpuPerConn, "CPU µs/conn"),
		Pairs:   report.PairsWith(names, ordinaryPeer, "nbio"),
		Legend: []string{
			"The server has one event loop and GOMAXPROCS=1. net and weir have crypto/tls and a goroutine for each connection; weir-events and weir-ondemand have Server.TLS.",
			"nbio has its own copy of crypto/tls, which does not block, on its poller. gnet has no TLS.",
			"CPU µs: the server's processor time for a message, or for a connection with its handshake, user and system. Less is better.",
			"The clients are on Go's net and crypto/tls, and need more time than the server: so req/s and conn/s say little, and the ratios are those of the CPU.",
			"CPU vs: this row's CPU divided by the peer's in the same round: median (least–greatest). Below 1 is less work. Figures without brackets are medians.",
		},
	}
	for _, c := range connsBySize(e, contest{server: "tls-server", load: "tls-load", burst: 1}) {
		label := fmt.Sprintf("%d × %s", c.conns, report.Bytes(c.size))
		echo.Trials = append(echo.Trials, c.trial(e, label, names, sampleOf))
		if c.size != e.Sizes[0] {
			continue // a connection costs the same with each size
		}
		c.load = "tls-once-load"
		t := c.trial(e, label, names, func(r load.Result) measure.Sample {
			s := sampleOf(r)
			s[connPerSec], s[cpuPerConn] = s[reqPerSec], s[cpuPerReq]
			return s
		})
		t.Name = "once," + t.Name
		once.Trials = append(once.Trials, t)
	}
	return []report.Table{echo, once}, nil
}

// tlsMetrics are the columns of a table, whose ratios are those of the processor time.
func tlsMetrics(rate, rateHeading, cost, costHeading string) []report.Metric {
	return slices.Concat([]report.Metric{
		{Name: rate, Heading: rateHeading, Format: report.Grouped, Display: report.InTable, Compare: report.InJSON},
		{Name: cost, Heading: costHeading, Format: report.Decimals(1), Display: report.InTable, Compare: report.InTable, Ratio: "CPU "},
		{Name: latencyP50, Heading: "p50 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
		{Name: latencyP99, Heading: "p99 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
	}, busyMetrics)
}
