package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSelectSuiteOfEverySubject(t *testing.T) {
	e := testEnv("weir", "kernel")
	e.dur = time.Millisecond
	for _, tab := range selectSuite.tables(e) {
		tr := tab.trials[0]
		o, err := tr.rounds(testContext(t), 1, &progress{})
		require.NoError(t, err)
		for _, name := range tr.subjects {
			require.Positive(t, o.rounds[0][name][nsPerFind], name)
		}
		for _, p := range tab.pairs {
			for _, tr := range tab.trials {
				require.Contains(t, tr.subjects, p.subject)
				require.Contains(t, tr.subjects, p.peer)
			}
		}
	}
	requireNoChildren(t)
}
