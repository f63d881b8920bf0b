package lua

import (
	"math"
	"os"
	"runtime/metrics"

	glua "github.com/yuin/gopher-lua"
	"golang.org/x/sys/unix"
)

// installRepairs replaces the functions of gopher-lua's libraries that differ from PUC
// Lua's. It skips the libraries that a state lacks.
func installRepairs(L *glua.LState, w *weakTables, p *protection) {
	if f, ok := L.GetGlobal("setmetatable").(*glua.LFunction); ok && f.IsG {
		L.SetGlobal("setmetatable", L.NewFunction(w.setMetatable(f.GFunction)))
	}
	repairLibrary(L.Get(glua.GlobalsIndex), map[string]glua.LGFunction{
		"collectgarbage": w.collectGarbage,
		"error":          p.raise,
		"print":          printValues,
		"tonumber":       tonumber,
		"tostring":       tostring,
	})
	repairLibrary(L.GetGlobal("string"), stringFunctions)
	repairLibrary(L.GetGlobal("table"), map[string]glua.LGFunction{"concat": concat})
	repairLibrary(L.GetGlobal("os"), map[string]glua.LGFunction{
		"clock":  clock,
		"date":   date,
		"getenv": getenv,
	})
	installFiles(L)
	if library, ok := L.GetGlobal("os").(*glua.LTable); ok {
		if f, ok := library.RawGetString("time").(*glua.LFunction); ok && f.IsG {
			library.RawSetString("time", L.NewFunction(timeOf(f.GFunction)))
		}
	}
	if library, ok := L.GetGlobal("math").(*glua.LTable); ok {
		library.RawSetString("huge", glua.LNumber(math.Inf(1)))
	}
}

func repairLibrary(library glua.LValue, functions map[string]glua.LGFunction) {
	table, ok := library.(*glua.LTable)
	if !ok {
		return
	}
	for name, f := range functions {
		if old, ok := table.RawGetString(name).(*glua.LFunction); ok {
			table.RawSetString(name, &glua.LFunction{IsG: true, Env: old.Env, GFunction: f})
		}
	}
}

// timeOf makes os.time from gopher-lua's function, which accepts a date with missing
// fields.
func timeOf(time glua.LGFunction) glua.LGFunction {
	return func(L *glua.LState) int {
		if date, ok := L.Get(1).(*glua.LTable); ok {
			for _, name := range []string{"day", "month", "year"} {
				if _, ok := toNumber(L.GetField(date, name)); !ok {
					L.RaiseError("field '%s' missing in date table", name)
				}
			}
		}
		return time(L)
	}
}

// clock is os.clock. It returns the processor time that the process has used, in
// seconds.
func clock(L *glua.LState) int {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		L.RaiseError("clock: %v", err)
	}
	L.Push(glua.LNumber(float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9))
	return 1
}

// getenv is os.getenv. For a variable with an empty value it returns "", not nil.
func getenv(L *glua.LState) int {
	if value, ok := os.LookupEnv(L.CheckString(1)); ok {
		L.Push(glua.LString(value))
	} else {
		L.Push(glua.LNil)
	}
	return 1
}

// collectGarbage is collectgarbage. It runs Go's collector, which all states share. A
// script cannot stop that collector, or set its parameters.
func (w *weakTables) collectGarbage(L *glua.LState) int {
	switch option := optString(L, 1, "collect"); option {
	case "collect":
		w.collect(L)
		L.Push(glua.LNumber(0))
	case "step":
		w.collect(L)
		L.Push(glua.LTrue)
	case "count":
		const bytes = "/memory/classes/heap/objects:bytes"
		sample := []metrics.Sample{{Name: bytes}}
		metrics.Read(sample)
		L.Push(glua.LNumber(float64(sample[0].Value.Uint64()) / 1024))
	case "stop", "restart", "setpause", "setstepmul":
		L.Push(glua.LNumber(0))
	default:
		L.ArgError(1, "invalid option '"+option+"'")
	}
	return 1
}
