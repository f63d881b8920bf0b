package suites

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/subjects/wrong"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test's binary be a child, as the program's binary is.
func TestMain(m *testing.M) {
	wrong.Register()
	benchtest.Main(m, Roles())
}

func testEnv(names ...string) env {
	cores, _ := machine.ChooseCores()
	return env{
		Options:  Options{Subjects: names, Dur: 20 * time.Millisecond, Reps: 1},
		Settings: Settings{Conns: []int{1, 8}, Sizes: []int{128}},
		cores:    cores,
		note:     func(string, ...any) {},
	}
}

// Messages that a socket's buffers do not hold need every partial read and write to be right.
func TestEchoOfLargeMessages(t *testing.T) {
	for _, name := range subjects.Able(wrong.Real(), func(s subjects.Subject) bool { return s.ServeEcho != nil }) {
		got, err := echoContest(2, 2<<20).measure(benchtest.Context(t), testEnv(), name)
		require.NoError(t, err)
		require.Positive(t, got.Requests)
		require.Positive(t, got.ServerCPU)
	}
}

func echoContest(conns, size int) contest {
	return contest{server: "echo-server", load: "echo-load", conns: conns, size: size, burst: 1, setup: setup{procs: 1}}
}

// Every subject takes part, works, and is shown and written.
func TestSuitesOfEverySubject(t *testing.T) {
	echoing := func(s subjects.Subject) bool { return s.ServeEcho != nil }
	for _, c := range []struct {
		suite       string
		conns       []int
		sizes       []int
		can         func(subjects.Subject) bool
		metric      string
		trials      int
		alsoPresent string
	}{
		{"echo", []int{8}, []int{1}, echoing, reqPerSec, 1, "gnet"},
		// The header alone; frames that no read ends with; more than a buffer of any subject holds.
		{"pipeline", []int{2}, []int{5, 7777, 100_000}, func(s subjects.Subject) bool { return s.ServePipeline != nil }, reqPerSec, 3, "netpoll"},
		{"bulk", []int{2}, []int{300_000}, echoing, mibPerSec, 1, "nbio"},
		{"tls", []int{2}, []int{20_000}, func(s subjects.Subject) bool { return s.ServeTLS != nil }, latencyP99, 2, "weir-events"},
		{"churn", []int{4}, []int{16}, echoing, connPerSec, 1, "netpoll"},
		{"scale", []int{8, 1}, []int{128}, echoing, growth, 1, "raw"},
		{"udp", nil, []int{8}, func(s subjects.Subject) bool { return s.ServeUDP != nil }, reqPerSec, len(udpSettings), "weir-batch"},
	} {
		t.Run(c.suite, func(t *testing.T) {
			opts := Options{Suites: []string{c.suite}, Subjects: wrong.Real(), Settings: Settings{Conns: c.conns, Sizes: c.sizes}, Dur: 10 * time.Millisecond, Reps: 1}
			shown, values := runSuite(t, opts, c.metric)
			serving := subjects.Able(wrong.Real(), c.can)
			require.Contains(t, serving, c.alsoPresent)
			for _, name := range serving {
				require.Contains(t, shown, "│ "+name+" ")
			}
			require.Len(t, values, c.trials*len(serving))
			for _, v := range values {
				require.Positive(t, v)
			}
		})
	}
}

// The suites' own settings must be what they can be run with.
func TestOwnSettingsAreAllowed(t *testing.T) {
	for _, s := range All {
		for _, size := range s.Sizes {
			require.NoError(t, s.SizeAllowed(size), s.Name)
		}
		for _, n := range s.Conns {
			require.NoError(t, Within("conns", n, 1, MaxConns), s.Name)
		}
	}
}
