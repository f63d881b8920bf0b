package main

import (
	"context"
	"fmt"
)

// The idle suite: what a connection costs that has been used once and is silent since.
var idleSuite = suite{
	name:   "idle",
	about:  "the server's memory for connections that are silent",
	conns:  []int{15000},
	sizes:  []int{128},
	tables: idleTables,
}

const (
	residentPerConn = "resident_bytes_per_conn"
	heapPerConn     = "heap_bytes_per_conn"
	stackPerConn    = "stack_bytes_per_conn"
)

// idleFirst is how many connections the server has before its memory is looked at first: what
// it needs once, it has then.
const idleFirst = 64

func idleTables(e env) []table {
	names := able(e.subjects, func(s subject) bool { return s.serveEcho != nil })
	t := table{
		title: fmt.Sprintf("idle: bytes of the server for each silent TCP connection, after one message of %s, %s",
			eachSize(e.sizes), counted(e.reps, "round")),
		rowHead: "connections",
		metrics: []metric{
			{residentPerConn, "resident", grouped, inTable, inTable},
			{heapPerConn, "Go heap", grouped, inTable, nowhere},
			{stackPerConn, "stacks", grouped, inTable, nowhere},
		},
		pairs: pairsWith(names, "net", "gnet"), // raw has next to nothing
		legend: []string{
			fmt.Sprintf("Each connection has sent a message and received it. resident: how much the process grew from %d connections on, by the connections that came,", idleFirst),
			"each time after two collections and after all free memory went back to the kernel. The kernel's own memory for sockets is not in it.",
			"Go heap, stacks: what the runtime counts as objects, and as goroutines' stacks. Memory that was never written to is not resident.",
			"vs: this row's resident bytes divided by the peer's in the same round: median (least–greatest). Below 1 is smaller.",
		},
	}
	for _, c := range connsBySize(e, contest{server: "echo-server", load: "idle-load", burst: 1}) {
		t.trials = append(t.trials, trial{
			name:     c.name(),
			label:    c.label(e),
			subjects: names,
			measure: inTurn(func(ctx context.Context, name string) (sample, error) {
				s, err := c.measureIdle(ctx, e, name)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				return s, nil
			}),
		})
	}
	return []table{t}
}

// A footprint is what a server has.
type footprint struct {
	resident int64
	memory   memory
	files    int
}

func footprintOf(server *child) (f footprint, err error) {
	pid := server.cmd.Process.Pid
	if f.memory, err = server.settle(); err != nil {
		return f, err
	}
	if f.files, err = openFiles(pid); err != nil {
		return f, err
	}
	f.resident, err = residentBytes(pid)
	return f, err
}

func (c contest) measureIdle(ctx context.Context, e env, name string) (sample, error) {
	server, addr, err := startServer(ctx, e, c.server, name, c.size)
	if err != nil {
		return nil, err
	}
	defer server.stop() //nolint:errcheck // it is measured already: how it ends does not matter
	first, err := c.connectIdle(ctx, e, addr, idleFirst)
	if err != nil {
		return nil, err
	}
	defer first.stop() //nolint:errcheck // as above
	before, err := footprintOf(server)
	if err != nil {
		return nil, err
	}
	rest, err := c.connectIdle(ctx, e, addr, c.conns)
	if err != nil {
		return nil, err
	}
	defer rest.stop() //nolint:errcheck // as above
	after, err := footprintOf(server)
	if err != nil {
		return nil, err
	}
	return c.growth(before, after)
}

// growth is what the connections cost that came between two looks at a server.
func (c contest) growth(before, after footprint) (sample, error) {
	if n := after.files - before.files; n < c.conns {
		return nil, fmt.Errorf("of %d silent connections the server closed %d", c.conns, c.conns-n)
	}
	each := func(before, after int64) float64 { return float64(after-before) / float64(c.conns) }
	return sample{
		residentPerConn: each(before.resident, after.resident),
		heapPerConn:     each(int64(before.memory.Heap), int64(after.memory.Heap)),
		stackPerConn:    each(int64(before.memory.Stacks), int64(after.memory.Stacks)),
	}, nil
}

// connectIdle starts a process that has connections, all of which have had an answer.
func (c contest) connectIdle(ctx context.Context, e env, addr string, conns int) (*child, error) {
	load, err := startChild(ctx, place{e.cores.load, 1}, c.load, loadOrder{
		Addr: addr, Conns: conns, Size: c.size, Burst: c.burst, Patience: patience,
	})
	if err != nil {
		return nil, err
	}
	var ready struct{}
	return load, load.answer(&ready)
}

// idle is the role of a process that has silent connections.
func idle(order loadOrder, answer answerFunc) error {
	if err := raiseFileLimit(); err != nil {
		return err
	}
	g, err := newGenerator(order)
	if err != nil {
		return err
	}
	if _, err := openStreams(g); err != nil {
		return err
	}
	if err := answer(struct{}{}); err != nil {
		return err
	}
	select {} // until the parent has no more use for it
}
