package suites

import (
	"testing"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/subjects/wrong"
	"github.com/seed-2334f180/weir/internal/race"
	"github.com/stretchr/testify/require"
)

// A connection of net has a goroutine, whose stack takes two kilobytes, and a buffer.
func TestIdleOfEverySubject(t *testing.T) {
	conns := 300
	if machine.FilesAllowed(conns+idleFirst) != nil {
		conns = 100
	}
	opts := Options{Suites: []string{"idle"}, Subjects: wrong.Real(), Settings: Settings{Conns: []int{50}, Sizes: []int{4096}}, Reps: 1}
	shown, heaps := runSuite(t, opts, heapPerConn)
	serving := subjects.Able(wrong.Real(), func(s subjects.Subject) bool { return s.ServeEcho != nil })
	for _, name := range serving {
		require.Contains(t, shown, "│ "+name+" ")
	}
	listening := subjects.Able(wrong.Real(), func(s subjects.Subject) bool { return s.Listen != nil })
	require.Contains(t, listening, "weir-httpd")
	secure := subjects.Able(wrong.Real(), func(s subjects.Subject) bool { return s.ServeTLS != nil })
	require.Len(t, heaps, len(serving)+len(secure)+2*len(listening)) // HTTP and HTTPS

	for _, secure := range []bool{false, true} {
		got, err := idleVisit{tls: secure, contest: contest{conns: conns, size: 1}}.measure(benchtest.Context(t), testEnv(), "weir-httpd")
		require.NoError(t, err)
		require.Less(t, got[stackPerConn], 2000.0) // of a parked connection
	}
	got, err := contest{server: "echo-server", load: "idle-load", conns: conns, size: 4096, burst: 1}.measureIdle(benchtest.Context(t), testEnv(), "net")
	require.NoError(t, err)
	const piece = 32 << 10 // of memory for stacks: the rest of one may be there already
	require.Greater(t, got[stackPerConn], 2000.0-piece/float64(conns))
	require.Greater(t, got[heapPerConn], 4096.0)
	require.Greater(t, got[residentPerConn], 4096.0)
	if !race.Enabled { // functions take more of the stack then
		got, err = contest{server: "echo-server", load: "idle-load", conns: conns, size: 4096, burst: 1}.measureIdle(benchtest.Context(t), testEnv(), "weir")
		require.NoError(t, err)
		require.Less(t, got[stackPerConn], 3000.0, "a goroutine that waits has the smallest stack")
	}
	benchtest.NoChildren(t)
}

func TestIdleNoticesClosedConnections(t *testing.T) {
	_, err := contest{server: "echo-server", load: "idle-load", conns: 100, size: 128, burst: 1}.measureIdle(benchtest.Context(t), testEnv(), "hasty")
	require.ErrorContains(t, err, "the server closed")
	benchtest.NoChildren(t)

	before := footprint{resident: 1 << 20, memory: machine.Memory{Heap: 1000, Stacks: 2000}, files: 10}
	after := footprint{resident: 1<<20 + 600, memory: machine.Memory{Heap: 1300, Stacks: 2000}, files: 13}
	got, err := contest{conns: 3}.growth(before, after)
	require.NoError(t, err)
	require.Equal(t, measure.Sample{residentPerConn: 200, heapPerConn: 100, stackPerConn: 0}, got)
	_, err = contest{conns: 5}.growth(before, after)
	require.EqualError(t, err, "of 5 silent connections the server closed 2")
}
