package suites

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/together"
)

// The oneprocess suite: a server and its clients in one process, as in a program that serves
// and asks others at the same time. One side may be Weir's and the other net's.
var oneProcessSuite = Suite{
	Name:  "oneprocess",
	About: "server and clients in one process, each on Weir or on net, beside timers and a garbage collector",
	Settings: Settings{
		Procs: []int{2},
		Conns: []int{1, 8, 64, 512},
		Sizes: []int{128},
	},
	most:     ordinaryMost,
	tables:   oneProcessTables,
	criteria: oneProcessCriteria,
}

func oneProcessCriteria(env) []report.Criterion {
	return []report.Criterion{
		{Metric: reqPerSec, Subjects: weirMixes(), Peer: bothNet, Limit: 1, Heading: "fewer requests than net+net"},
		{Metric: reqPerSec, Subjects: weirMixes(), Peer: bothNet, Limit: 1.15, Heading: "requests below 1.15 of net+net", Counted: true},
		{Metric: cpuPerReq, Subjects: weirMixes(), Peer: bothNet, Limit: 1, AtMost: true, Heading: "more CPU per request than net+net"},
		{Metric: latencyP99, Subjects: weirMixes(), Peer: bothNet, Limit: 1.1, AtMost: true, Heading: "p99 above 1.1 of net+net"},
	}
}

const bothNet = "net+net"

// mixServers and mixClients are the subjects of this suite. A mix is named "server+client".
var (
	mixServers = []string{"weir", "weir-events", "weir-ondemand", "net"}
	mixClients = []string{"weir", "net"}
)

// mixes lists the mixes of which both sides were chosen.
func mixes(chosen []string) (names []string) {
	for _, server := range mixServers {
		for _, client := range mixClients {
			if slices.Contains(chosen, server) && slices.Contains(chosen, client) {
				names = append(names, server+"+"+client)
			}
		}
	}
	return names
}

// weirMixes lists the mixes with a side of Weir's.
func weirMixes() []string {
	return slices.DeleteFunc(mixes(subjects.Names()), func(name string) bool { return name == bothNet })
}

func oneProcessTables(e env) ([]report.Table, error) {
	names := mixes(e.Subjects)
	var tables []report.Table
	for _, procs := range e.Procs {
		t := cellTable(fmt.Sprintf("oneprocess: server+clients in one process, GOMAXPROCS=%d, on all cores", procs), "connections", names)
		t.Pairs = report.PairsWith(names, bothNet)
		for i, m := range t.Metrics {
			if m.Beside != nil {
				t.Metrics[i].Beside = []string{bothNet}
			}
		}
		t.Review = nil
		for _, size := range e.Sizes {
			for _, conns := range e.Conns {
				t.Trials = append(t.Trials, togetherTrial(e, procs, conns, size, names))
			}
		}
		tables = append(tables, t)
	}
	return explained(tables, []string{
		"weir+net: a server of subject weir, and clients on Go's net. weir's clients are on the socket class. Each client has a goroutine, and one message in flight.",
		"64 timers of time.AfterFunc expire every 10 ms each, and the collector has 64 MB of garbage a second to collect. All figures are the same process's:",
		"CPU µs/req: the processor time of server, clients, timers and collector for one request. server busy: the same by the clock's; 200 % is two cores.",
		"vs: this row's figure divided by the peer's in the same round: median (least–greatest). More req/s is better; less CPU, p99 is better.",
		fmt.Sprintf("%s of %v for each mix; figures without brackets are medians.", report.Counted(e.Reps, "round"), e.Dur),
	}), nil
}

func togetherTrial(e env, procs, conns, size int, names []string) measure.Trial {
	label := strconv.Itoa(conns)
	if len(e.Sizes) > 1 {
		label += " × " + report.Bytes(size)
	}
	return measure.Trial{
		Name:     fmt.Sprintf("procs=%d,conns=%d,size=%d", procs, conns, size),
		Label:    label,
		Subjects: names,
		Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
			got, err := measureTogether(ctx, e, procs, conns, size, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return got, nil
		}),
	}
}

func measureTogether(ctx context.Context, e env, procs, conns, size int, mix string) (measure.Sample, error) {
	server, client, _ := strings.Cut(mix, "+")
	got, err := child.Ask[load.Result](ctx, child.Place{Threads: procs}, "together", together.Order{
		Server:   server,
		Client:   client,
		Conns:    conns,
		Size:     size,
		WarmUp:   e.Dur / 5,
		Window:   e.Dur,
		Patience: patience,
	})
	if err != nil {
		return nil, err
	}
	return sampleOf(got), nil
}
