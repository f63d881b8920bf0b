package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed-2334f180/weir/loop"
)

// A contest is one setting of a server against a load generator.
type contest struct {
	server, load string // roles
	conns        int
	size         int // of a message
	burst        int // messages that a connection sends at once
	framed       bool
}

// patience is how long a generator waits for an answer that is out.
const patience = 5 * time.Second

// measure runs one subject's server and a generator against it, both newly started: no
// subject inherits the heap or the threads of an earlier run.
func (c contest) measure(ctx context.Context, e env, name string) (loadResult, error) {
	server, addr, err := startServer(ctx, e, c.server, name, c.size)
	if err != nil {
		return loadResult{}, fmt.Errorf("%s: %w", name, err)
	}
	defer server.stop() //nolint:errcheck // it is measured already: how it ends does not matter
	got, err := ask[loadResult](ctx, place{e.cores.load, 1}, c.load, loadOrder{
		Addr:      addr,
		ServerPID: server.cmd.Process.Pid,
		Conns:     c.conns,
		Size:      c.size,
		Burst:     c.burst,
		Framed:    c.framed,
		WarmUp:    e.dur / 5,
		Window:    e.dur,
		Patience:  patience,
	})
	if err != nil {
		return loadResult{}, fmt.Errorf("%s: %w", name, err)
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

// trial has every subject take part in the contest.
func (c contest) trial(e env, label string, names []string, figures func(loadResult) sample) trial {
	return trial{
		name:     c.name(),
		label:    label,
		subjects: names,
		measure: inTurn(func(ctx context.Context, name string) (sample, error) {
			got, err := c.measure(ctx, e, name)
			if err != nil {
				return nil, err
			}
			return figures(got), nil
		}),
	}
}

// The metrics of a suite that counts requests.
const (
	reqPerSec   = "req_per_s"
	cpuPerReq   = "cpu_us_per_req"
	latencyP50  = "p50_us"
	latencyP99  = "p99_us"
	serverBusy  = "server_busy"
	loadBusy    = "load_busy"
	disturbance = "disturbance"
)

func (r loadResult) sample() sample {
	return sample{
		reqPerSec:  float64(r.Requests) / r.Elapsed.Seconds(),
		cpuPerReq:  microseconds(r.ServerCPU) / float64(r.Requests),
		latencyP50: microseconds(r.P50),
		latencyP99: microseconds(r.P99),
		serverBusy: r.ServerCPU.Seconds() / r.Elapsed.Seconds(),
		loadBusy:   r.LoadCPU.Seconds() / r.Elapsed.Seconds(),

		disturbance: r.Queued.Seconds() / r.Elapsed.Seconds(),
	}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// busyMetrics tell whether a contest was one.
var busyMetrics = []metric{
	{serverBusy, "server core busy", percent, inTable, nowhere},
	{loadBusy, "", percent, inJSON, nowhere},
	{disturbance, "", percent, inJSON, nowhere},
}

// contestLegend explains what such suites have in common; rate is the figure that the ratios
// are of.
func contestLegend(e env, rate string, own ...string) []string {
	where := "The server has one core to itself (GOMAXPROCS=1), the load generator another."
	if e.cores.server == anywhere {
		where = "Server and load generator have GOMAXPROCS=1 each, but are not pinned to cores of their own."
	}
	return slices.Concat([]string{where}, own, []string{
		fmt.Sprintf("Weir's loops poll for up to %v before they sleep, while that is of use (loop.Options.BusyPoll); the others sleep at once.", loop.DefaultBusyPoll),
		"server core busy: the server's processor time by the clock's. Far below 100 %, it waited for the generator more than it worked.",
		"vs: this row's " + rate + " divided by the peer's in the same round: median (least–greatest). 1.10 is a tenth faster. Figures without brackets are medians.",
	})
}

// reviewContest marks the figures that say more about something else than about the server.
func reviewContest(outcomes []outcome) (notes []string, _ error) {
	const (
		full      = 0.97 // of a core
		idle      = 0.90 // of a core: below it, that core was not the limit
		disturbed = 0.05 // of a window
	)
	var worst float64
	for _, o := range outcomes {
		for _, s := range o.trial.subjects {
			if o.figure(s, loadBusy).median >= full && o.figure(s, serverBusy).median < idle {
				notes = append(notes, fmt.Sprintf(
					"Note: %s at %s: the load generator's core was full, the server's was not; it could do more than shown.",
					s, o.trial.name))
			}
			worst = max(worst, o.figure(s, disturbance).median)
		}
	}
	if worst > disturbed {
		notes = append(notes, fmt.Sprintf(
			"Note: other processes, or threads of the kernel, had the load generator's core for up to %s of a window.",
			percent(worst)))
	}
	return notes, nil
}

// connsBySize are the settings of a suite that goes through numbers of connections and sizes
// of messages: one size after the other.
func connsBySize(e env, c contest) (all []contest) {
	for _, size := range e.sizes {
		for _, conns := range e.conns {
			c.conns, c.size = conns, size
			all = append(all, c)
		}
	}
	return all
}

// label tells the trials of a table apart.
func (c contest) label(e env) string {
	if len(e.sizes) == 1 {
		return strconv.Itoa(c.conns)
	}
	return fmt.Sprintf("%d × %s", c.conns, bytesOf(c.size))
}

// eachSize names the sizes of messages for a title.
func eachSize(sizes []int) string {
	if len(sizes) == 1 {
		return bytesOf(sizes[0])
	}
	return "several sizes"
}
