package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInterpSuiteOfEverySubject(t *testing.T) {
	e := testEnv("weir", "kernel")
	if err := findLua(); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err)
		}
		t.Logf("without the peer: %v", err)
	}
	e.dur = 20 * time.Millisecond
	tables := interpSuite.tables(e)
	for _, tab := range tables {
		tr := tab.trials[0]
		o, err := tr.rounds(testContext(t), 1, &progress{})
		require.NoError(t, err)
		for _, name := range tr.subjects {
			metric := tab.metrics[0].name
			require.Positive(t, o.rounds[0][name][metric], "%s: %s", name, metric)
		}
	}
	requireNoChildren(t)
}

func TestInterpSuiteTellsWhatAScriptRaised(t *testing.T) {
	_, err := ask[luaSelected](testContext(t), place{anywhere, 1}, "lua-select", luaSelectOrder{"weir-lua", 0, 0})
	require.ErrorContains(t, err, "script:")
	_, err = ask[luaSelected](testContext(t), place{anywhere, 1}, "lua-select", luaSelectOrder{"perl", 2, 0})
	require.ErrorContains(t, err, `"perl": no such interpreter`)
	requireNoChildren(t)
}
