package lua

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what LuaSocket prints as what is wanted")

// Each script prints the same here and on LuaSocket in C, which printed the output
// that the test wants.
func TestScripts(t *testing.T) {
	for _, name := range scripts(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			needs(t, name)
			want, err := os.ReadFile(name + ".out")
			require.NoError(t, err)
			s := newScript(t)
			require.Equal(t, string(want), s.runFile(t, name+".lua"))
		})
	}
}

// Each script also prints the same in a state with a context, which coroutines
// inherit.
func TestScriptsInContext(t *testing.T) {
	for _, name := range scripts(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			needs(t, name)
			want, err := os.ReadFile(name + ".out")
			require.NoError(t, err)
			s := newScript(t)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			s.SetContext(ctx)
			require.Equal(t, string(want), s.runFile(t, name+".lua"))
		})
	}
}

func TestScriptsOnLuaSocket(t *testing.T) {
	for _, name := range scripts(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			needs(t, name)
			got, err := oracle(t, name+".lua")
			require.NoError(t, err)
			if *update {
				require.NoError(t, os.WriteFile(name+".out", []byte(got), 0o666))
			}
			want, err := os.ReadFile(name + ".out")
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

// The libraries of gopher-lua that Preload repairs print the same as those of PUC Lua
// 5.1, which printed the output that the test wants.
func TestLibraries(t *testing.T) {
	const script = "testdata/lua51/libraries"
	want, err := os.ReadFile(script + ".out")
	require.NoError(t, err)
	s := newScript(t)
	require.Equal(t, string(want), s.runFile(t, script+".lua"))
}

// os.clock counts processor time. It does not count the time of a wait.
func TestClock(t *testing.T) {
	require.Equal(t, "true\ttrue\n", newScript(t).run(t, `
		local socket = require "socket"
		local began, before = socket.gettime(), os.clock()
		socket.sleep(0.3)
		local waited = os.clock() - before
		before = os.clock()
		for i = 1, 300000 do end
		print(waited < 0.2, os.clock() > before)`))
}
