package lua

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The iterators give whole lines, also of more bytes than a buffer has.
func TestLongLines(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lines")
	require.NoError(t, os.WriteFile(name, []byte(strings.Repeat("x", 9000)+"\nb\n\nlast"), 0o600))
	require.Equal(t, "9000\t1\t0\t4\t9000\t1\t0\t4\tfile\t9000\t1\t0\t4\n", newScript(t).run(t, `
		local name, sizes = "`+name+`", {}
		local function note(...) for line in ... do sizes[#sizes + 1] = #line end end
		note(io.lines(name))
		local f = io.open(name)
		note(f:lines())
		sizes[#sizes + 1] = io.type(f) .. ""
		f:close()
		io.input(name)
		note(io.lines())
		print(unpack(sizes))`))
}

// The errors of files are those of C: the name, the system's text, and the number.
func TestFileErrors(t *testing.T) {
	name := filepath.Join(t.TempDir(), "nothing")
	got := newScript(t).run(t, `
		local name = "`+name+`"
		print(io.open(name))
		print(io.open("/", "w"))
		print(os.remove(name))
		print(os.rename(name, name .. "2"))
		print(pcall(io.lines, name))
		print(io.open(name, "w"):close(), os.rename(name, name .. "2"), os.remove(name .. "2"))`)
	require.Equal(t, strings.ReplaceAll(`nil	NAME: No such file or directory	2
nil	/: Is a directory	21
nil	NAME: No such file or directory	2
nil	NAME: No such file or directory	2
false	bad argument #1 to ? (NAME: No such file or directory)
true	true	true
`, "NAME", name), got)
}

// Messages name a chunk as Lua does.
func TestChunkName(t *testing.T) {
	for name, want := range map[string]string{
		"=stdin":      "stdin",
		"@dir/f.lua":  "dir/f.lua",
		"return 1":    `[string "return 1"]`,
		"a = 1\nb()":  `[string "a = 1..."]`,
		"":            `[string ""]`,
		"\n\nerror()": `[string "..."]`,
		"error('a long text that does not fit into the name')": `[string "error('a long text that does not fit into t..."]`,
	} {
		require.Equal(t, want, chunkName(name), name)
	}
	require.Equal(t, "nil\t[string \"x =\"]:1: syntax error near '<eof>'\nnil\tc:3: parse error near 'y'\nfalse\tc:2: m\n", newScript(t).run(t, `
		print(loadstring("x ="))
		print(loadstring("x = 1\n\ny y", "=c"))
		print(pcall(loadstring("\nerror 'm'", "@c")))`))
	require.Equal(t, "false\n", newScript(t).run(t, `print((pcall(setmetatable, 1, {})))`))
}

// A reset during receive("*a") is an error, as in LuaSocket: the text is cut. The end of the
// stream is not.
func TestReceiveAllUntilReset(t *testing.T) {
	require.Equal(t, "nil\tclosed\tdata\ndata\tnil\tnil\n", newScript(t).run(t, `
		local socket = require "socket"
		local server = assert(socket.bind("127.0.0.1", 0))
		for _, reset in ipairs { true, false } do
			local a = assert(socket.connect("127.0.0.1", (select(2, server:getsockname()))))
			local b = assert(server:accept())
			a:send("data")
			if reset then
				b:send("x") -- a does not read it, so its close resets the connection
				socket.select({ a }, nil, 5)
			end
			a:close()
			print(b:receive("*a"))
		end`))
}

// os.execute returns the status of wait(2).
func TestExecute(t *testing.T) {
	require.Equal(t, "1\t0\t768\t9\n", newScript(t).run(t, `print(os.execute(), os.execute("true"), os.execute("exit 3"), os.execute("kill -9 $$"))`))
}
