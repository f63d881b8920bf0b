package suites

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// A contest is one setting of a server against a load generator.
type contest struct {
	server, load string // roles
	conns        int
	size         int // of a message
	burst        int // messages that a connection sends at once
	framed       bool

	setup
	steps  int           // of computation for each message
	rate   float64       // messages per second to send; 0: as fast as answers come
	window time.Duration // 0: the user's
}

// A setup is where a server and a generator run.
type setup struct {
	cores machine.Cores
	procs int            // GOMAXPROCS of the server
	quota *machine.Quota // of the server; nil: none
}

// laboratory is the setup of the suites that give the server a core of its own, and
// GOMAXPROCS=1.
func laboratory(e env) setup { return setup{cores: e.cores, procs: 1} }

// patience is the longest wait for an answer. On a busy machine a process may stand still for seconds.
const patience = 20 * time.Second

// measure starts the server of a subject and a generator, and returns what the generator
// counted. Both processes are new, so that no subject inherits the heap or the threads of an
// earlier run.
func (c contest) measure(ctx context.Context, e env, name string) (load.Result, error) {
	server, addr, err := subjects.StartServer(ctx,
		child.Place{Cores: c.cores.Server, Threads: c.procs, Quota: c.quota}, c.server,
		subjects.Order{Subject: name, Size: c.size, Steps: c.steps})
	if err != nil {
		return load.Result{}, fmt.Errorf("%s: %w", name, err)
	}
	defer server.Stop() //nolint:errcheck // it is measured already: how it ends does not matter
	got, err := child.Ask[load.Result](ctx, child.Place{Cores: c.cores.Load, Threads: 1}, c.load, load.Order{
		Addr:      addr,
		ServerPID: server.Pid(),
		Conns:     c.conns,
		Size:      c.size,
		Burst:     c.burst,
		Framed:    c.framed,
		WarmUp:    e.Dur / 5,
		Window:    cmp.Or(c.window, e.Dur),
		Patience:  patience,
		Rate:      c.rate,
	})
	if err != nil {
		return load.Result{}, fmt.Errorf("%s: %w", name, err)
	}
	return got, nil
}

// name is the "case" of the JSON lines.
func (c contest) name() string {
	name := fmt.Sprintf("conns=%d,size=%d", c.conns, c.size)
	if c.burst > 1 {
		name += fmt.Sprintf(",burst=%d", c.burst)
	}
	return name
}

// trial makes the trial in which each subject takes part in the contest.
func (c contest) trial(e env, label string, names []string, figures func(load.Result) measure.Sample) measure.Trial {
	return measure.Trial{
		Name:     c.name(),
		Label:    label,
		Subjects: names,
		Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
			got, err := c.measure(ctx, e, name)
			if err != nil {
				return nil, err
			}
			return figures(got), nil
		}),
	}
}

// nsPerCall is the metric of the suites that time calls.
const nsPerCall = "ns_per_call"

// The metrics of a suite that counts requests.
const (
	reqPerSec   = "req_per_s"
	cpuPerReq   = "cpu_us_per_req"
	latencyP50  = "p50_us"
	latencyP99  = "p99_us"
	latencyP999 = "p999_us"
	serverBusy  = "server_busy"
	loadBusy    = "load_busy"
	disturbance = "disturbance"
)

func sampleOf(r load.Result) measure.Sample {
	return measure.Sample{
		reqPerSec:   float64(r.Requests) / r.Elapsed.Seconds(),
		cpuPerReq:   microseconds(r.ServerCPU) / float64(r.Requests),
		latencyP50:  microseconds(r.P50),
		latencyP99:  microseconds(r.P99),
		latencyP999: microseconds(r.P999),
		serverBusy:  r.ServerCPU.Seconds() / r.Elapsed.Seconds(),
		loadBusy:    r.LoadCPU.Seconds() / r.Elapsed.Seconds(),

		disturbance: r.Queued.Seconds() / r.Elapsed.Seconds(),
	}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// busyMetrics show whether the server was the limit.
var busyMetrics = []report.Metric{
	{Name: serverBusy, Heading: "server core busy", Format: report.Percent, Display: report.InTable, Compare: report.Nowhere},
	{Name: loadBusy, Heading: "", Format: report.Percent, Display: report.InJSON, Compare: report.Nowhere},
	{Name: disturbance, Heading: "", Format: report.Percent, Display: report.InJSON, Compare: report.Nowhere},
}

// contestLegend explains what the suites of contests have in common. rate is the figure whose
// ratios are shown.
func contestLegend(e env, rate string, own ...string) []string {
	where := "The server has one core to itself (GOMAXPROCS=1), the load generator another."
	if e.cores.Server == nil {
		where = "Server and load generator have GOMAXPROCS=1 each, but are not pinned to cores of their own."
	}
	return slices.Concat([]string{where}, own, []string{
		fmt.Sprintf("Weir's loops poll for up to %v before they sleep, while such polls mostly find something; the others sleep at once.", time.Duration(subjects.BusyPoll)),
		"server core busy: the server's processor time by the clock's. Far below 100 %, the server waited for the generator more than it worked.",
		"vs: this row's " + rate + " divided by the peer's in the same round: median (least–greatest). 1.10 is a tenth faster. Figures without brackets are medians.",
	})
}

// reviewContest notes the figures that something other than the server decided.
func reviewContest(outcomes []measure.Outcome) (notes []string, _ error) {
	const (
		full      = 0.97 // of a core
		idle      = 0.90 // of a core: below it, that core was not the limit
		disturbed = 0.05 // of a window
	)
	var worst float64
	for _, o := range outcomes {
		for _, s := range o.Trial.Subjects {
			if o.Figure(s, loadBusy).Median >= full && o.Figure(s, serverBusy).Median < idle {
				notes = append(notes, fmt.Sprintf(
					"Note: %s at %s: the load generator's core was full, the server's was not; it could do more than shown.",
					s, o.Trial.Name))
			}
			worst = max(worst, o.Figure(s, disturbance).Median)
		}
	}
	if worst > disturbed {
		notes = append(notes, fmt.Sprintf(
			"Note: other processes, or threads of the kernel, had the load generator's core for up to %s of a window.",
			report.Percent(worst)))
	}
	return notes, nil
}

// connsBySize lists the contests of a suite that goes through numbers of connections and sizes
// of messages: one size after the other.
func connsBySize(e env, c contest) (all []contest) {
	c.setup = laboratory(e)
	for _, size := range e.Sizes {
		for _, conns := range e.Conns {
			c.conns, c.size = conns, size
			all = append(all, c)
		}
	}
	return all
}

// label names the trial in the first column of a table.
func (c contest) label(e env) string {
	if len(e.Sizes) == 1 {
		return strconv.Itoa(c.conns)
	}
	return fmt.Sprintf("%d × %s", c.conns, report.Bytes(c.size))
}

// eachSize names the sizes of messages for a title.
func eachSize(sizes []int) string {
	if len(sizes) == 1 {
		return report.Bytes(sizes[0])
	}
	return "several sizes"
}
