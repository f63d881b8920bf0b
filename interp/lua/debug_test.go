package lua

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A traceback shows the calls that led to an error. It includes the callers of
// protected calls, and hides the functions that implement pcall.
func TestTraceback(t *testing.T) {
	s := newScript(t)
	out := s.run(t, `
		local function inner() error("x") end
		local function outer() local x = inner() return x end
		local function caller() local ok, trace = xpcall(outer, debug.traceback) return trace end
		print((caller()))`)
	require.Equal(t, `script:2: x
stack traceback:
	[G]: in function 'error'
	script:2: in function 'inner'
	script:3: in function <script:3>
	[G]: in function 'xpcall'
	script:4: in function 'caller'
	script:5: in main chunk
`, out)
	require.Equal(t, "message\nstack traceback:\n\tscript:2: in coroutine\n", s.run(t, `
		local co = coroutine.create(function() local x = coroutine.yield() return x end)
		coroutine.resume(co)
		print((debug.traceback(co, "message"):gsub("\n[^\n]*yield'", "")))`))
	require.Equal(t, "true\tnil\ttrue\n", s.run(t, `
		local t = {}
		print(debug.traceback(t) == t, (debug.traceback("x", 99):match("script")), debug.traceback("x", 1):find("main chunk") ~= nil)`))
}

func TestGetInfo(t *testing.T) {
	s := newScript(t)
	require.Equal(t, "4\t3\t5\tscript\tscript\n", s.run(t, `
		local function line(level) return debug.getinfo(level, "l").currentline end
		local _, a = pcall(function() -- line 3
			local x = debug.getinfo(1, "l").currentline return x end)
		local _, b = pcall(function() local x = debug.getinfo(1, "S").linedefined - 2 return x end)
		local _, c = pcall(function() local x = debug.getinfo(3, "l").currentline - 1 return x end)
		print(a, b, c, debug.getinfo(1, "S").short_src, debug.getinfo(1, "S").source:match("^@(.*)"))`))
	require.Equal(t, "3\tnil\tC\tLua\n", s.run(t, `
		local co = coroutine.create(function()
			local x = coroutine.yield() return x end)
		coroutine.resume(co)
		print(debug.getinfo(co, 0, "l").currentline, debug.getinfo(99), debug.getinfo(print).what, debug.getinfo(function() end, "S").what)`))
}

// A hook stops a script that runs for too long, in a function, a coroutine or a
// protected call.
func TestHookCounts(t *testing.T) {
	for name, makeContext := range contexts {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			ctx, cancel := makeContext()
			defer cancel()
			s.SetContext(ctx)
			require.Equal(t, "false\ttoo long\nfalse\ttoo long\nfalse\ttoo long\nnil\n", s.run(t, `
				local function stop() debug.sethook() error("too long", 0) end
				debug.sethook(stop, "", 1000)
				print(pcall(function() while true do end end))
				debug.sethook(stop, "", 1000)
				print(coroutine.resume(coroutine.create(function() local function f() return f() end f() end)))
				debug.sethook(stop, "", 1000)
				print(pcall(function() while true do pcall(type, 1) end end))
				print(debug.gethook())
				for i = 1, 10000 do end`))
			require.Equal(t, "true\t\t500\n", s.run(t, `
				local function f() end
				debug.sethook(f, "", 500)
				local g, mask, count = debug.gethook()
				print(f == g, mask, count)
				debug.sethook()`))
		})
	}
}

func TestHookTellsLines(t *testing.T) {
	s := newScript(t)
	ctx, interrupt := Interruptible()
	s.SetContext(ctx)
	require.Equal(t, "4 5 2 5 6\n", s.run(t, `
		local function f() return 1 end
		local lines = {} debug.sethook(function(event, line) assert(event == "line") lines[#lines + 1] = line end, "l")
		local x = 1
		x = f() + 1
		debug.sethook()
		print(table.concat(lines, " "))`))
	require.ErrorContains(t, s.DoString(`debug.sethook(print, "c")`), "not supported")
	s.run(t, `debug.sethook(function() end, "l")`)
	interrupt()
	require.ErrorContains(t, s.DoString(`while true do end`), "context canceled")
}

func TestMetatablesOfDebug(t *testing.T) {
	require.Equal(t, "shown\ttrue\ttrue\tnil\ttrue\n", newScript(t).run(t, `
		local meta = { __metatable = "shown" }
		local t = setmetatable({}, meta)
		print(getmetatable(t), debug.getmetatable(t) == meta, debug.getmetatable("").__index == string,
			debug.getmetatable(1), debug.setmetatable(t, nil) == true and debug.getmetatable(t) == nil)`))
}

// The level of error chooses the function whose position the message has. The caller of a
// protected call is above pcall, and a function in Go has no position.
func TestErrorLevels(t *testing.T) {
	require.Equal(t, "script:2: m|script:3: m|script:4: m|m|m\nm|script:8: m|m|0.5\nstring\tnumber\n", newScript(t).run(t, `
		local function inner(level) error("m", level) end
		local function middle(level) inner(level) local x end
		local function outer(level) middle(level) local x end
		local function caught(...) return (select(2, pcall(...))) end
		print(table.concat({ caught(outer, 1), caught(outer, 2), caught(outer, 3), caught(outer, 4), caught(outer, 0) }, "|"))
		local direct = {
			caught(error, "m"), select(2, pcall(error, "m", 2)), (select(2, pcall(error, "m", 100))), (select(2, pcall(error, 0.5))) }
		print(table.concat(direct, "|"))
		print(type(caught(error, 5)), type(caught(error, 5, 0)))`))
}
