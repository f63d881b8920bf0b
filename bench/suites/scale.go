package suites

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// The scale suite: echo with more and more connections, all of them active. What a request
// costs should not depend on how many others there are.
var scaleSuite = Suite{
	Name:     "scale",
	About:    "echo from few to many active connections: how the cost of a request grows",
	Settings: Settings{Conns: []int{10, 100, 1000, 10000}, Sizes: []int{128}},
	tables:   scaleTables,
}

const growth = "growth"

func scaleTables(e env) ([]report.Table, error) {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeEcho != nil })
	conns := slices.Sorted(slices.Values(e.Conns))
	few, many := conns[0], conns[len(conns)-1]
	t := report.Table{
		Title: fmt.Sprintf("scale: CPU µs/req of echo by the number of connections, %s of %v for each",
			report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "message",
		Pairs:   report.PairsWith(names, peers...),
		Legend: []string{
			"All connections always have a message in flight. CPU µs/req: the server's processor time for one message, user and system.",
			fmt.Sprintf("growth: that at %d connections divided by that at %d, in the same round. The kernel's own share of it is in raw's.", many, few),
			"vs: this row's growth divided by the peer's in the same round: median (least–greatest). Below 1 grows less.",
		},
	}
	for _, n := range conns {
		t.Metrics = append(t.Metrics,
			report.Metric{Name: atConns(cpuPerReq, n), Heading: fmt.Sprintf("at %d", n), Format: report.Decimals(2), Display: report.InTable, Compare: report.InJSON},
			report.Metric{Name: atConns(reqPerSec, n), Heading: "", Format: report.Grouped, Display: report.InJSON, Compare: report.InJSON})
	}
	t.Metrics = append(t.Metrics, report.Metric{Name: growth, Heading: fmt.Sprintf("growth %d → %d", few, many), Format: report.Decimals(2), Display: report.InTable, Compare: report.InTable})
	for _, size := range e.Sizes {
		t.Trials = append(t.Trials, measure.Trial{
			Name:     fmt.Sprintf("size=%d", size),
			Label:    report.Bytes(size),
			Subjects: names,
			Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
				s := measure.Sample{}
				for _, n := range conns {
					got, err := contest{server: "echo-server", load: "echo-load", conns: n, size: size, burst: 1, setup: laboratory(e)}.measure(ctx, e, name)
					if err != nil {
						return nil, fmt.Errorf("%d connections: %w", n, err)
					}
					one := sampleOf(got)
					s[atConns(cpuPerReq, n)], s[atConns(reqPerSec, n)] = one[cpuPerReq], one[reqPerSec]
				}
				s[growth] = s[atConns(cpuPerReq, many)] / s[atConns(cpuPerReq, few)]
				return s, nil
			}),
		})
	}
	return []report.Table{t}, nil
}

// atConns names a metric at a number of connections.
func atConns(metric string, conns int) string { return fmt.Sprintf("%s_at_%d", metric, conns) }
