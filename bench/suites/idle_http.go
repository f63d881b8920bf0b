package suites

import (
	"context"
	"fmt"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/web"
)

// idleWebTable is the idle suite's table of keep-alive connections of net/http.
func idleWebTable(e env, tls bool) report.Table {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.Listen != nil })
	protocol := "HTTP"
	if tls {
		protocol = "HTTPS"
	}
	t := report.Table{
		Title: fmt.Sprintf("idle: bytes of net/http for each silent keep-alive connection of %s, after one request, %s",
			protocol, report.Counted(e.Reps, "round")),
		RowHead: "connections",
		Metrics: idleMetrics(),
		Pairs:   report.PairsWith(names, ordinaryPeer),
		Legend: []string{
			"Each connection has had an answer, and has been silent for 0.2 s at least. The columns are those of the table of TCP connections.",
			"vs: this row's resident bytes divided by the peer's in the same round: median (least–greatest). Below 1 is smaller.",
		},
	}
	for _, size := range e.Sizes {
		for _, conns := range e.Conns {
			v := idleVisit{tls: tls, contest: contest{conns: conns, size: size}}
			t.Trials = append(t.Trials, measure.Trial{
				Name:     fmt.Sprintf("%s,conns=%d,size=%d", protocol, conns, size),
				Label:    v.label(e),
				Subjects: names,
				Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
					s, err := v.measure(ctx, e, name)
					if err != nil {
						return nil, fmt.Errorf("%s: %w", name, err)
					}
					return s, nil
				}),
			})
		}
	}
	return t
}

// An idleVisit is a number of silent connections to an HTTP server.
type idleVisit struct {
	contest
	tls bool
}

func (v idleVisit) measure(ctx context.Context, e env, name string) (measure.Sample, error) {
	server, err := child.Start(ctx, child.Place{Cores: e.cores.Server, Threads: 1}, "http-server", web.Order{Subject: name, TLS: v.tls, Size: v.size})
	if err != nil {
		return nil, err
	}
	defer server.Stop() //nolint:errcheck // it is measured already: how it ends does not matter
	var at subjects.Listening
	if err := server.Answer(&at); err != nil {
		return nil, err
	}
	return v.growthOf(server, func(conns int) (*child.Process, error) {
		load, err := child.Start(ctx, child.Place{Cores: e.cores.Load, Threads: 1}, "http-idle", web.Visit{
			Addr: at.Addr, TLS: v.tls, KeepAlive: true, Size: v.size, Conns: conns, Patience: patience,
		})
		if err != nil {
			return nil, err
		}
		var ready struct{}
		return load, load.Answer(&ready)
	})
}
