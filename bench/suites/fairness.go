package suites

import (
	"context"
	"errors"
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
	"github.com/seed-2334f180/weir/bench/wire"
)

// The fairness suite: how long the small requests of bystanders take while others flood the
// server, and without the flood.
var fairnessSuite = Suite{
	Name:  "fairness",
	About: "latency of bystanders beside connections that send or drain without end, and beside 10,000 that connect",
	Settings: Settings{
		Floods: Floods(),
		Rates:  []int{2000},
		Conns:  []int{16},
		Sizes:  []int{128},
	},
	least:  wire.HeaderSize + 8,
	most:   ordinaryMost,
	tables: fairnessTables,
}

const (
	quietP50  = "quiet_p50_us"
	quietP99  = "quiet_p99_us"
	ratioP99  = "p99_ratio"
	floodRate = "flood_per_s"
)

// A flood is what a server has to live with beside its bystanders.
type flood struct {
	name  string // for Settings.Floods
	label string
	unit  float64 // the flood is counted in so many bytes, or connections
	load  load.Flood
}

// crowd is how many clients connect at once where descriptors allow it.
const crowd = 10_000

// floods lists the floods for a process that may have so many descriptors.
func floods(files int) []flood {
	clients := max(1, min(crowd, files-2*machine.SpareFiles))
	return []flood{
		{"send", "one sends without end", 1 << 20, load.Flood{Senders: 1}},
		{"send64", "64 send without end", 1 << 20, load.Flood{Senders: 64}},
		{"drain", "one drains 64 MiB in pieces of 1 KiB", 1 << 20,
			load.Flood{Ordered: wire.Order{Total: 64 << 20, Piece: 1 << 10}, Delay: floodDelay}},
		{"write", "a callback writes 256 MiB", 1 << 20,
			load.Flood{Ordered: wire.Order{Total: wire.MaxOrder, Piece: wire.MaxOrder}}},
		{"connect", report.Grouped(float64(clients)) + " connect at once", 1, load.Flood{Clients: clients}},
	}
}

// floodPatience is the longest wait for an answer: a starved bystander is a result, and no error.
const floodPatience = 30 * time.Second

// floodDelay is how long a client that drains waits until it reads.
const floodDelay = 20 * time.Millisecond

// Floods lists what Settings.Floods may contain.
func Floods() (names []string) {
	for _, f := range floods(crowd) {
		names = append(names, f.name)
	}
	return names
}

func fairnessTables(e env) ([]report.Table, error) {
	files, err := machine.HardFileLimit()
	if err != nil {
		return nil, err
	}
	all := floods(int(min(files, 1<<20)))
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeFlood != nil })
	t := report.Table{
		Title: fmt.Sprintf("fairness: messages of %s there and back, beside a flood and without it, %s of %v",
			eachSize(e.Sizes), report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "flood",
		Metrics: []report.Metric{
			{Name: latencyP50, Heading: "p50 µs", Format: report.Decimals(0), Display: report.InTable},
			{Name: quietP50, Heading: "without", Format: report.Decimals(0), Display: report.InTable},
			{Name: latencyP99, Heading: "p99 µs", Format: report.Decimals(0), Display: report.InTable},
			{Name: quietP99, Heading: "without", Format: report.Decimals(0), Display: report.InTable},
			{Name: ratioP99, Heading: "p99 with/without", Format: report.Decimals(2), Display: report.InTable},
			{Name: floodRate, Heading: "flood/s", Format: report.Grouped, Display: report.InTable},
			{Name: serverBusy, Heading: "server core busy", Format: report.Percent, Display: report.InTable},
			{Name: sentLate, Format: report.Decimals(0), Display: report.InJSON},
			{Name: keptUp, Format: report.Percent, Display: report.InJSON},
		},
		Legend: []string{
			"Bystanders send requests at equal distances to a server with one core (GOMAXPROCS=1) and one event loop. p50, p99: from when a request was due to the answer.",
			"without: the same server with the same bystanders, just before the flood. p99 with/without: the one divided by the other, in the same round.",
			"flood/s: MiB that the flood has moved in a second, or connections that the kernel has established. A server that starves the flood has quick bystanders, too.",
			"The flood comes from the load generator's process, in a thread that runs while the generator has nothing to do. So a slow generator slows the flood and not the clock.",
			"drain: another goroutine queues the pieces. net and weir have no queue, and write one piece after the other. write: weir-events queues the bytes by WriteAsync, without a copy; gnet copies what the kernel does not take.",
			"connect: all clients connect, wait until all are established, at most half a second, close with a reset, and begin again.",
		},
		Review: reviewCells,
	}
	for _, size := range e.Sizes {
		for _, rate := range e.Rates {
			for _, conns := range e.Conns {
				for _, f := range all {
					if slices.Contains(e.Floods, f.name) {
						t.Trials = append(t.Trials, f.trial(e, names, conns, size, rate))
					}
				}
			}
		}
	}
	if all[len(all)-1].load.Clients < crowd && slices.Contains(e.Floods, "connect") {
		e.note("suite fairness: the hard limit (ulimit -Hn) is %d: %d clients connect at once, not %d", files, all[len(all)-1].load.Clients, crowd)
	}
	return []report.Table{t}, nil
}

func (f flood) trial(e env, names []string, conns, size, rate int) measure.Trial {
	label := f.label
	if len(e.Conns)*len(e.Sizes)*len(e.Rates) > 1 {
		label += fmt.Sprintf(", %d × %s, %s/s", conns, report.Bytes(size), strconv.Itoa(rate))
	}
	return measure.Trial{
		Name:     fmt.Sprintf("flood=%s,conns=%d,size=%d,rate=%d", f.name, conns, size, rate),
		Label:    label,
		Subjects: names,
		Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
			s, err := f.measure(ctx, e, name, conns, size, rate)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return s, nil
		}),
	}
}

// measure asks one server without the flood, and then beside it.
func (f flood) measure(ctx context.Context, e env, name string, conns, size, rate int) (_ measure.Sample, err error) {
	server, addr, err := subjects.StartServer(ctx, child.Place{Cores: e.cores.Server, Threads: 1}, "flood-server", subjects.Order{Subject: name, Size: size})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	order := load.Order{
		Addr:      addr,
		ServerPID: server.Pid(),
		Conns:     conns,
		Size:      size,
		Burst:     1,
		Framed:    true,
		WarmUp:    e.Dur / 5,
		Window:    e.Dur,
		Patience:  floodPatience,
		Rate:      float64(rate),
	}
	where := child.Place{Cores: e.cores.Load, Threads: 2} // the flood has a thread of its own
	quiet, err := child.Ask[load.Result](ctx, where, "bystander-load", order)
	if err != nil {
		return nil, fmt.Errorf("without the flood: %w", err)
	}
	order.Flood = &f.load
	got, err := child.Ask[load.Result](ctx, where, "bystander-load", order)
	if err != nil {
		return nil, fmt.Errorf("beside the flood: %w", err)
	}
	s := ordinarySample(got, order.Rate)
	delete(s, loadBusy) // it contains the flood
	s[quietP50], s[quietP99] = microseconds(quiet.P50), microseconds(quiet.P99)
	s[ratioP99] = s[latencyP99] / s[quietP99]
	s[floodRate] = float64(got.Flooded) / f.unit / got.Elapsed.Seconds()
	return s, nil
}
