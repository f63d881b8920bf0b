package lua

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/stretchr/testify/require"
	glua "github.com/yuin/gopher-lua"
)

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

func requireCollected(t *testing.T, before int) {
	t.Helper()
	require.Eventually(t, func() bool {
		runtime.GC()
		return openDescriptors(t) <= before
	}, patience, 10*time.Millisecond, "descriptors stay open")
}

// The collector frees a state that the program forgets, although select has
// registered the state's sockets with the loops.
func TestForgottenStateIsCollected(t *testing.T) {
	newScript(t).run(t, `require "socket".udp4():setsockname("127.0.0.1", 0)`) // the loops have their descriptors
	before := openDescriptors(t)
	func() {
		L := glua.NewState()
		defer L.Close()
		require.NoError(t, Preload(L))
		require.NoError(t, L.DoString(`
			local socket = require "socket"
			local server = assert(socket.bind("127.0.0.1", 0))
			local host, port = server:getsockname()
			local all = { server }
			for i = 1, 50 do all[#all + 1] = assert(socket.connect(host, port)) all[#all + 1] = assert(server:accept()) end
			for i = 1, 3 do assert(select(3, socket.select(all, nil, 0.001)) == "timeout") end
			assert(#(select(2, socket.select(nil, all, 1))) == 100)
		`))
		// The collector may have closed sockets of former tests meanwhile.
		require.Greater(t, openDescriptors(t), before+50)
	}()
	requireCollected(t, before)
}

// The collector closes a socket that a script forgets, although a select over many
// sockets registered it and no other such select follows.
func TestForgottenSocketIsCollected(t *testing.T) {
	s := newScript(t)
	s.run(t, `socket = require "socket" one = socket.udp4()`)
	before := openDescriptors(t)
	s.run(t, `
		local all = {}
		for i = 1, 50 do all[i] = socket.udp4() end
		socket.select(all, nil, 0)
		socket.select(all, nil, 0.001)
		socket.select(all, all, 0)
		assert(#select(2, socket.select(nil, all, 0)) == 50)
		local wrapped = {}
		for i = 1, 50 do
			local s = socket.udp4()
			wrapped[i] = { getfd = function() return s:getfd() end, dirty = function() return s:dirty() end }
		end
		socket.select(wrapped, nil, 0)
	`)
	require.Greater(t, openDescriptors(t), before+50)
	requireCollected(t, before)
	require.Equal(t, "timeout\n", s.run(t, `
		few = { socket.udp4(), socket.udp4(), socket.udp4(), socket.udp4(), socket.udp4(),
			socket.udp4(), socket.udp4(), socket.udp4(), socket.udp4(), socket.udp4() }
		print(select(3, socket.select(few, nil, 0.001)))
	`))
	require.Len(t, moduleOf(t, s).waits.watched, 10)
	requireCollected(t, before+10)
	s.run(t, `few = nil one:close()`)
}

// select registers only the sockets of its last call. A socket that is not in the
// lists does not end a wait, and select removes its registration.
func TestSelectForgetsWhatIsNotAskedFor(t *testing.T) {
	s := newScript(t)
	m := moduleOf(t, s)
	require.Equal(t, "timeout\ttrue\n", s.run(t, `
		socket = require "socket"
		all, half = {}, {}
		for i = 1, 40 do
			all[i] = socket.udp4()
			all[i]:setsockname("127.0.0.1", 0)
			if i <= 20 then half[i] = all[i] end
		end
		socket.select(all, nil, 0.001)
		local _, port = all[40]:getsockname()
		all[1]:sendto("x", "127.0.0.1", port)
		assert(socket.select(all)[1] == all[40])
		local began = socket.gettime()
		print(select(3, socket.select(half, nil, 0.05)), socket.gettime() - began >= 0.05)
	`))
	require.Equal(t, 20, m.waits.selector.Len())
	require.Len(t, m.waits.watched, 20)
	require.Equal(t, "40\tnil\n", s.run(t, `
		local r, w, problem = socket.select(half, all, 5)
		print(#w, problem)
	`))
	require.Equal(t, 40, m.waits.selector.Len())
	s.run(t, `for i = 21, 40 do all[i]:close() end`)
	require.Equal(t, 20, m.waits.selector.Len())
	require.Equal(t, "0\ttimeout\n", s.run(t, `
		local r, w, problem = socket.select(all, nil, 0.001)
		print(#r, problem)
	`))
	s.run(t, `for i = 1, 40 do all[i]:close() end`)
	require.Zero(t, m.waits.selector.Len())
	require.Empty(t, m.waits.watched)
}

// moduleOf returns the module that Preload made for a state. It takes it from an
// object.
func moduleOf(t *testing.T, s *script) *module {
	t.Helper()
	s.run(t, `probe = require "socket".tcp()`)
	return s.GetGlobal("probe").(*glua.LUserData).Value.(*object).m
}

// A loop that calls select with the same sockets allocates only the two tables of
// results.
func TestSelectAllocatesItsResultsOnly(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	s := newScript(t)
	s.run(t, `
		socket = require "socket"
		all = {}
		for i = 1, 100 do all[i] = socket.udp4() end
		assert(select(3, socket.select(all, nil, 0.001)) == "timeout")
	`)
	f := s.GetField(s.GetGlobal("socket"), "select")
	all := s.GetGlobal("all")
	call := func() {
		s.Push(f)
		s.Push(all)
		s.Push(glua.LNil)
		s.Push(glua.LNumber(0.0001))
		s.Call(3, 3)
		s.Pop(3)
	}
	require.LessOrEqual(t, testing.AllocsPerRun(100, call), 2.0)
}
