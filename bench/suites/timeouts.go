package suites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// The timeouts suite: how exactly a receive with SO_RCVTIMEO ends, and what a timeout costs
// the receives that never need it.
var timeoutsSuite = Suite{
	Name:     "timeouts",
	About:    "how late a receive times out, and what a timeout costs a receive that finds data",
	Settings: Settings{Sizes: []int{128}},
	most:     subjects.Filled,
	tables: func(e env) ([]report.Table, error) {
		return []report.Table{waitTable(e), receiveTable(e)}, nil
	},
}

const (
	lateP50    = "late_p50_us"
	lateP99    = "late_p99_us"
	lateMin    = "late_min_us"
	earlyCount = "early"
	waitCount  = "waits"
)

func waitTable(e env) report.Table {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.NewWaiter != nil })
	t := report.Table{
		Title:   fmt.Sprintf("timeouts: lateness of a receive that finds nothing, %s of %v", report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "timeout",
		Metrics: []report.Metric{
			{Name: lateP50, Heading: "late p50 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InTable},
			{Name: lateP99, Heading: "late p99 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
			{Name: lateMin, Heading: "least µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.Nowhere},
			{Name: earlyCount, Heading: "early", Format: report.Whole, Display: report.InTable, Compare: report.Nowhere},
			{Name: waitCount, Heading: "waits a round", Format: report.Whole, Display: report.InTable, Compare: report.Nowhere},
		},
		Pairs: report.PairsWith(names, "kernel", "net"),
		Legend: []string{
			fmt.Sprintf("late: the time the receive took, less its timeout; %d sockets wait at the same time, each in its own goroutine, not pinned.", subjects.Sleepers),
			"p99 of fewer than 100 waits is the latest of the round. early: waits that ended before their timeout; there must be none.",
			"kernel: a blocking read on a thread of its own; its timeout is rounded up to the kernel's tick. net: SetReadDeadline before each Read.",
			"vs: this row's p50 divided by the peer's in the same round: median (least–greatest). Below 1 is less late.",
		},
		Review: reviewWaits,
	}
	for _, timeout := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond} {
		t.Trials = append(t.Trials, measure.Trial{
			Name:     fmt.Sprintf("timeout=%v", timeout),
			Label:    timeout.String(),
			Subjects: names,
			Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
				result, err := child.Ask[subjects.WaitResult](ctx, child.Place{}, "wait", subjects.WaitOrder{Subject: name, Timeout: timeout, Window: e.Dur})
				return waitSample(result), err
			}),
		})
	}
	return t
}

// reviewWaits returns an error if a wait ended before its timeout.
func reviewWaits(outcomes []measure.Outcome) (_ []string, err error) {
	for _, o := range outcomes {
		for _, name := range o.Trial.Subjects {
			if o.Figure(name, earlyCount).Max > 0 {
				err = errors.Join(err, fmt.Errorf("%s ended a receive before its timeout of %s", name, o.Trial.Label))
			}
		}
	}
	return nil, err
}

func waitSample(r subjects.WaitResult) measure.Sample {
	return measure.Sample{
		lateP50:    microseconds(r.P50),
		lateP99:    microseconds(r.P99),
		lateMin:    microseconds(r.Min),
		earlyCount: float64(r.Early),
		waitCount:  float64(r.Waits),
	}
}

const (
	nsPerReceive = "ns_per_recv"
	costIsNoneAt = 1.03 // the most that weir with a timeout may cost, beside weir without
)

func receiveTable(e env) report.Table {
	var names []string
	var pairs []report.Pair
	for _, name := range subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.NewInlet != nil }) {
		names = append(names, name, name+subjects.WithTimeout)
		pairs = append(pairs, report.Pair{Subject: name + subjects.WithTimeout, Peer: name, Heading: "vs without timeout"})
	}
	for _, p := range report.PairsWith(names, "net", "kernel") {
		if strings.HasSuffix(p.Subject, subjects.WithTimeout) { // like with like
			p.Peer += subjects.WithTimeout
		}
		if p.Subject != p.Peer {
			pairs = append(pairs, p)
		}
	}
	t := report.Table{
		Title:   fmt.Sprintf("timeouts: a receive of %s that are already there, %s", eachSize(e.Sizes), report.Counted(e.Reps, "round")),
		RowHead: "size",
		Metrics: []report.Metric{{Name: nsPerReceive, Heading: "ns/receive", Format: report.Decimals(0), Display: report.InTable, Compare: report.InTable}},
		Pairs:   pairs,
		Legend: []string{
			fmt.Sprintf("One goroutine fills a unix stream socket with %s and receives them in pieces of the size; only the receives are timed.", report.Bytes(subjects.Filled)),
			fmt.Sprintf("-timeout: with a timeout of %v that never ends a receive. weir, kernel: set once. net: SetReadDeadline before each Read.", subjects.LongTimeout),
			"vs: this row divided by the peer in the same round, timeout beside timeout: median (least–greatest). Below 1 is cheaper.",
		},
		Review: reviewReceives,
	}
	for _, size := range e.Sizes {
		t.Trials = append(t.Trials, measure.Trial{
			Name:     fmt.Sprintf("receive,size=%d", size),
			Label:    report.Bytes(size),
			Subjects: names,
			Measure: func(ctx context.Context, order []string, turnTo func(string)) (measure.Round, error) {
				turnTo("all in turn")
				return measureCost(ctx, e, size, order)
			},
		})
	}
	return t
}

func reviewReceives(outcomes []measure.Outcome) (notes []string, _ error) {
	for _, o := range outcomes {
		if !slices.Contains(o.Trial.Subjects, "weir") {
			continue
		}
		if r := o.Ratio("weir"+subjects.WithTimeout, "weir", nsPerReceive); r.Median > costIsNoneAt {
			notes = append(notes, fmt.Sprintf("weir's receive costs %.3f with a timeout of what it costs without; %.2f is the most it should.", r.Median, costIsNoneAt))
		}
	}
	return notes, nil
}

func measureCost(ctx context.Context, e env, size int, order []string) (measure.Round, error) {
	got, err := child.Ask[subjects.ReceiveResult](ctx, child.Place{Cores: e.cores.Server, Threads: 1}, "receive", subjects.ReceiveOrder{Names: order, Size: size, Window: e.Dur})
	if err != nil {
		return nil, err
	}
	r := make(measure.Round, len(order))
	for i, name := range order {
		r[name] = measure.Sample{nsPerReceive: got.Nanoseconds[i]}
	}
	return r, nil
}
