package suites

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// This file has what the suites of ordinary use share: ordinary, neighbours and pace.

// Where the server and the load generator run.
const (
	PinApart  = "apart"
	PinShared = "shared"
)

// Pins lists what Settings.Pins may contain.
var Pins = []string{PinApart, PinShared}

// The peers of these suites.
const (
	ordinaryPeer = "net"
	eventsPeer   = "gnet"
)

// A cell is one combination of settings.
type cell struct {
	procs  int
	pin    string
	work   time.Duration
	conns  int
	beside beside
	size   int
	rate   int // requests per second; 0: as fast as answers come
	open   int // per cent of net's greatest rate; 0: as fast as answers come
}

// name is the "case" of the JSON lines.
func (c cell) name() string {
	parts := []string{fmt.Sprintf("procs=%d", c.procs), "pin=" + c.pin}
	if c.beside.name != "" {
		parts = append(parts, "beside="+c.beside.name)
	}
	parts = append(parts, fmt.Sprintf("work=%v", c.work), fmt.Sprintf("conns=%d", c.conns), fmt.Sprintf("size=%d", c.size))
	if c.rate > 0 {
		parts = append(parts, fmt.Sprintf("rate=%d", c.rate))
	}
	if c.open > 0 {
		parts = append(parts, fmt.Sprintf("open=%d%%", c.open))
	}
	return strings.Join(parts, ",")
}

// trial makes the trial of the cell. steps is the number of steps of the computation in a
// microsecond.
func (c cell) trial(e env, label string, names []string, steps float64) measure.Trial {
	var offered float64 // of an open loop: the same in all rounds
	return measure.Trial{
		Name:     c.name(),
		Label:    label,
		Subjects: names,
		Measure: func(ctx context.Context, order []string, turnTo func(string)) (_ measure.Round, err error) {
			contest, end, err := c.begin(ctx, e, steps)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, end()) }()
			if c.open > 0 {
				if offered == 0 {
					turnTo(ordinaryPeer + ", for its greatest rate")
					greatest, err := contest.saturation(ctx, e, ordinaryPeer)
					if err != nil {
						return nil, err
					}
					offered = greatest * float64(c.open) / 100
				}
				contest.load, contest.rate = "paced-load", offered
			}
			return measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
				got, err := contest.measure(ctx, e, name)
				if err != nil {
					return nil, err
				}
				return ordinarySample(got, contest.rate), nil
			})(ctx, order, turnTo)
		},
	}
}

// saturation returns the requests per second that a subject answers when each connection sends
// the next as soon as it has the answer: the median of a few runs.
func (c contest) saturation(ctx context.Context, e env, name string) (float64, error) {
	rates := make([]float64, 3)
	for i := range rates {
		got, err := c.measure(ctx, e, name)
		if err != nil {
			return 0, err
		}
		rates[i] = sampleOf(got)[reqPerSec]
	}
	return measure.SpreadOf(rates).Median, nil
}

// begin sets up what a round needs, and returns the function that removes it.
func (c cell) begin(ctx context.Context, e env, steps float64) (_ contest, end func() error, err error) {
	contest := contest{
		server: "ordinary-server",
		load:   "echo-load",
		conns:  c.conns,
		size:   c.size,
		burst:  1,
		setup:  setup{procs: c.procs},
		steps:  int(steps * float64(c.work) / float64(time.Microsecond)),
	}
	if c.pin == PinApart {
		contest.cores = machine.Apart(c.procs)
	}
	if c.rate > 0 {
		contest.load, contest.rate = "paced-load", float64(c.rate)
		// Even at a slow pace a window has some requests.
		const least = 10
		contest.window = max(e.Dur, least*time.Second/time.Duration(c.rate))
	}
	if c.beside.quota > 0 {
		contest.window = max(e.Dur, quotaLeast)
	}
	contest.quota, end, err = c.beside.begin(ctx)
	return contest, end, err
}

// The metrics of these suites, beside those of a contest.
const (
	offeredRate = "offered_per_s"
	sentLate    = "sent_late_p99_us"
	keptUp      = "kept_up"
)

func ordinarySample(r load.Result, rate float64) measure.Sample {
	s := sampleOf(r)
	if rate > 0 {
		s[offeredRate] = rate
		s[sentLate] = microseconds(r.Late)
		s[keptUp] = 1 - float64(r.Behind)/(rate*r.Elapsed.Seconds())
	}
	return s
}

