package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWaitsOfEverySubject(t *testing.T) {
	for _, name := range able(realSubjects, func(s subject) bool { return s.newWaiter != nil }) {
		got, err := ask[waitResult](testContext(t), place{core: anywhere}, "wait",
			waitOrder{name, 10 * time.Millisecond, 50 * time.Millisecond})
		require.NoError(t, err)
		require.Zero(t, got.Early, name)
		require.GreaterOrEqual(t, got.Waits, 3*sleepers, name)
		require.LessOrEqual(t, got.Min, got.P50)
		require.LessOrEqual(t, got.P50, got.P99)
	}
	requireNoChildren(t)
}

// A waiter that is ended by anything but its timeout must not pass as punctual. (The kernel's
// is left out: nobody may read from a descriptor that is closed.)
func TestWaiterNoticesWhatIsNotATimeout(t *testing.T) {
	for _, s := range subjects {
		if s.newWaiter == nil || s.name == "kernel" {
			continue
		}
		w, err := s.newWaiter(time.Minute)
		require.NoError(t, err)
		w.close()
		require.Error(t, w.wait(), s.name)
	}
}

func TestReceivesOfEverySubject(t *testing.T) {
	var names []string
	for _, name := range able(realSubjects, func(s subject) bool { return s.newInlet != nil }) {
		names = append(names, name, name+withTimeout)
	}
	r, err := measureCost(testContext(t), testEnv(), 100, names)
	require.NoError(t, err)
	for _, name := range names {
		require.Positive(t, r[name][nsPerReceive], name)
	}
}

func TestEarlyIsAnError(t *testing.T) {
	o := outcome{
		trial: trial{label: "1ms", subjects: []string{"a", "b"}},
		rounds: []round{
			{"a": {earlyCount: 0}, "b": {earlyCount: 0}},
			{"a": {earlyCount: 0}, "b": {earlyCount: 1}},
		},
	}
	_, err := reviewWaits([]outcome{o})
	require.EqualError(t, err, "b ended a receive before its timeout of 1ms")
}

func TestTimeoutsSuiteOfOnePeer(t *testing.T) {
	e := testEnv("net")
	e.dur = 5 * time.Millisecond
	for _, tab := range timeoutsSuite.tables(e) {
		for _, tr := range tab.trials {
			o, err := tr.rounds(testContext(t), 1, &progress{})
			require.NoError(t, err)
			for _, p := range tab.pairs {
				require.Contains(t, tr.subjects, p.subject)
				require.Contains(t, tr.subjects, p.peer)
			}
			require.Len(t, o.rounds, 1)
		}
	}
}
