package lua

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	glua "github.com/yuin/gopher-lua"
)

// A text value is an ordinary string: it equals another one, is a key of tables, outlives its
// source, and survives the collector.
func TestTextValue(t *testing.T) {
	var made texts
	var values []glua.LValue
	source := []byte(strings.Repeat("abcdefghi\x00", 40))
	for n := range 300 {
		values = append(values, made.value(source[:n]))
	}
	want := string(source)
	clear(source)
	for range 3 {
		runtime.GC()
	}
	table := &glua.LTable{Metatable: glua.LNil}
	for n, v := range values {
		require.Equal(t, glua.LString(want[:n]), v)
		require.Equal(t, want[:n], v.String())
		require.Equal(t, glua.LTString, v.Type())
		table.RawSet(v, glua.LNumber(n))
	}
	for n := range values {
		require.Equal(t, glua.LNumber(n), table.RawGetString(want[:n]))
	}
	line := []byte("a line of an ordinary length")
	require.Equal(t, 1.0, testing.AllocsPerRun(100, func() {
		for range together {
			keep = made.value(line)
		}
	}))
}

var keep glua.LValue

// _DEBUG reads as it was set, and does not show in a traversal. Other fields are those of an
// ordinary table.
func TestDebugField(t *testing.T) {
	require.Equal(t, "nil\ttrue\tnumber\tfalse\tnil\t5\n", newScript(t).run(t, `
		local socket = require "socket"
		local before = socket._DEBUG
		socket._DEBUG = true
		local on = socket._DEBUG
		local a, b = require "socket.core".tcp(), socket.bind("127.0.0.1", 0)
		a:connect("127.0.0.1", (select(2, b:getsockname())))
		local elapsed = select(4, a:send("x"))
		socket._DEBUG = false
		local off = socket._DEBUG
		socket.extra = 5
		print(before, on, type(elapsed), off, (select(4, a:send("x"))), rawget(socket, "extra"))`))
}
