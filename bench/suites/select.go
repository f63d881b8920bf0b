package suites

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/finders"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
)

// The select suite: what it costs to find the one socket that is ready among many, and how
// soon a wait for all of them ends when one becomes ready.
var selectSuite = Suite{
	Name:  "select",
	About: "Select and Selector over many sockets, beside poll, select and epoll on the same descriptors",
	tables: func(e env) ([]report.Table, error) {
		sizes := e.fitting("select", findSizes)
		return []report.Table{
			findTable(e, sizes, finders.One, "one ready, marks certain", "weir: Select, which knows from the loop's events what is ready."),
			findTable(e, sizes, finders.Doubtful, "one ready, all marks doubtful", "Before each call, every socket is made to look as if its state had changed without an event: Select must ask the kernel about all of them."),
			findTable(e, sizes, finders.Woken, "none ready, one becomes so", "The time from the write, made by another thread a while after the call began, to the end of the call."),
		}, nil
	},
}

var findSizes = []int{10, 100, 1000, 8000}

func findTable(e env, sizes []int, mode, title, legend string) report.Table {
	t := report.Table{
		Title:   fmt.Sprintf("select: %s, %s of %v", title, report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "sockets",
		Metrics: []report.Metric{{Name: nsPerCall, Heading: "ns/call", Format: report.Decimals(0), Display: report.InTable, Compare: report.InTable}},
		Pairs:   []report.Pair{{Subject: "weir", Peer: "poll", Heading: "vs poll"}, {Subject: "selector", Peer: "poll", Heading: "vs poll"}, {Subject: "selector", Peer: "epoll", Heading: "vs epoll"}},
		Legend: []string{
			legend,
			"The sockets are both ends of TCP connections over loopback, all in one process; the calls are for reading. Median of the calls.",
			"vs: this row divided by the peer in the same round: median (least–greatest). Below 1 is faster.",
		},
	}
	for _, n := range sizes {
		names := finders.For(e.Subjects, mode, n)
		t.Trials = append(t.Trials, measure.Trial{
			Name:     fmt.Sprintf("select,%s,n=%d", mode, n),
			Label:    strconv.Itoa(n),
			Subjects: names,
			Measure: func(ctx context.Context, order []string, turnTo func(string)) (measure.Round, error) {
				turnTo("all in turn")
				where := child.Place{}
				if mode != finders.Woken {
					where = child.Place{Cores: e.cores.Server, Threads: 1}
				}
				got, err := child.Ask[finders.Result](ctx, where, "select", finders.Order{Names: order, Mode: mode, Sockets: n, Window: e.Dur})
				if err != nil {
					return nil, err
				}
				r := make(measure.Round, len(order))
				for i, name := range order {
					r[name] = measure.Sample{nsPerCall: got.Nanoseconds[i]}
				}
				return r, nil
			},
		})
	}
	t.Pairs = slices.DeleteFunc(t.Pairs, func(p report.Pair) bool {
		return !slices.ContainsFunc(t.Trials, func(tr measure.Trial) bool {
			return slices.Contains(tr.Subjects, p.Subject) && slices.Contains(tr.Subjects, p.Peer)
		})
	})
	return t
}
