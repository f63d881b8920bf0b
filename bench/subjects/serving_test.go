package subjects_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/subjects/wrong"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test's binary be a child, as the program's binary is.
func TestMain(m *testing.M) {
	wrong.Register()
	benchtest.Main(m, subjects.Roles)
}

// A server that never yields must go as well: the raw one holds its thread for ever.
func TestServersEndWithTheirInput(t *testing.T) {
	for _, name := range subjects.Able(wrong.Real(), func(s subjects.Subject) bool { return s.ServeEcho != nil }) {
		c, err := child.Start(benchtest.Context(t), child.Place{Threads: 1}, "echo-server", subjects.Order{Subject: name, Size: 1})
		require.NoError(t, err)
		var at subjects.Listening
		require.NoError(t, c.Answer(&at))
		require.NoError(t, c.Stop(), "%s: exit code 0, not killed", name)
	}
	benchtest.NoChildren(t)
}

// Some libraries start goroutines and timers when they are linked. A subject's process
// must not have those of another subject's library: a timer alone makes each switch
// of goroutines cost more.
func TestNoLibraryTicks(t *testing.T) {
	require.Eventually(t, func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "panjf2000/ants")
	}, time.Minute, time.Millisecond)
}

func TestWaitsOfEverySubject(t *testing.T) {
	for _, name := range subjects.Able(wrong.Real(), func(s subjects.Subject) bool { return s.NewWaiter != nil }) {
		got, err := child.Ask[subjects.WaitResult](benchtest.Context(t), child.Place{}, "wait",
			subjects.WaitOrder{Subject: name, Timeout: 10 * time.Millisecond, Window: 50 * time.Millisecond})
		require.NoError(t, err)
		require.Zero(t, got.Early, name)
		require.GreaterOrEqual(t, got.Waits, 3*subjects.Sleepers, name)
		require.LessOrEqual(t, got.Min, got.P50)
		require.LessOrEqual(t, got.P50, got.P99)
	}
	benchtest.NoChildren(t)
}
