package suites

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/stretchr/testify/require"
)

func TestSelectSuiteOfEverySubject(t *testing.T) {
	e := testEnv("weir", "kernel")
	e.Dur = time.Millisecond
	tables, err := selectSuite.tables(e)
	require.NoError(t, err)
	for _, tab := range tables {
		tr := tab.Trials[0]
		o, err := tr.Rounds(benchtest.Context(t), 1, &measure.Progress{})
		require.NoError(t, err)
		for _, name := range tr.Subjects {
			require.Positive(t, o.Rounds[0][name][nsPerCall], name)
		}
		for _, p := range tab.Pairs {
			for _, tr := range tab.Trials {
				require.Contains(t, tr.Subjects, p.Subject)
				require.Contains(t, tr.Subjects, p.Peer)
			}
		}
	}
	benchtest.NoChildren(t)
}
