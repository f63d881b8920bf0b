package suites

import (
	"context"
	"fmt"
	"os/exec"
	"slices"

	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/seed-2334f180/weir/bench/scripts"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/web"
)

const (
	perCPUSecond = "per_cpu_second"
	millis       = "ms"
)

// speedTables are the tables of whole programs: of Lua beside LuaSocket in C, and of Lisp
// beside Python.
func speedTables(e env, names []string, what string, notes []string) []report.Table {
	tables := []report.Table{luaSpeedTable(e, names, what, notes), lispSpeedTable(e)}
	if t := luaHTTPTable(e, names, what, notes); len(t.Trials) > 0 {
		return append(tables, t)
	}
	e.note("suite interp: copas is not installed: the HTTP server is left out")
	return tables
}

func luaSpeedTable(e env, names []string, what string, notes []string) report.Table {
	t := report.Table{
		Title:   fmt.Sprintf("interp: calls of Lua on a connection, %s of %v of processor time", report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "call",
		Metrics: []report.Metric{{Name: perCPUSecond, Heading: "calls per CPU second", Format: report.Grouped, Display: report.InTable, Compare: report.InTable}},
		Pairs:   report.PairsWith(names, scripts.LuaProgram, scripts.OlderLuaProgram),
		Legend: append([]string{
			what,
			"Both ends of the connection are of one script, and a call contains its share of the other end's work.",
			"vs: this row divided by the peer in the same round: median (least–greatest). Above 1 is faster.",
		}, notes...),
	}
	for _, task := range scripts.LuaTasks {
		t.Trials = append(t.Trials, measure.Trial{
			Name:     "lua-" + task.Name,
			Label:    task.Label,
			Subjects: names,
			Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
				got, err := child.Ask[scripts.LuaSpeed](ctx, child.Place{Cores: e.cores.Server, Threads: 1}, "lua-speed", scripts.SpeedOrder{Interpreter: name, Task: task.Name, Window: e.Dur})
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				return measure.Sample{perCPUSecond: got.PerSecond}, nil
			}),
		})
	}
	return t
}

// luaHTTPTable is a table of HTTP servers on copas. An interpreter that does not find copas is
// left out.
func luaHTTPTable(e env, names []string, what string, notes []string) report.Table {
	var able []string
	for _, name := range names {
		if name == scripts.LuaProgram || name == scripts.OlderLuaProgram {
			if err := scripts.FindLua(name, "copas"); err != nil {
				notes = append(slices.Clone(notes), fmt.Sprintf("%s is left out: %v.", name, err))
				continue
			}
		} else if err := scripts.FindCopas(); err != nil {
			notes = append(slices.Clone(notes), fmt.Sprintf("%s is left out: %v.", name, err))
			continue
		}
		able = append(able, name)
	}
	t := report.Table{
		Title:   fmt.Sprintf("interp: an HTTP server on copas, %s of %v", report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "connections",
		Metrics: append([]report.Metric{
			{Name: perCPUSecond, Heading: "requests per CPU second", Format: report.Grouped, Display: report.InTable, Compare: report.InTable, Ratio: "CPU "},
			{Name: reqPerSec, Heading: "req/s", Format: report.Grouped, Display: report.InTable, Compare: report.InTable, Ratio: "req/s "},
		}, busyMetrics...),
		Pairs: report.PairsWith(able, scripts.LuaProgram, scripts.OlderLuaProgram),
		Legend: append([]string{
			what,
			"The requests have keep-alive. The client is bench's own.",
			"vs: this row divided by the peer in the same round: median (least–greatest). Above 1 is faster.",
		}, notes...),
	}
	for _, conns := range e.Conns {
		if len(able) == 0 {
			break
		}
		t.Trials = append(t.Trials, measure.Trial{
			Name:     fmt.Sprintf("lua-http,conns=%d", conns),
			Label:    fmt.Sprint(conns),
			Subjects: able,
			Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
				got, err := visitLua(ctx, e, name, conns)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				sample := sampleOf(got)
				sample[perCPUSecond] = float64(got.Requests) / got.ServerCPU.Seconds()
				return sample, nil
			}),
		})
	}
	return t
}

func visitLua(ctx context.Context, e env, name string, conns int) (load.Result, error) {
	size := e.Sizes[0]
	server, err := child.Start(ctx, child.Place{Cores: e.cores.Server, Threads: 1}, "lua-http", scripts.HTTPOrder{Interpreter: name, Size: size})
	if err != nil {
		return load.Result{}, err
	}
	defer server.Stop() //nolint:errcheck // it is measured already: how it ends does not matter
	var at subjects.Listening
	if err := server.Answer(&at); err != nil {
		return load.Result{}, err
	}
	return child.Ask[load.Result](ctx, child.Place{Cores: e.cores.Load, Threads: 1}, "http-load", web.Visit{
		Addr: at.Addr, ServerPID: server.Pid(), KeepAlive: true, Size: size, Conns: conns,
		WarmUp: e.Dur / 5, Window: e.Dur, Patience: patience,
	})
}

// lispSpeedTable compares programs in Lisp with the same in Python.
func lispSpeedTable(e env) report.Table {
	names := []string{lispSubject}
	legend := []string{"CPU ms: the processor time that a run takes, with that of the collector: median of the runs of a round.", "vs: this row divided by the peer in the same round: median (least–greatest). Below 1 is faster."}
	if _, err := exec.LookPath(scripts.Python); err != nil {
		legend = append(legend, fmt.Sprintf("%s is left out: %v.", scripts.Python, err))
	} else {
		names = append(names, scripts.Python)
	}
	t := report.Table{
		Title:   fmt.Sprintf("interp: programs in Lisp, %s of %v", report.Counted(e.Reps, "round"), e.Dur),
		RowHead: "program",
		Metrics: []report.Metric{{Name: millis, Heading: "CPU ms", Format: report.Decimals(1), Display: report.InTable, Compare: report.InTable}},
		Pairs:   report.PairsWith(names, scripts.Python),
		Legend:  legend,
	}
	for _, task := range scripts.LispTasks {
		t.Trials = append(t.Trials, measure.Trial{
			Name:     "lisp-" + task.Name,
			Label:    task.Label,
			Subjects: names,
			Measure: measure.InTurn(func(ctx context.Context, name string) (measure.Sample, error) {
				got, err := child.Ask[scripts.LispSpeed](ctx, child.Place{Cores: e.cores.Server, Threads: 1}, "lisp-speed", scripts.SpeedOrder{Interpreter: name, Task: task.Name, Window: e.Dur})
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				return measure.Sample{millis: got.Milliseconds}, nil
			}),
		})
	}
	return t
}
