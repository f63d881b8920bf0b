package suites

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/subjects/wrong"
	"github.com/stretchr/testify/require"
)

func TestReceivesOfEverySubject(t *testing.T) {
	var names []string
	for _, name := range subjects.Able(wrong.Real(), func(s subjects.Subject) bool { return s.NewInlet != nil }) {
		names = append(names, name, name+subjects.WithTimeout)
	}
	r, err := measureCost(benchtest.Context(t), testEnv(), 100, names)
	require.NoError(t, err)
	for _, name := range names {
		require.Positive(t, r[name][nsPerReceive], name)
	}
}

func TestEarlyIsAnError(t *testing.T) {
	o := measure.Outcome{
		Trial: measure.Trial{Label: "1ms", Subjects: []string{"a", "b"}},
		Rounds: []measure.Round{
			{"a": {earlyCount: 0}, "b": {earlyCount: 0}},
			{"a": {earlyCount: 0}, "b": {earlyCount: 1}},
		},
	}
	_, err := reviewWaits([]measure.Outcome{o})
	require.EqualError(t, err, "b ended a receive before its timeout of 1ms")
}

func TestTimeoutsSuiteOfOnePeer(t *testing.T) {
	e := testEnv("net")
	e.Dur = 5 * time.Millisecond
	tables, err := timeoutsSuite.tables(e)
	require.NoError(t, err)
	for _, tab := range tables {
		for _, tr := range tab.Trials {
			o, err := tr.Rounds(benchtest.Context(t), 1, &measure.Progress{})
			require.NoError(t, err)
			for _, p := range tab.Pairs {
				require.Contains(t, tr.Subjects, p.Subject)
				require.Contains(t, tr.Subjects, p.Peer)
			}
			require.Len(t, o.Rounds, 1)
		}
	}
}
