package lua

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	glua "github.com/yuin/gopher-lua"
)

func TestPreloadWithoutThePackageLibrary(t *testing.T) {
	L := glua.NewState(glua.Options{SkipOpenLibs: true})
	defer L.Close()
	require.ErrorContains(t, Preload(L), "package.preload")
}

func TestModules(t *testing.T) {
	s := newScript(t)
	require.Equal(t, "true\ttrue\tfalse\n", s.run(t, `
		local socket = require "socket"
		print(socket == require "socket.core", package.loaded.socket == socket, rawequal(socket, require "socket.unix"))`))
	// A state does not accept the objects of another state.
	other := newScript(t)
	require.Equal(t, "1\n", other.run(t, `alien = require "socket".udp4() print(alien:settimeout(0))`))
	s.SetGlobal("alien", other.GetGlobal("alien"))
	require.Equal(t, "false\n", s.run(t, `print((pcall(require "socket".udp4().close, alien)))`))
}

// The library accepts some calls that LuaSocket 3.1 rejects.
func TestBeyondLuaSocket(t *testing.T) {
	s := newScript(t)
	s.SetGlobal("limit", glua.LNumber(openFiles()))
	require.Equal(t, "2\n0\ttrue\n", s.run(t, `
		local socket = require "socket"
		local server = assert(socket.bind("127.0.0.1", 0))
		local host, port = server:getsockname()
		local a = assert(socket.connect(host, port))
		local b = assert(server:accept())
		assert(b:setoption("tcp-user-timeout", 2))
		print(b:getoption("tcp-user-timeout"))
		print(#b:getoption("bindtodevice"), socket._SETSIZE == limit)`))
}

// With _DEBUG set, send and receive also return the time that they took.
func TestDebug(t *testing.T) {
	s := newScript(t)
	out := s.run(t, `
		local socket = require "socket"
		socket._DEBUG = true
		local server = assert(socket.bind("127.0.0.1", 0))
		local host, port = server:getsockname()
		local a = assert(socket.connect(host, port))
		local b = assert(server:accept())
		b:settimeout(0.02)
		local data, problem, partial, took = b:receive()
		print(problem, took >= 0.02, select("#", a:send("x")))
		socket._DEBUG = nil
		print(select("#", a:send("x")))`)
	require.Equal(t, "timeout\ttrue\t4\n3\n", out)
}

// A line from the buffer is the same as one that receive has to wait for: without its carriage
// returns, and counted.
func TestBufferedLines(t *testing.T) {
	require.Equal(t, "a|b||c|de||f\n19\nrest\n", newScript(t).run(t, `
		local socket = require "socket"
		local server = assert(socket.bind("127.0.0.1", 0))
		local host, port = server:getsockname()
		local a = assert(socket.connect(host, port))
		local b = assert(server:accept())
		a:send("a\nb\r\n\r\nc\r\r\nd\re\n\n\rf\nrest")
		a:close()
		local lines = {}
		for i = 1, 7 do lines[i] = b:receive() end
		print(table.concat(lines, "|"))
		print((b:getstats()))
		print((b:receive("*a")))`))
}

func TestSelectWithinSelectIsRefused(t *testing.T) {
	s := newScript(t)
	require.Equal(t, "false\ttrue\n0\ttimeout\n", s.run(t, `
		local socket = require "socket"
		local odd = { getfd = function() socket.select(nil, nil, 0) return 0 end }
		local ok, problem = pcall(socket.select, { odd }, nil, 0)
		print(ok, problem:find("has called select", 1, true) ~= nil)
		local r, w, problem = socket.select({}, nil, 0)
		print(#r, problem)`))
}

// select waits for a descriptor that no object has, and leaves it open.
func TestSelectOverForeignDescriptors(t *testing.T) {
	s := newScript(t)
	read, write := pipe(t)
	s.SetGlobal("read", glua.LNumber(read.Fd()))
	s.SetGlobal("write", glua.LNumber(write.Fd()))
	s.run(t, `
		socket = require "socket"
		r = { getfd = function() return read end }
		w = { getfd = function() return write end }
		many = { r }
		for i = 1, 20 do many[i + 1] = socket.udp4() end`)
	before := openDescriptors(t)
	require.Equal(t, "0\t1\ntimeout\ntimeout\n", s.run(t, `
		local a, b = socket.select({ r }, { w, w }, 5)
		print(#a, #b)
		print(select(3, socket.select({ r }, nil, 0.001)))
		print(select(3, socket.select(many, nil, 0.001)))`))
	_, err := write.WriteString("x")
	require.NoError(t, err)
	require.Equal(t, "1\ttrue\t1\n", s.run(t, `
		for i = 1, 100 do a = socket.select({ r }) end
		print(#a, a[1] == r, #(socket.select(many)))`))
	require.LessOrEqual(t, openDescriptors(t), before, "each select watches duplicates")
	require.Equal(t, "false\ttrue\n", s.run(t, `
		local ok, problem = pcall(socket.select, { { getfd = function() return 1e6 end } }, nil, 0)
		print(ok, problem:find("select failed", 1, true) ~= nil)`))
}

// A select with timeout 0 reports data that was sent just before it, for any number
// of sockets.
func TestSelectWithoutTimeIsExact(t *testing.T) {
	for _, n := range []int{1, 20} {
		s := newScript(t)
		s.SetGlobal("others", glua.LNumber(n))
		require.Equal(t, "1000\t0\n", s.run(t, `
			local socket = require "socket"
			local all = {}
			for i = 1, others do all[i] = socket.udp4() all[i]:setsockname("127.0.0.1", 0) end
			local host, port = all[1]:getsockname()
			local sender, seen, late = socket.udp4(), 0, 0
			for i = 1, 1000 do
				sender:sendto("x", host, port)
				if socket.select(all, nil, 0)[1] == all[1] then seen = seen + 1 end
				all[1]:receive()
				late = late + #(socket.select(all, nil, 0))
			end
			print(seen, late)`))
	}
}

func TestDurations(t *testing.T) {
	s := newScript(t)
	for text, want := range map[string]string{
		`socket.sleep(-1)`:    "",
		`socket.sleep(0/0)`:   "",
		`socket.sleep(1e-12)`: "",
		`print(select(3, socket.select(nil, nil, 1e-12)))`: "timeout\n",
	} {
		began := time.Now()
		require.Equal(t, want, s.run(t, `local socket = require "socket" `+text), text)
		require.Less(t, time.Since(began), patience/2, text)
	}
	require.Equal(t, forever, duration(-1))
	require.Equal(t, forever, duration(1e300))
	require.Equal(t, time.Duration(1), duration(1e-300))
	require.Equal(t, 1500*time.Millisecond, duration(1.5))
}
