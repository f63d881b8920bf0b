package lua

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// After a try that finds input, each receive tries early. After many that find none, few do.
func TestTries(t *testing.T) {
	var n tries
	var tried []int
	for call := range 200 {
		if n.due() {
			tried = append(tried, call)
			n.note(false)
		}
	}
	require.Equal(t, []int{0, 2, 6, 14, 30, 62, 126, 190}, tried)
	n.skip = 0
	n.note(true)
	require.True(t, n.due())
	require.True(t, n.due())
}

// Input that a script sends to itself arrives whole, whether the first system call of receive
// finds it or not: lines with and without carriage returns, over the borders of blocks, and the
// end of the stream.
func TestInputOverBlocks(t *testing.T) {
	got := newScript(t).run(t, `
		local socket = require "socket"
		local server = assert(socket.bind("127.0.0.1", 0))
		local function pair()
			local a = assert(socket.connect("127.0.0.1", (select(2, server:getsockname()))))
			return a, assert(server:accept())
		end
		local a, b = pair()
		local c, d = pair()
		local text = {}
		for i = 1, 900 do text[i] = ("line %d "):format(i) .. ("x"):rep(i % 60) .. (i % 7 == 0 and "\r\n" or "\n") end
		for turn = 1, 3 do
			a:send(table.concat(text)) c:send(table.concat(text))
			local kept = {}
			for i = 1, 900 do -- by turns, so that both sockets have input left
				for _, s in ipairs { b, d } do
					local line = s:receive()
					kept[#kept + 1] = line
				end
			end
			for i, line in ipairs(kept) do
				local want = text[math.floor((i + 1) / 2)]:gsub("[\r\n]", "")
				if line ~= want then error(("%d: %q"):format(i, line)) end
			end
		end
		print(select("#", a:send("one\ntwo"), a:close()), b:receive())
		print(b:receive())
		print(b:receive())`)
	require.Equal(t, "2\tone\tnil\tnil\nnil\tclosed\ttwo\nnil\tclosed\t\n", got)
}

// A line that a script keeps does not keep a block of input in memory.
func TestKeptLines(t *testing.T) {
	made := texts{}
	before := heapInUse()
	var kept []any
	for range 10000 {
		made.value([]byte(strings.Repeat("x", 40)))
		kept = append(kept, made.value([]byte("a line that stays for some time")))
	}
	used := int(heapInUse()) - int(before)
	require.Less(t, used/len(kept), 400)
	runtime.KeepAlive(kept)
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
