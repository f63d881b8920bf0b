package suites

import (
	"context"
	"fmt"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/subjects"
)

// The idle suite: what a silent connection costs that has been used once.
var idleSuite = Suite{
	Name:     "idle",
	About:    "the server's memory for connections that are silent: TCP, TLS, HTTP and HTTPS",
	Settings: Settings{Conns: []int{15000}, Sizes: []int{128}},
	tables:   idleTables,
}

const (
	residentPerConn = "resident_bytes_per_conn"
	heapPerConn     = "heap_bytes_per_conn"
	stackPerConn    = "stack_bytes_per_conn"
)

// idleFirst is how many connections the server has at the first look at its memory. It then has
// what it needs only once.
const idleFirst = 64

func idleTables(e env) ([]report.Table, error) {
	names := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeEcho != nil })
	secure := subjects.Able(e.Subjects, func(s subjects.Subject) bool { return s.ServeTLS != nil })
	return []report.Table{
		idleTable(e, "TCP", names, contest{server: "echo-server", load: "idle-load", burst: 1}),
		idleTable(e, "TLS", secure, contest{server: "tls-server", load: "tls-idle", burst: 1}),
		idleWebTable(e, false),
		idleWebTable(e, true),
	}, nil
}

// idleTable is the table of connections of an echo server.
func idleTable(e env, protocol string, names []string, c contest) report.Table {
	t := report.Table{
		Title: fmt.Sprintf("idle: bytes of the server for each silent %s connection, after one message of %s, %s",
			protocol, eachSize(e.Sizes), report.Counted(e.Reps, "round")),
		RowHead: "connections",
		Metrics: idleMetrics(),
		Pairs:   report.PairsWith(names, "net", "gnet"), // raw has next to nothing
		Legend: []string{
			fmt.Sprintf("Each connection has sent a message and received it. resident: how much the process grew after its first %d connections, divided by the number of further ones.", idleFirst),
			"Before each look the process collects garbage twice and returns free memory to the kernel. The kernel's own memory for sockets is not in it.",
			"Go heap, stacks: what the runtime counts as objects, and as goroutines' stacks. Memory that was never written to is not resident.",
			"vs: this row's resident bytes divided by the peer's in the same round: median (least–greatest). Below 1 is smaller.",
		},
	}
	for _, c := range connsBySize(e, c) {
		t.Trials = append(t.Trials, measure.Trial{
			Name:     protocol + "," + c.name(),
			Label:    c.label(e),
			Subjects: names,
			Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
				s, err := c.measureIdle(ctx, e, name)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				return s, nil
			}),
		})
	}
	return t
}

func idleMetrics() []report.Metric {
	return []report.Metric{
		{Name: residentPerConn, Heading: "resident", Format: report.Grouped, Display: report.InTable, Compare: report.InTable},
		{Name: heapPerConn, Heading: "Go heap", Format: report.Grouped, Display: report.InTable, Compare: report.Nowhere},
		{Name: stackPerConn, Heading: "stacks", Format: report.Grouped, Display: report.InTable, Compare: report.Nowhere},
	}
}

// A footprint is the memory and the descriptors of a server.
type footprint struct {
	resident int64
	memory   machine.Memory
	files    int
}

func footprintOf(server *child.Process) (f footprint, err error) {
	pid := server.Pid()
	if f.memory, err = server.Settle(); err != nil {
		return f, err
	}
	if f.files, err = machine.OpenFiles(pid); err != nil {
		return f, err
	}
	f.resident, err = machine.ResidentBytes(pid)
	return f, err
}

func (c contest) measureIdle(ctx context.Context, e env, name string) (measure.Sample, error) {
	server, addr, err := subjects.StartServer(ctx, child.Place{Cores: e.cores.Server, Threads: 1}, c.server, subjects.Order{Subject: name, Size: c.size})
	if err != nil {
		return nil, err
	}
	defer server.Stop() //nolint:errcheck // it is measured already: how it ends does not matter
	return c.growthOf(server, func(conns int) (*child.Process, error) { return c.connectIdle(ctx, e, addr, conns) })
}

// growthOf returns what each connection costs a server. connect starts a process that keeps
// silent connections.
func (c contest) growthOf(server *child.Process, connect func(conns int) (*child.Process, error)) (measure.Sample, error) {
	first, err := connect(idleFirst)
	if err != nil {
		return nil, err
	}
	defer first.Stop() //nolint:errcheck // it has done what it is for: how it ends does not matter
	before, err := footprintOf(server)
	if err != nil {
		return nil, err
	}
	rest, err := connect(c.conns)
	if err != nil {
		return nil, err
	}
	defer rest.Stop() //nolint:errcheck // as above
	after, err := footprintOf(server)
	if err != nil {
		return nil, err
	}
	return c.growth(before, after)
}

// growth returns what each connection cost between two looks at a server.
func (c contest) growth(before, after footprint) (measure.Sample, error) {
	if n := after.files - before.files; n < c.conns {
		return nil, fmt.Errorf("of %d silent connections the server closed %d", c.conns, c.conns-n)
	}
	each := func(before, after int64) float64 { return float64(after-before) / float64(c.conns) }
	return measure.Sample{
		residentPerConn: each(before.resident, after.resident),
		heapPerConn:     each(int64(before.memory.Heap), int64(after.memory.Heap)),
		stackPerConn:    each(int64(before.memory.Stacks), int64(after.memory.Stacks)),
	}, nil
}

// connectIdle starts a process that keeps connections. Each of them has had an answer when it
// returns.
func (c contest) connectIdle(ctx context.Context, e env, addr string, conns int) (*child.Process, error) {
	load, err := child.Start(ctx, child.Place{Cores: e.cores.Load, Threads: 1}, c.load, load.Order{
		Addr: addr, Conns: conns, Size: c.size, Burst: c.burst, Patience: patience,
	})
	if err != nil {
		return nil, err
	}
	var ready struct{}
	return load, load.Answer(&ready)
}
