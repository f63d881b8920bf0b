package main

import (
	"context"
	"fmt"
	"slices"
)

// The scale suite: echo with more and more connections, all of them active. What a request
// costs should not depend on how many others there are.
var scaleSuite = suite{
	name:   "scale",
	about:  "echo from few to many active connections: how the cost of a request grows",
	conns:  []int{10, 100, 1000, 10000},
	sizes:  []int{128},
	tables: scaleTables,
}

const growth = "growth"

func scaleTables(e env) []table {
	names := able(e.subjects, func(s subject) bool { return s.serveEcho != nil })
	conns := slices.Sorted(slices.Values(e.conns))
	few, many := conns[0], conns[len(conns)-1]
	t := table{
		title: fmt.Sprintf("scale: CPU µs/req of echo by the number of connections, %s of %v for each",
			counted(e.reps, "round"), e.dur),
		rowHead: "message",
		pairs:   pairsWith(names, peers...),
		legend: []string{
			"All connections always have a message in flight. CPU µs/req: the server's processor time for one message, user and system.",
			fmt.Sprintf("growth: that at %d connections divided by that at %d, in the same round. The kernel's own share of it is in raw's.", many, few),
			"vs: this row's growth divided by the peer's in the same round: median (least–greatest). Below 1 grows less.",
		},
	}
	for _, n := range conns {
		t.metrics = append(t.metrics,
			metric{at(cpuPerReq, n), fmt.Sprintf("at %d", n), decimals(2), inTable, inJSON},
			metric{at(reqPerSec, n), "", grouped, inJSON, inJSON})
	}
	t.metrics = append(t.metrics, metric{growth, fmt.Sprintf("growth %d → %d", few, many), decimals(2), inTable, inTable})
	for _, size := range e.sizes {
		t.trials = append(t.trials, trial{
			name:     fmt.Sprintf("size=%d", size),
			label:    bytesOf(size),
			subjects: names,
			measure: inTurn(func(ctx context.Context, name string) (sample, error) {
				s := sample{}
				for _, n := range conns {
					got, err := contest{server: "echo-server", load: "echo-load", conns: n, size: size, burst: 1}.measure(ctx, e, name)
					if err != nil {
						return nil, fmt.Errorf("%d connections: %w", n, err)
					}
					one := got.sample()
					s[at(cpuPerReq, n)], s[at(reqPerSec, n)] = one[cpuPerReq], one[reqPerSec]
				}
				s[growth] = s[at(cpuPerReq, many)] / s[at(cpuPerReq, few)]
				return s, nil
			}),
		})
	}
	return []table{t}
}

// at names a metric at a number of connections.
func at(metric string, conns int) string { return fmt.Sprintf("%s_at_%d", metric, conns) }
