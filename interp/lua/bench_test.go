package lua

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	glua "github.com/yuin/gopher-lua"
)

// benchmarkScript measures the function that a script returns. Its argument is the
// number of repetitions.
func benchmarkScript(b *testing.B, text string) {
	L := glua.NewState(glua.Options{RegistrySize: 1 << 16})
	defer L.Close()
	require.NoError(b, Preload(L))
	require.NoError(b, L.DoString(text))
	f := L.Get(-1)
	b.ReportAllocs()
	b.ResetTimer()
	L.Push(f)
	L.Push(glua.LNumber(b.N))
	require.NoError(b, L.PCall(1, 0, nil))
}

func BenchmarkSelectOneReady(b *testing.B) {
	for _, n := range []int{2, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkScript(b, fmt.Sprintf(`
				local socket = require "socket"
				local server = assert(socket.bind("127.0.0.1", 0))
				local host, port = server:getsockname()
				local all = {}
				while #all < %d do
					all[#all + 1] = assert(socket.connect(host, port))
					all[#all + 1] = assert(server:accept())
				end
				all[1]:send("x")
				return function(n)
					for _ = 1, n do
						if socket.select(all)[1] ~= all[2] then error("not ready") end
					end
				end`, n))
		})
	}
}

// BenchmarkSendReceive sends a message there and back within one script. No call waits.
func BenchmarkSendReceive(b *testing.B) {
	benchmarkScript(b, `
		local socket = require "socket"
		local server = assert(socket.bind("127.0.0.1", 0))
		local a = assert(socket.connect("127.0.0.1", (select(2, server:getsockname()))))
		local b = assert(server:accept())
		a:setoption("tcp-nodelay", true)
		return function(n)
			for _ = 1, n do
				a:send("a message of a hundred bytes or so\n")
				b:receive()
			end
		end`)
}

// BenchmarkLines reads lines from the buffer: one system call receives many of them.
func BenchmarkLines(b *testing.B) {
	benchmarkScript(b, `
		local socket = require "socket"
		local server = assert(socket.bind("127.0.0.1", 0))
		local a = assert(socket.connect("127.0.0.1", (select(2, server:getsockname()))))
		local b = assert(server:accept())
		local lines = ("a line of text of forty bytes or so....\n"):rep(200)
		return function(n)
			while n > 0 do
				a:send(lines)
				for _ = 1, 200 do b:receive() end
				n = n - 200
			end
		end`)
}

// BenchmarkProtectedCall measures protected calls that succeed and that fail, in the
// main chunk and in a coroutine.
func BenchmarkProtectedCall(b *testing.B) {
	for name, text := range map[string]string{
		"main":             `return function(n) for _ = 1, n do pcall(type, 1) end end`,
		"coroutine":        `return function(n) coroutine.wrap(function() for _ = 1, n do pcall(type, 1) end end)() end`,
		"error":            `return function(n) for _ = 1, n do pcall(error, 1) end end`,
		"yield and resume": `return function(n) local f = coroutine.wrap(function() while true do coroutine.yield() end end) for _ = 1, n do f() end end`,
	} {
		b.Run(name, func(b *testing.B) { benchmarkScript(b, text) })
	}
}
