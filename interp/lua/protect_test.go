package lua

import (
	"context"
	"runtime"
	"testing"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/stretchr/testify/require"
	glua "github.com/yuin/gopher-lua"
)

// Protected calls leave nothing in the memory of a coroutine or of a context.
func TestProtectedCallsKeepNoMemory(t *testing.T) {
	const rounds = 20000
	s := newScript(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.SetContext(ctx)
	s.run(t, `
		turn = coroutine.wrap(function(n)
			while true do
				for i = 1, n do
					pcall(type, i)
					pcall(error, "x")
					xpcall(type, error, i)
					coroutine.wrap(pcall)(coroutine.yield)
				end
				n = coroutine.yield()
			end
		end)
		turn(100)`)
	objects := func() uint64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapObjects
	}
	before := objects()
	s.SetGlobal("rounds", glua.LNumber(rounds))
	s.run(t, `turn(rounds)`)
	require.Less(t, objects(), before+rounds/2)
}

// Protected calls in the main chunk and in a coroutine use idle coroutines again. They
// do not make a new one for each call.
func TestProtectedCallsReuseCoroutines(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for _, text := range []string{
		`function call(n) for i = 1, n do pcall(type, i) end end`,
		`call = coroutine.wrap(function(n)
			while true do
				for i = 1, n do pcall(type, i) end
				n = coroutine.yield()
			end
		end)`,
	} {
		s := newScript(t)
		s.run(t, text+` call(1)`)
		f := s.GetGlobal("call")
		const calls = 100
		allocated := testing.AllocsPerRun(10, func() {
			s.Push(f)
			s.Push(glua.LNumber(calls))
			s.Call(1, 0)
		})
		require.Less(t, allocated/calls, 6.0, text)
	}
}

// The collector frees the values of a protected call that has ended.
func TestProtectedCallsForgetTheirValues(t *testing.T) {
	s := newScript(t)
	s.run(t, `socket = require "socket" socket.udp4():close()`)
	before := openDescriptors(t)
	s.run(t, `
		for i = 1, 20 do
			pcall(function(s) local t = socket.udp4() error(t) end, socket.udp4())
		end
		for i = 1, 20 do
			pcall(function(...) local s = socket.udp4() return s, ... end, socket.udp4())
		end`)
	requireCollected(t, before)
}

func TestEndlessProtectedCalls(t *testing.T) {
	s := newScript(t)
	require.Equal(t, "true\tfalse\tstack overflow\n", s.run(t, `
		local ok, problem
		local function f() return select(2, pcall(f)) end
		local function deepest(ok, ...)
			if select("#", ...) == 0 then return ok end
			return deepest(...)
		end
		local function g() return pcall(g) end
		local results = { g() }
		print(results[1], results[#results - 1], results[#results])`))
	require.Equal(t, "false\tstack overflow\n", s.run(t, `
		local function f() return coroutine.resume(coroutine.create(f)) end
		local results = { f() }
		print(results[#results - 1], results[#results])`))
	require.Equal(t, "1\n", s.run(t, `print(select(2, pcall(function() return 1 end)))`), "the levels are free again")
}

// A Go function may yield with LState.Yield in a protected call.
func TestYieldByAnEmbeddersFunction(t *testing.T) {
	s := newScript(t)
	s.SetGlobal("pause", s.NewFunction(func(L *glua.LState) int { return L.Yield(L.Get(1), glua.LNumber(2)) }))
	require.Equal(t, "true\t1\t2\ntrue\ttrue\tback\n", s.run(t, `
		local co = coroutine.create(function() return pcall(function() return pause(1) end) end)
		print(coroutine.resume(co))
		print(coroutine.resume(co, "back"))`))
}

// A coroutine that Go resumes may yield in a protected call.
func TestResumeByAnEmbedder(t *testing.T) {
	s := newScript(t)
	s.run(t, `function f(...) return pcall(function(...) return coroutine.yield(...) end, ...) end`)
	th, _ := s.NewThread()
	state, err, values := s.Resume(th, s.GetGlobal("f").(*glua.LFunction), glua.LNumber(1))
	require.NoError(t, err)
	require.Equal(t, glua.ResumeYield, state)
	require.Equal(t, []glua.LValue{glua.LNumber(1)}, values)
	state, err, values = s.Resume(th, nil, glua.LNumber(2))
	require.NoError(t, err)
	require.Equal(t, glua.ResumeOK, state)
	require.Equal(t, []glua.LValue{glua.LTrue, glua.LNumber(2)}, values)
}

// Errors of Go functions that pcall calls directly have no position, as on PUC Lua.
func TestErrorsOfProtectedGoFunctions(t *testing.T) {
	s := newScript(t)
	require.Equal(t, "bad argument #1 to ? (table expected, got nil)\nscript:4: here\n", s.run(t, `
		local _, problem = pcall(next)
		print((problem:gsub("to [^ ]+ ", "to ? ")))
		print(select(2, pcall(function() error("here") end)))`))
}

// A coroutine that has returned takes little memory, although a table keeps it as the
// key of a deleted entry.
func TestDeadCoroutinesAreSmall(t *testing.T) {
	const count = 2000
	s := newScript(t)
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	s.SetGlobal("count", glua.LNumber(count))
	s.run(t, `
		kept = {}
		for i = 1, count do
			local co = coroutine.create(function(...) coroutine.yield() return ... end)
			kept[co] = true
			coroutine.resume(co, i)
			coroutine.resume(co)
			kept[co] = nil
		end`)
	require.Less(t, (heap()-before)/count, uint64(1500))
	require.Equal(t, "dead\tfalse\tcannot resume dead coroutine\tstack traceback:\n", s.run(t, `
		local co = coroutine.create(function() end)
		coroutine.resume(co)
		print(coroutine.status(co), select(1, coroutine.resume(co)), select(2, coroutine.resume(co)), debug.traceback(co))`))
}

// Endless recursion raises an error, which a script can catch and handle.
func TestStackOverflow(t *testing.T) {
	for _, options := range []glua.Options{
		{RegistrySize: 256, RegistryMaxSize: 1 << 20},
		{RegistrySize: 256, RegistryMaxSize: 1 << 20, CallStackSize: 1 << 10, MinimizeStackMemory: true},
	} {
		L := glua.NewState(options)
		defer L.Close()
		require.NoError(t, Preload(L))
		require.NoError(t, L.DoString(`
			local function f() return 1 + f() end
			local ok, problem = pcall(f)
			assert(not ok and problem:find("stack overflow$"), problem)
			local ok, problem = xpcall(f, function(problem) return "handled: " .. problem end)
			assert(not ok and problem:find("^handled: .*stack overflow$"), problem)
			local ok, problem = xpcall(error, function(problem) return "handled: " .. problem end, "x", 0)
			assert(not ok and problem == "handled: x", problem)
			assert(pcall(function() return 1 end))`))
	}
}

// An error in a protected call costs little memory, for any stack size of the state.
// The call may still use that many values.
func TestErrorsCostLittleMemory(t *testing.T) {
	L := glua.NewState(glua.Options{RegistrySize: 1 << 16})
	defer L.Close()
	require.NoError(t, Preload(L))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, L.DoString(`for i = 1, 1000 do pcall(error, "x") end`))
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/1000, uint64(64<<10))
	require.NoError(t, L.DoString(`
		local t = {}
		for i = 1, 50000 do t[i] = i end
		local ok, n = pcall(function() return select("#", unpack(t)) end)
		assert(ok and n == 50000, n)
		local ok, problem = pcall(unpack, t, 1, 100000)
		assert(not ok and problem:find("overflow"), problem)`))
}
