package lua

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	glua "github.com/yuin/gopher-lua"
)

// assignments are scripts in which a statement uses the variables that it assigns,
// with the output that each script must print.
var assignments = []struct{ text, want string }{
	{`local a, b = 1, 2 a, b = b, a print(a, b)`, "2\t1"},
	{`local a, b, c = 1, 2, 3 a, b, c = c, a, b print(a, b, c)`, "3\t1\t2"},
	{`local a, b = 0, 0 a, b = a + 1, a + b print(a, b)`, "1\t0"},
	{`local function f(name, a, b) name, a, b = "default", name, a return name, a, b end print(f(5, 6))`, "default\t5\t6"},
	{`local i, t = 1, {} i, t[i] = i + 1, 20 print(i, t[1], t[2])`, "2\t20\tnil"},
	{`local i, t = 1, {} t[i], i = 20, i + 1 print(i, t[1], t[2])`, "2\t20\tnil"},
	{`local t = { x = 1 } local u = t t, t.x = nil, 2 print(t, u.x)`, "nil\t2"},
	{`local a, b, c = 1 a, b, c = a print(a, b, c)`, "1\tnil\tnil"},
	{`local a, b, c = 1, 2, 3 local function f() return 8, 9 end a, b, c = b, f() print(a, b, c)`, "2\t8\t9"},
	{`local a, b = 1, 2 a, b = b, a, error print(a, b)`, "2\t1"},
	{`local a, b = 1, 2 local function f() a, b = b, a end f() print(a, b)`, "2\t1"},
	{`a, b = 1, 2 a, b = b, a print(a, b)`, "2\t1"},
	{`local t = { 1, 2 } t[1], t[2] = t[2], t[1] print(t[1], t[2])`, "2\t1"},
	{`local a, b = 1, 2 for i = 1, 3 do if i then while true do repeat a, b = b, a until true break end end end print(a, b)`, "2\t1"},
	{`local function f(...) local a, b = 1, 2 a, b = ..., a return a, b end print(f(7, 8))`, "7\t1"},
	{`local t = { f = function() local a, b = 1, 2 a, b = b, a return a end } print(t.f(), (function() local a, b = 3, 4 a, b = b, a return b end)())`, "2\t3"},
}

// loops are for loops whose values must not depend on what the registers held before,
// with the output of PUC Lua.
var loops = []struct{ text, want string }{
	{`for k, v in next, {5} do print(k, v) end`, "1\t5\n"},
	{`for k in next, {5, 6} do print(k) end`, "1\n2\n"},
	{`for k, v in next, (function() return {5} end)() do print(k, v) end`, "1\t5\n"},
	{`for x in iter do print(x) end`, "nil\tnil\n1\nnil\t1\n"},
	{`for x in iter, 7 do print(x) end`, "7\tnil\n1\n7\t1\n"},
	{`for x in iter, noise() do print(x) end`, "10\tnil\n1\n10\t1\n"},
	{`for x in iter, (noise()) do print(x) end`, "10\tnil\n1\n10\t1\n"},
	{`for x, y, z, w in values() do print(x, y, z, w) end`, "8\tnil\n1\tnil\tnil\tnil\n8\t1\n"},
	{`(function(...) for x in ... do print(x) end for x in iter, ... do print(x) end end)(iter)`,
		"nil\tnil\n1\nnil\t1\nfunction\tnil\n1\nfunction\t1\n"},
}

func TestLoopsHaveTheirOwnValues(t *testing.T) {
	const setup = `
		function iter(s, c)
			print(type(s) == "function" and "function" or s, c)
			if c == nil then return 1 end
		end
		function noise() local a, b, c, d = 1, 2, 3, 4 return a + b + c + d end
		function values() return iter, 8 end
		noise();`
	for _, c := range loops {
		require.Equal(t, c.want, newScript(t).run(t, setup+c.text), c.text)
	}
}

func TestAssignmentsToSeveralVariables(t *testing.T) {
	for _, c := range assignments {
		s := newScript(t)
		require.Equal(t, c.want+"\n", s.run(t, c.text), c.text)
	}
}

// Each way in which a script can load a chunk repairs the assignments.
func TestAllLoadersRepairAssignments(t *testing.T) {
	dir := t.TempDir()
	for _, c := range assignments {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "chunk.lua"), []byte("#! a first line\n"+c.text), 0o666))
		for _, load := range []string{
			`assert(loadstring(text))()`,
			`local at = 0 assert(load(function() at = at + 1 return text:sub(at, at) end))()`,
			`assert(loadfile(dir .. "/chunk.lua"))()`,
			`dofile(dir .. "/chunk.lua")`,
			`require "chunk"`,
		} {
			s := newScript(t, dir+"/?.lua")
			s.SetGlobal("text", glua.LString(c.text))
			s.SetGlobal("dir", glua.LString(dir))
			require.Equal(t, c.want+"\n", s.run(t, load), "%s: %s", load, c.text)
		}
	}
}

func TestLoadTellsWhatIsWrong(t *testing.T) {
	s := newScript(t)
	_, err := Load(s.LState, strings.NewReader("x = = 1"), "name")
	require.ErrorContains(t, err, "name:1: syntax error near '='")
	_, err = LoadFile(s.LState, "/nowhere/file.lua")
	require.ErrorIs(t, err.(*glua.ApiError).Cause, os.ErrNotExist)
	for text, want := range map[string]string{
		`print(loadstring("x = = 1"))`:          "nil\t[string \"x = = 1\"]:1: syntax error near '='",
		`print(loadfile("/nowhere/file.lua"))`:  "nil\topen /nowhere/file.lua: no such file or directory",
		`print(loadfile("/"))`:                  "nil\tread /: is a directory",
		`print(pcall(dofile, "/nowhere/x"))`:    "open /nowhere/x: no such file or directory",
		`print(load(function() return {} end))`: "nil\treader function must return a string",
		`print(pcall(require, "nowhere"))`:      "module nowhere not found",
	} {
		require.Contains(t, s.run(t, text), want, text)
	}
}

// Errors name the lines of the file, also in statements that Load has rewritten.
func TestErrorsHaveTheirLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file.lua")
	s := newScript(t)
	require.NoError(t, os.WriteFile(file, []byte("#! /usr/bin/lua\nlocal a, b = 1\na, b = b, a\na, b = a.x, a\n"), 0o666))
	f, err := LoadFile(s.LState, file)
	require.NoError(t, err)
	s.Push(f)
	require.ErrorContains(t, s.PCall(0, 0, nil), "file.lua:4: attempt to index")
}
