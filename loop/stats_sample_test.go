package loop

import (
	"io"
	"runtime/trace"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/timers"
	"github.com/stretchr/testify/require"
)

// A loop measures the first turn, and then one in sampleLeast to sampleLeast+15 turns,
// each distance about equally often. It times only the calls of a turn that is measured.
func TestSamplesOfTurns(t *testing.T) {
	l, err := countingLoop()
	require.NoError(t, err)
	defer l.poller.Close()
	const turns = 16_000
	distances := map[int]int{}
	last, measured := 0, uint64(0)
	for i := 1; i <= turns; i++ {
		l.beginTurn(0)
		begun := l.callBegins()
		if l.sampler.active {
			measured++
			distances[i-last]++
			require.NotZero(t, begun)
			require.LessOrEqual(t, l.sampler.begun, begun)
			require.Equal(t, i-last, l.sampler.turns)
			last = i
		} else {
			require.Zero(t, begun)
		}
		l.callEnds(begun)
		l.endTurn()
		require.False(t, l.sampler.active)
		require.Equal(t, i-last, l.sampler.turns)
	}
	require.Equal(t, 1, distances[1], "the first turn")
	delete(distances, 1)
	require.Len(t, distances, 16)
	for d := 9; d <= 24; d++ {
		require.InDelta(t, turns/17/16, distances[d], turns/17/32, "distance %d", d)
	}
	s := l.published
	require.Equal(t, measured, s.turnTimes.Count())
	require.Equal(t, measured, s.callbacks.Count())
	require.LessOrEqual(t, s.callbacks.Sum, s.turnTimes.Sum)
	require.LessOrEqual(t, s.turnTimes.Sum, uint64(s.busy))
	require.LessOrEqual(t, int64(s.busy), l.nanos())
	l.sampler.left = 1
	l.beginTurn(0)
	l.endTurn()
	require.EqualValues(t, l.sampler.ended-l.sampler.begun, l.published.turnTimes.Sum-s.turnTimes.Sum)
}

// A turn is a region of an execution trace, if there is one.
func TestRegionOfATurn(t *testing.T) {
	l, err := countingLoop()
	require.NoError(t, err)
	defer l.poller.Close()
	l.beginTurn(1)
	require.Nil(t, l.sampler.region)
	l.endTurn()
	if err := trace.Start(io.Discard); err != nil {
		t.Skip("a trace is in progress: ", err)
	}
	l.beginTurn(1)
	require.NotNil(t, l.sampler.region)
	l.endTurn()
	trace.Stop()
	require.Nil(t, l.sampler.region)
}

// A turn with events counts as one batch, and a turn without any as none.
func TestBatchesAreCountedOnce(t *testing.T) {
	l, err := countingLoop()
	require.NoError(t, err)
	defer l.poller.Close()
	for _, events := range []int{0, 1, 5} {
		l.beginTurn(events)
		l.publish()
		l.publish()
	}
	require.EqualValues(t, 6, l.published.events)
	require.EqualValues(t, 2, l.published.batches.Count())
	require.EqualValues(t, 6, l.published.batches.Sum)
}

// Late is the time from the tick of a timer until it fires, and not less than nothing.
func TestLateness(t *testing.T) {
	l, err := countingLoop()
	require.NoError(t, err)
	defer l.poller.Close()
	var timer timers.Timer[expirer]
	l.wheel.Schedule(&timer, 30)
	fired := []*timers.Timer[expirer]{&timer}
	l.countFired(fired, int64(30*tick))
	l.countFired(fired, int64(29*tick))
	require.EqualValues(t, 2, l.published.late.Count())
	require.Zero(t, l.published.late.Sum)
	l.countFired(fired, int64(32*tick))
	require.EqualValues(t, 2*tick, l.published.late.Sum)
	l.wheel.Cancel(&timer)
}

// Each number of Stats is the count of its kind, or the sum of the counts.
func TestStatsAreTheCounts(t *testing.T) {
	l, err := countingLoop()
	require.NoError(t, err)
	defer l.poller.Close()
	var h [4]Histogram
	for i := range h {
		h[i].add(uint64(100 + i))
	}
	l.published = published{
		counts: counts{events: 1, tasks: 2, woken: 1000, batch: 77},
		poller: poller.Counts{Wakes: 4, Sleeps: 5, Lingers: 6, Polls: 7, Vain: 8},
		armed:  9, busy: 10, batches: h[0], late: h[1], turnTimes: h[2], callbacks: h[3],
	}
	l.turns.Store(11)
	l.panics.Store(12)
	l.gateWakes.Store(200)
	l.workers.again = 30
	l.workers.started.Store(13)
	l.backlog.counts[0].Store(14)
	l.backlog.counts[1].Store(40)
	l.lone.waits.Store(15)
	l.backlog.naps.Store(16)
	l.lookout.woken.Store(17)
	var timer timers.Timer[expirer]
	l.wheel.Schedule(&timer, 1)
	var r Registration
	l.table.insert(&r)
	l.running, l.tasks, l.poked, l.atEnd = make([]func(), 1), make([]func(), 2), make([]uint64, 4), make([]func(), 8)
	want := Stats{
		Turns: 11, Events: 1, Wakes: 4, Sleeps: 5, Lingers: 6, Polls: 7, VainPolls: 8, Tasks: 2,
		TimersArmed: 9, TimersFired: 1, Woken: 1230, Started: 13, Panics: 12, Alone: 15, Naps: 16, Roused: 17,
		Busy: 10 * time.Nanosecond, Batches: h[0], Late: h[1], TurnTimes: h[2], Callbacks: h[3],
		Registered: 1, Timers: 1, Queued: 15, Backlog: 54,
	}
	got := l.Stats()
	_, want.InTurn = l.Busy()
	require.Equal(t, want, got)

	g := Group{loops: []*Loop{l, l}}
	want.Add(&got)
	require.Equal(t, want, g.Stats())
}
