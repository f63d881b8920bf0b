package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The echo suite: every connection sends a message, waits until all of it has come back, and
// sends the next.
var echoSuite = suite{
	name:   "echo",
	about:  "request and answer over TCP, one message in flight per connection",
	tables: echoTables,
}

// The metrics of an echo sample.
const (
	reqPerSec   = "req_per_s"
	cpuPerReq   = "cpu_us_per_req"
	latencyP50  = "p50_us"
	latencyP99  = "p99_us"
	serverBusy  = "server_busy"
	loadBusy    = "load_busy"
	disturbance = "disturbance"
)

func echoTables(e env) []table {
	names := able(e.subjects, func(s subject) bool { return s.serveEcho != nil })
	t := table{
		title: fmt.Sprintf("echo: messages of %s there and back over TCP on 127.0.0.1, %s of %v",
			bytesOf(e.size), counted(e.reps, "round"), e.dur),
		rowHead: "connections",
		metrics: []metric{
			{reqPerSec, "req/s", grouped, inTable, inTable},
			{cpuPerReq, "CPU µs/req", decimals(2), inTable, inJSON},
			{latencyP50, "p50 µs", decimals(0), inTable, inJSON},
			{latencyP99, "p99 µs", decimals(0), inTable, inJSON},
			{serverBusy, "server core busy", percent, inTable, nowhere},
			{loadBusy, "", percent, inJSON, nowhere},
			{disturbance, "", percent, inJSON, nowhere},
		},
		pairs:  pairsWith(names, "net", "gnet"),
		legend: echoLegend(e),
		review: reviewEcho,
	}
	for _, conns := range e.conns {
		t.trials = append(t.trials, trial{
			name:     fmt.Sprintf("conns=%d,size=%d", conns, e.size),
			label:    strconv.Itoa(conns),
			subjects: names,
			measure: inTurn(func(ctx context.Context, subject string) (sample, error) {
				return measureEcho(ctx, e, subject, conns)
			}),
		})
	}
	return []table{t}
}

func echoLegend(e env) []string {
	where := "The server has one core to itself (GOMAXPROCS=1), the load generator another."
	if e.cores.server == anywhere {
		where = "Server and load generator have GOMAXPROCS=1 each, but are not pinned to cores of their own."
	}
	return []string{
		where,
		"req/s: messages that came back, per second. More is better.",
		"CPU µs/req: the server's processor time for one of them, user and system. Less is better; the steadiest figure on a noisy machine.",
		"p50, p99: half, and 99 in 100, of the messages came back within this time. It grows with the connections, for they queue.",
		"With few connections the cores sleep between messages, and much of the time is that of waking them: most of all on a virtual machine.",
		"server core busy: the server's processor time by the clock's. Far below 100 %, it waited for the generator more than it worked.",
		"vs: this row's req/s divided by the peer's in the same round: median (least–greatest). 1.10 is a tenth faster. Figures without brackets are medians.",
	}
}

// reviewEcho marks the figures that say more about something else than about the server.
func reviewEcho(outcomes []outcome) (notes []string, _ error) {
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
					"Note: %s at %s connections: the load generator's core was full, the server's was not; it could do more req/s than shown.",
					s, o.trial.label))
			}
			worst = max(worst, o.figure(s, disturbance).median)
		}
	}
	if worst > disturbed {
		notes = append(notes, fmt.Sprintf(
			"Note: other processes were using the machine: server or generator waited for its own core for up to %s of a window. Measure again when it is quiet.",
			percent(worst)))
	}
	return notes, nil
}

// measureEcho runs one subject's server and a generator against it, both newly started: no
// subject inherits the heap or the threads of an earlier run.
func measureEcho(ctx context.Context, e env, name string, conns int) (_ sample, err error) {
	server, err := startChild(ctx, place{e.cores.server, 1}, "echo-server", echoOrder{name, e.size})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer server.stop() //nolint:errcheck // it is measured already: how it ends does not matter
	var at listening
	if err := server.answer(&at); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	got, err := ask[loadResult](ctx, place{e.cores.load, 1}, "echo-load", loadOrder{
		Addr:      at.Addr,
		ServerPID: server.cmd.Process.Pid,
		Conns:     conns,
		Size:      e.size,
		WarmUp:    e.dur / 5,
		Window:    e.dur,
		Patience:  5 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return got.sample(), nil
}

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

type echoOrder struct {
	Subject string
	Size    int
}

type listening struct{ Addr string }

// serveEcho is the role of a server.
func serveEcho(order echoOrder, answer answerFunc) error {
	i := slices.IndexFunc(subjects, func(s subject) bool { return s.name == order.Subject })
	if i < 0 || subjects[i].serveEcho == nil {
		return fmt.Errorf("subject %q has no echo server", order.Subject)
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	return subjects[i].serveEcho(order.Size, func(addr string) error { return answer(listening{addr}) })
}
