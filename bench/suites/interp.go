package suites

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/scripts"
)

// The interp suite: the same Lua script on Weir, by way of gopher-lua, and on
// LuaSocket in C. It compares two interpreters as much as two libraries.
var interpSuite = Suite{
	Name:     "interp",
	About:    "Lua scripts beside LuaSocket in C: select, lines, sends, echo and HTTP servers; Lisp: calls beside Go, programs beside CPython",
	Settings: Settings{Conns: []int{100}, Sizes: []int{128}},
	tables:   interpTables,
}

var luaSelectSizes = []int{10, 100, 1000} // LuaSocket uses select(2), which takes no more

func interpTables(e env) ([]report.Table, error) {
	names, notes := scripts.For(e.Subjects)
	what := "weir-lua: gopher-lua with Weir's module for it. With a context, as the program weir-lua has it, gopher-lua asks that before each instruction. " +
		scripts.LuaProgram + ", " + scripts.OlderLuaProgram + ": PUC Lua with LuaSocket, both in C."
	tables := []report.Table{luaSelectTable(e, names, what, notes), luaEchoTable(e, names, what, notes), lispTable(e)}
	return append(tables, speedTables(e, names, what, notes)...), nil
}

func luaSelectTable(e env, names []string, what string, notes []string) report.Table {
	t := report.Table{
		Title:   fmt.Sprintf("interp: socket.select with one socket ready, %s of %v", report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "sockets",
		Metrics: []report.Metric{{Name: nsPerCall, Heading: "ns/call", Format: report.Decimals(0), Display: report.InTable, Compare: report.InTable}},
		Pairs:   report.PairsWith(names, scripts.LuaProgram, scripts.OlderLuaProgram),
		Legend: append([]string{
			what,
			"The sockets are both ends of TCP connections over loopback, all of one script; the calls are for reading.",
			"vs: this row divided by the peer in the same round: median (least–greatest). Below 1 is faster.",
		}, notes...),
	}
	for _, n := range e.fitting("interp", luaSelectSizes) {
		t.Trials = append(t.Trials, measure.Trial{
			Name:     fmt.Sprintf("lua-select,n=%d", n),
			Label:    strconv.Itoa(n),
			Subjects: names,
			Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
				took, err := child.Ask[scripts.SelectResult](ctx, child.Place{Cores: e.cores.Server, Threads: 1}, "lua-select", scripts.SelectOrder{Interpreter: name, Sockets: n, Window: e.Dur})
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				return measure.Sample{nsPerCall: took.Nanoseconds}, nil
			}),
		})
	}
	return t
}

// luaEchoTable is the table of the echo suite, with a script as the server.
func luaEchoTable(e env, names []string, what string, notes []string) report.Table {
	t := echoTable(e)
	t.Title = fmt.Sprintf("interp: an echo server on socket.select, messages of %s, %s of %v", eachSize(e.Sizes), report.Counted(e.Reps, "round"), e.Dur)
	t.Pairs = report.PairsWith(names, scripts.LuaProgram, scripts.OlderLuaProgram)
	t.Legend = slices.Concat([]string{what}, t.Legend, notes)
	t.Trials = nil
	for _, c := range connsBySize(e, contest{server: "lua-server", load: "echo-load", burst: 1}) {
		t.Trials = append(t.Trials, c.trial(e, c.label(e), names, sampleOf))
	}
	return t
}
