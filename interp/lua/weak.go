package lua

import (
	"runtime"
	"runtime/metrics"
	"weak"

	glua "github.com/yuin/gopher-lua"
)

// gopher-lua's tables ignore __mode and keep everything that they refer to. So
// setmetatable notes the weak tables. collect empties them, runs Go's collector, and
// puts back the entries that something else still refers to. collectgarbage calls
// collect. select calls it from time to time if the state has weak tables.

// weakTables are the weak tables of a state.
type weakTables struct {
	pcalls *protection // or nil
	noted  map[weak.Pointer[glua.LTable]]struct{}
	purge  int    // number of noted tables at which the collected ones are removed
	turns  int    // calls of idle since it last checked the memory
	live   uint64 // bytes that were in use after the last collection here
}

const (
	firstPurge = 64
	// idleTurns is the number of calls of select between two checks of the memory.
	idleTurns = 256
	// leastGrowth is the least growth of the memory in use, in bytes, after which
	// select runs the collector for weak tables. The memory must also have doubled.
	leastGrowth = 8 << 20
)

// setMetatable makes a setmetatable that notes weak tables. set is gopher-lua's.
func (w *weakTables) setMetatable(set glua.LGFunction) glua.LGFunction {
	return func(L *glua.LState) int {
		table := L.CheckTable(1) // gopher-lua's accepts any value
		n := set(L)
		if keys, values := weakness(table); keys || values {
			w.note(table)
		}
		return n
	}
}

// weakness reads __mode.
func weakness(table *glua.LTable) (keys, values bool) {
	meta, ok := table.Metatable.(*glua.LTable)
	if !ok {
		return false, false
	}
	mode, _ := meta.RawGetString("__mode").(glua.LString)
	for _, c := range mode {
		keys, values = keys || c == 'k', values || c == 'v'
	}
	return keys, values
}

func (w *weakTables) note(table *glua.LTable) {
	if w.noted == nil {
		w.noted = make(map[weak.Pointer[glua.LTable]]struct{})
	}
	if len(w.noted) >= max(w.purge, firstPurge) {
		for p := range w.noted {
			if p.Value() == nil {
				delete(w.noted, p)
			}
		}
		w.purge = 2 * len(w.noted)
	}
	w.noted[weak.Make(table)] = struct{}{}
}

// idle calls collect if the memory in use has grown much since the last collection.
func (w *weakTables) idle(L *glua.LState) {
	if len(w.noted) == 0 {
		return
	}
	if w.turns++; w.turns < idleTurns {
		return
	}
	w.turns = 0
	if liveBytes() > 2*w.live+leastGrowth {
		w.collect(L)
	}
}

// liveBytes returns the number of bytes that the last run of the collector found in
// use.
func liveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// collect runs the collector once, and removes from the weak tables the entries whose
// keys or values the collector freed.
func (w *weakTables) collect(L *glua.LState) {
	if w.pcalls != nil {
		// The idle coroutines keep the functions that they ran last.
		w.pcalls.idle = [2][]*glua.LState{}
	}
	emptied := w.empty(L)
	runtime.GC()
	for _, e := range emptied {
		e.fill()
	}
	w.live = liveBytes()
}

// An emptied is a weak table, with the entries that it had.
type emptied struct {
	table   weak.Pointer[glua.LTable]
	entries []weakEntry
}

type weakEntry struct{ key, value reference }

//go:noinline
func (w *weakTables) empty(L *glua.LState) (all []emptied) { // in its own frame: no values stay on the stack
	for p := range w.noted {
		table := p.Value()
		if table == nil {
			continue
		}
		keys, values := weakness(table)
		e := emptied{table: p}
		for k, v := table.Next(glua.LNil); k != glua.LNil; k, v = table.Next(k) {
			e.entries = append(e.entries, weakEntry{referTo(k, keys), referTo(v, values)})
		}
		meta := table.Metatable
		*table = *L.CreateTable(0, 0) // a new table drops the keys of deleted entries, which gopher-lua keeps
		table.Metatable = meta
		all = append(all, e)
	}
	return all
}

func (e emptied) fill() {
	table := e.table.Value()
	if table == nil {
		return
	}
	for _, entry := range e.entries {
		k, v := entry.key.value(), entry.value.value()
		if k != nil && v != nil {
			table.RawSet(k, v)
		}
	}
}

// A reference is a value, or a weak pointer to it.
type reference struct {
	strong   glua.LValue
	table    weak.Pointer[glua.LTable]
	function weak.Pointer[glua.LFunction]
	userdata weak.Pointer[glua.LUserData]
	thread   weak.Pointer[glua.LState]
}

func referTo(v glua.LValue, weakly bool) (r reference) {
	if !weakly {
		r.strong = v
		return r
	}
	switch v := v.(type) {
	case *glua.LTable:
		r.table = weak.Make(v)
	case *glua.LFunction:
		r.function = weak.Make(v)
	case *glua.LUserData:
		r.userdata = weak.Make(v)
	case *glua.LState:
		r.thread = weak.Make(v)
	default:
		r.strong = v // numbers and strings are values, and stay
	}
	return r
}

// value returns the value, or nil if it was collected.
func (r *reference) value() glua.LValue {
	if v := r.table.Value(); v != nil {
		return v
	}
	if v := r.function.Value(); v != nil {
		return v
	}
	if v := r.userdata.Value(); v != nil {
		return v
	}
	if v := r.thread.Value(); v != nil {
		return v
	}
	return r.strong
}