// cellTable makes a table of these suites, without its trials.
func cellTable(title, rowHead string, names []string) report.Table {
	ratio := func(m report.Metric, heading string, peers ...string) report.Metric {
		m.Compare, m.Ratio, m.Beside = report.InTable, heading, peers
		return m
	}
	return report.Table{
		Title:   title,
		RowHead: rowHead,
		Metrics: []report.Metric{
			ratio(report.Metric{Name: reqPerSec, Heading: "req/s", Format: report.Grouped, Display: report.InTable}, "req/s "),
			ratio(report.Metric{Name: cpuPerReq, Heading: "CPU µs/req", Format: report.Decimals(2), Display: report.InTable}, "CPU ", ordinaryPeer),
			{Name: latencyP50, Heading: "p50 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
			ratio(report.Metric{Name: latencyP99, Heading: "p99 µs", Format: report.Decimals(0), Display: report.InTable}, "p99 ", ordinaryPeer),
			{Name: latencyP999, Heading: "p99.9 µs", Format: report.Decimals(0), Display: report.InTable, Compare: report.InJSON},
			{Name: serverBusy, Heading: "server busy", Format: report.Percent, Display: report.InTable},
			{Name: loadBusy, Format: report.Percent, Display: report.InJSON},
			{Name: offeredRate, Format: report.Grouped, Display: report.InJSON},
			{Name: sentLate, Format: report.Decimals(0), Display: report.InJSON},
			{Name: keptUp, Format: report.Percent, Display: report.InJSON},
		},
		Pairs:  report.PairsWith(names, ordinaryPeer, eventsPeer),
		Review: reviewCells,
	}
}

// cellLegend explains the tables of these suites. It stands below the last of them.
func cellLegend(e env, own ...string) []string {
	return slices.Concat(own, []string{
		"The server has as many event loops as processors (GOMAXPROCS), and its handler computes before it answers: a fixed number of steps, the same for all.",
		"apart: the load generator has a core to itself, the server the others, up to GOMAXPROCS. shared: both may use all cores. The generator is a process with one thread.",
		"CPU µs/req: the server's processor time for one request, user and system, the computation included. server busy: the same by the clock's; 200 % is two cores.",
		"vs: this row's figure divided by the peer's in the same round: median (least–greatest). More req/s is better; less CPU, p99 is better.",
		fmt.Sprintf("%s of %v for each subject; figures without brackets are medians.", report.Counted(e.Reps, "round"), e.Dur),
	})
}

// reviewCells names the cells that say more about the generator than about the server.
func reviewCells(outcomes []measure.Outcome) (notes []string, _ error) {
	const (
		full    = 0.97 // of a core
		behind  = 0.98 // of the requests that were due
		tooLate = 500  // µs
	)
	var busy, waited, late []string
	for _, o := range outcomes {
		for _, s := range o.Trial.Subjects {
			which := s + " at " + o.Trial.Name
			if o.Figure(s, loadBusy).Median >= full {
				busy = append(busy, which)
			}
			if o.Has(s, keptUp) && o.Figure(s, keptUp).Median < behind {
				waited = append(waited, which)
			}
			if o.Has(s, sentLate) && o.Figure(s, sentLate).Median > tooLate {
				late = append(late, which)
			}
		}
	}
	const shown = 3
	note := func(cells []string, words string) {
		if len(cells) == 0 {
			return
		}
		some := strings.Join(cells[:min(shown, len(cells))], "; ")
		if more := len(cells) - shown; more > 0 {
			some += fmt.Sprintf("; and %d more", more)
		}
		notes = append(notes, "Note: "+words+": "+some+".")
	}
	note(busy, "the load generator was busy all the time, so the server could do more than shown")
	note(waited, "more than 2 % of the requests still waited for a free connection when the window ended")
	note(late, fmt.Sprintf("one request in 100 left more than %d µs after it was due though its connection was free, because the generator waited for a core; the latencies contain that", tooLate))
	return notes, nil
}

// ordinaryNames lists the chosen subjects that take part in these suites.
func ordinaryNames(e env) []string {
	return subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeOrdinary != nil })
}

// weirNames lists the subjects that the criteria of a summary are about.
var weirNames = []string{"weir", "weir-events", "weir-ondemand", "weir-httpd"}

// ordinaryCriteria are what Weir should reach in each cell. At an offered rate all subjects
// have the same number of requests, so their cost and their latencies are what differs.
func ordinaryCriteria(e env) []report.Criterion {
	criteria := []report.Criterion{
		{Metric: cpuPerReq, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1, AtMost: true, Heading: "more CPU per request than net"},
		{Metric: latencyP99, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1.1, AtMost: true, Heading: "p99 above 1.1 of net"},
		{Metric: latencyP999, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1.1, AtMost: true, Heading: "p99.9 above 1.1 of net"},
	}
	if e.Open > 0 {
		return criteria
	}
	return append([]report.Criterion{
		{Metric: reqPerSec, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1, Heading: "fewer requests than net"},
		{Metric: reqPerSec, Subjects: weirNames, Peer: ordinaryPeer, Limit: 1.15, Heading: "requests below 1.15 of net", Counted: true},
		{Metric: reqPerSec, Subjects: []string{"weir-events"}, Peer: eventsPeer, Limit: 1.1, Heading: "requests below 1.1 of gnet"},
	}, criteria...)
}

// stepsFor measures how many steps of the computation take a microsecond, if a setting needs it.
func stepsFor(works []time.Duration) float64 {
	if slices.Max(works) == 0 {
		return 0
	}
	return subjects.StepsPerMicrosecond()
}
