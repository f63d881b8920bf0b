package suites

import (
	"os"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/scripts"
	"github.com/stretchr/testify/require"
)

func TestInterpSuiteOfEverySubject(t *testing.T) {
	e := testEnv("weir", "kernel")
	if err := scripts.FindLua(scripts.LuaProgram); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err)
		}
		t.Logf("without the peer: %v", err)
	}
	e.Dur = 20 * time.Millisecond
	tables, err := interpSuite.tables(e)
	require.NoError(t, err)
	for _, tab := range tables {
		tr := tab.Trials[0]
		o, err := tr.Rounds(benchtest.Context(t), 1, &measure.Progress{})
		require.NoError(t, err)
		for _, name := range tr.Subjects {
			metric := tab.Metrics[0].Name
			require.Positive(t, o.Rounds[0][name][metric], "%s: %s", name, metric)
		}
	}
	benchtest.NoChildren(t)
}

func TestInterpSuiteTellsWhatAScriptRaised(t *testing.T) {
	_, err := child.Ask[scripts.SelectResult](benchtest.Context(t), child.Place{Threads: 1}, "lua-select", scripts.SelectOrder{Interpreter: "weir-lua", Sockets: 0, Window: 0})
	require.ErrorContains(t, err, "script:")
	_, err = child.Ask[scripts.SelectResult](benchtest.Context(t), child.Place{Threads: 1}, "lua-select", scripts.SelectOrder{Interpreter: "perl", Sockets: 2, Window: 0})
	require.ErrorContains(t, err, `"perl": no such interpreter`)
	benchtest.NoChildren(t)
}
