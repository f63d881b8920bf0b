package suites

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/seed-2334f180/weir/bench/subjects/wrong"
	needs "github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

// smallest is a choice of settings with which every suite of ordinary use ends soon.
func smallest(suite string, settings Settings) Options {
	return Options{Suites: []string{suite}, Subjects: wrong.Real(), Settings: settings, Dur: 10 * time.Millisecond, Reps: 1}
}

var ordinarySubjects = []string{"weir", "weir-events", "weir-ondemand", "net", "gnet"}

func requireAllShown(t *testing.T, shown string, names []string) {
	t.Helper()
	for _, name := range names {
		require.Contains(t, shown, "│ "+name+" ")
	}
}

func TestOrdinarySuiteOfEverySubject(t *testing.T) {
	opts := smallest("ordinary", Settings{Procs: []int{2}, Works: []time.Duration{0, 100 * time.Microsecond}, Conns: []int{3}})
	shown, rates := runSuite(t, opts, reqPerSec)
	requireAllShown(t, shown, ordinarySubjects)
	require.Len(t, rates, len(Pins)*2*len(ordinarySubjects))
	for _, rate := range rates {
		require.Positive(t, rate)
	}
	require.Contains(t, shown, "ordinary: GOMAXPROCS=2, cores apart")
	require.Contains(t, shown, "ordinary: GOMAXPROCS=2, cores shared")
	require.Contains(t, shown, "Summary of ordinary")
}

// The computation is done: it takes its processor time for each request, or a good part of
// that on a busy machine, where the steps of the computation are counted while others run.
func TestWorkIsDoneForEachRequest(t *testing.T) {
	const work = 200 * time.Microsecond
	opts := smallest("ordinary", Settings{Procs: []int{1}, Pins: []string{PinShared}, Works: []time.Duration{work}, Conns: []int{2}})
	_, costs := runSuite(t, opts, cpuPerReq)
	require.Len(t, costs, len(ordinarySubjects))
	for i, cost := range costs {
		require.Greater(t, cost, microseconds(work)/6, ordinarySubjects[i])
	}
}

func TestOpenLoopOffersAShareOfNetsRate(t *testing.T) {
	opts := smallest("ordinary", Settings{Procs: []int{2}, Pins: []string{PinShared}, Works: []time.Duration{0}, Conns: []int{4}})
	opts.Open = 20
	shown, offered := runSuite(t, opts, offeredRate)
	require.Contains(t, shown, "at 20 % of net's greatest rate")
	require.Len(t, offered, len(ordinarySubjects))
	for _, rate := range offered {
		require.Positive(t, rate)
		require.Equal(t, offered[0], rate, "all subjects get the same")
	}
}

func TestNeighboursSuite(t *testing.T) {
	quota, err := machine.NewQuota(0.5)
	possible := err == nil
	if possible {
		require.NoError(t, quota.Close())
	}
	opts := smallest("neighbours", Settings{Procs: []int{2}, Beside: []string{"busy2", "quota0.5"}, Works: []time.Duration{0}, Conns: []int{2}})
	opts.Subjects = []string{"weir", "net"}
	shown, rates := runSuite(t, opts, reqPerSec)
	require.Contains(t, shown, "beside two busy programs")
	if possible {
		require.Contains(t, shown, "with a quota of half a core")
		require.Len(t, rates, 2*len(opts.Subjects))
		return
	}
	t.Logf("without the quota: %v", err)
	require.Contains(t, shown, "note: suite neighbours: quota0.5: no quota of processor time can be set: ")
	require.Len(t, rates, len(opts.Subjects))
}

// What is beside a server is gone when a round has ended.
func TestBusyProgramsEndWithTheRound(t *testing.T) {
	_, end, err := beside{busy: 2}.begin(benchtest.Context(t))
	require.NoError(t, err)
	require.NoError(t, end())
	benchtest.NoChildren(t)
}

func TestOneProcessSuiteOfEveryMix(t *testing.T) {
	shown, rates := runSuite(t, smallest("oneprocess", Settings{Conns: []int{3}}), reqPerSec)
	names := mixes(wrong.Real())
	require.Len(t, names, 8)
	requireAllShown(t, shown, names)
	require.Len(t, rates, len(names))
	for _, rate := range rates {
		require.Positive(t, rate)
	}
}

func TestPaceSuite(t *testing.T) {
	shown, offered := runSuite(t, smallest("pace", Settings{Rates: []int{500, 2000}, Conns: []int{2}}), offeredRate)
	requireAllShown(t, shown, ordinarySubjects)
	require.Len(t, offered, 2*len(ordinarySubjects))
}

func TestHTTPSuite(t *testing.T) {
	t.Setenv("PATH", "") // so that wrk is not found
	shown, rates := runSuite(t, smallest("http", Settings{Conns: []int{2}, Sizes: []int{128, 64 << 10}}), reqPerSec)
	requireAllShown(t, shown, []string{"weir", "weir-httpd", "net"})
	require.Contains(t, shown, "wrk is not installed")
	require.Len(t, rates, len(webKinds)*2*3)
	for _, rate := range rates {
		require.Positive(t, rate)
	}
}

func TestHTTPSuiteWithWrk(t *testing.T) {
	needs.NeedTool(t, "wrk")
	opts := smallest("http", Settings{Web: []string{"plain", "tls-close"}, Conns: []int{2}, Sizes: []int{128}})
	opts.Subjects = []string{"net"}
	shown, rates := runSuite(t, opts, reqPerSec)
	require.Contains(t, shown, "The client is wrk")
	require.Len(t, rates, 2)
}

// Every subject and peer of a criterion is one that can be measured.
func TestCriteriaNameWhatThereIs(t *testing.T) {
	names := append(wrong.Real(), mixes(wrong.Real())...)
	for _, s := range All {
		if s.criteria == nil {
			continue
		}
		for _, open := range []int{0, 70} {
			for _, c := range s.criteria(env{Options: Options{Open: open}}) {
				require.Contains(t, names, c.Peer, s.Name)
				for _, subject := range c.Subjects {
					require.Contains(t, names, subject, s.Name)
				}
				require.NotEmpty(t, c.Heading, s.Name)
			}
		}
	}
}

// A note about many cells names a few.
func TestNotesAreShort(t *testing.T) {
	var many []measure.Outcome
	for i := range 10 {
		many = append(many, measure.Outcome{
			Trial:  measure.Trial{Name: fmt.Sprintf("cell %d", i), Subjects: []string{"net"}},
			Rounds: []measure.Round{{"net": {loadBusy: 1}}},
		})
	}
	notes, err := reviewCells(many)
	require.NoError(t, err)
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "; and 7 more.")
	require.Contains(t, notes[0], fmt.Sprintf("net at %s;", many[0].Trial.Name))
}
