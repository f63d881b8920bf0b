package lua

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The collector removes a value that only weak tables refer to, at the latest in its
// second run. In the first run a register may still hold the value.
func TestWeakTables(t *testing.T) {
	s := newScript(t)
	require.Equal(t, "1\t2\t3\n", s.run(t, `
		socket = require "socket"
		function fill(mode)
			local t = setmetatable({}, { __mode = mode })
			local function add()
				for i = 1, 50 do
					t[{}] = i
					t[function() end] = {}
					t[coroutine.create(function() end)] = "x"
					t[socket.udp4()] = i
					t["key" .. i] = {}
					t[i] = {}
				end
			end
			add()
			return t
		end
		function count(t)
			local n = 0
			for k, v in pairs(t) do n = n + 1 end
			return n
		end
		local t = setmetatable({}, { __mode = "k" })
		local keys = { {}, function() end, coroutine.create(function() end) }
		for i, k in ipairs(keys) do t[k] = i end
		collectgarbage()
		print(t[keys[1]], t[keys[2]], t[keys[3]])`))
	before := openDescriptors(t)
	s.run(t, `keys, values, both, strong = fill "k", fill "v", fill "kv", fill ""`)
	open := 0 // counted here, because descriptors of earlier tests may close meanwhile
	for _, o := range moduleOf(t, s).fds.objects {
		if o.Value() != nil {
			open++
		}
	}
	require.GreaterOrEqual(t, open, 200)
	s.run(t, `
		collectgarbage()
		for i = 1, 100 do local a, b, c = {}, {}, {} end
		collectgarbage()`)
	// Strings and numbers stay in weak tables, as keys and as values.
	require.Equal(t, "true\ttrue\ttrue\ttrue\n", s.run(t, `
		local function near(n, want) return n >= want and n <= want + 4 or n end
		print(near(count(keys), 100), near(count(values), 150), near(count(both), 0), near(count(strong), 300))`))
	requireCollected(t, before+100+8)
}

// A traversal continues after the collector has run within it.
func TestWeakTableWhileTraversed(t *testing.T) {
	s := newScript(t)
	require.Equal(t, "20\t20\t0\n", s.run(t, `
		local t, held = setmetatable({}, { __mode = "k" }), {}
		for i = 1, 20 do held[i] = {} t[held[i]] = i t[{}] = 0 end
		local seen, sum = 0, 0
		for k, v in pairs(t) do
			if v > 0 then seen, sum = seen + 1, sum + v end
			collectgarbage()
		end
		local left = 0
		for k, v in pairs(t) do if v == 0 then left = left + 1 end end
		print(seen, sum / 10.5, left)`))
}

// A server that runs for long in select need not call collectgarbage.
func TestWeakTablesInSelect(t *testing.T) {
	s := newScript(t)
	require.Equal(t, "true\n", s.run(t, `
		local socket = require "socket"
		local t = setmetatable({}, { __mode = "k" })
		for i = 1, 10000 do
			t[{}] = ("x"):rep(10000)
			socket.select(nil, nil, 0)
		end
		local n = 0
		for _ in pairs(t) do n = n + 1 end
		print(n < 9000)`))
}

// A function that a protected call ran is collected.
func TestWeakTableAndProtectedCalls(t *testing.T) {
	require.Equal(t, "1\tnil\n", newScript(t).run(t, `
		local calls, t = 0, setmetatable({}, { __mode = "v" })
		local function run()
			local f = function() calls = calls + 1 end
			t[1] = f
			pcall(f)
		end
		run()
		collectgarbage()
		collectgarbage()
		print(calls, (next(t)))`))
}
