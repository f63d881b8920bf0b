package loop

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestHistogramBuckets(t *testing.T) {
	for _, c := range []struct {
		value  uint64
		bucket int
	}{
		{0, 0}, {1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {1024, 10}, {1025, 11},
		{1 << 38, 38}, {1<<38 + 1, 39}, {math.MaxUint64, 39},
	} {
		require.Equal(t, c.bucket, bucket(c.value), "value %d", c.value)
		require.LessOrEqual(t, c.value, HistogramBound(c.bucket))
		if c.bucket > 0 {
			require.Greater(t, c.value, HistogramBound(c.bucket-1))
		}
	}
	require.Equal(t, uint64(1), HistogramBound(-1))
	require.Equal(t, uint64(math.MaxUint64), HistogramBound(HistogramBuckets))
}

func TestHistogramQuantiles(t *testing.T) {
	var h Histogram
	require.Zero(t, h.Quantile(0.5))
	require.Zero(t, h.Mean())
	for v := range uint64(1000) {
		h.add(v + 1)
	}
	require.Equal(t, uint64(1000), h.Count())
	require.InDelta(t, 500.5, h.Mean(), 0.001)
	require.Equal(t, uint64(512), h.Quantile(0.5))
	require.Equal(t, uint64(1000), h.Quantile(0.99), "no more than Max")
	require.Equal(t, uint64(1), h.Quantile(0))
	require.Equal(t, uint64(1000), h.Quantile(2), "a q above 1 is 1")

	var sum Histogram
	sum.merge(&h)
	sum.merge(&h)
	require.Equal(t, uint64(2000), sum.Count())
	require.Equal(t, 2*h.Sum, sum.Sum)
	require.Equal(t, h.Max, sum.Max)
	require.Equal(t, h, sum.Since(&h), "half of it is as old as h")
}

// until waits until the loop's Stats are as the condition says.
func until(t *testing.T, l *Loop, holds func(*Stats) bool) Stats {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		s := l.Stats()
		if holds(&s) {
			return s
		}
		require.True(t, time.Now().Before(end), "%+v", s)
		time.Sleep(time.Millisecond)
	}
}

func TestStatsOfEventsAndCalls(t *testing.T) {
	l := handlerLoop(t)
	ours, theirs := handlerPair(t)
	ready := make(chan struct{}, 1)
	h := newRecorder(func(ev poller.Readiness) {
		var b [8]byte
		if n, _ := unix.Read(ours, b[:]); n > 0 {
			ready <- struct{}{}
		}
	})
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	before := l.Stats()
	const events = 100
	for range events {
		_, err := unix.Write(theirs, []byte{1})
		require.NoError(t, err)
		<-ready
	}
	s := until(t, l, func(s *Stats) bool { return s.Events >= before.Events+events })
	require.GreaterOrEqual(t, s.Turns, before.Turns+events)
	require.Greater(t, s.Sleeps, before.Sleeps)
	require.GreaterOrEqual(t, s.Batches.Count(), before.Batches.Count()+events, "each event came in a turn of its own")
	require.Equal(t, s.Events, s.Batches.Sum)
	require.Equal(t, 1, s.Registered)
	// One turn in 24 is measured at least.
	require.GreaterOrEqual(t, s.TurnTimes.Count(), uint64(events/24))
	require.NotZero(t, s.Callbacks.Count())
	require.LessOrEqual(t, s.Callbacks.Count(), s.Turns)
	require.Positive(t, s.Busy)
}

func TestStatsOfTasksTimersAndWakes(t *testing.T) {
	l := handlerLoop(t)
	until(t, l, func(*Stats) bool { return l.asleep.Load() })
	done := make(chan struct{})
	require.NoError(t, l.Post(func() { close(done) }))
	<-done
	s := until(t, l, func(s *Stats) bool { return s.Tasks == 1 && s.Wakes == 1 })
	require.Zero(t, s.TimersArmed)

	fired := make(chan struct{})
	far, err := l.AfterFunc(time.Hour, func() {})
	require.NoError(t, err)
	_, err = l.AfterFunc(time.Millisecond, func() { close(fired) })
	require.NoError(t, err)
	<-fired
	s = until(t, l, func(s *Stats) bool { return s.TimersFired == 1 })
	require.Equal(t, uint64(2), s.TimersArmed)
	require.Equal(t, 1, s.Timers)
	require.Equal(t, uint64(1), s.Late.Count())
	require.Positive(t, s.Late.Max)
	require.True(t, far.Stop())
	require.Zero(t, l.Stats().Timers)
}

func TestStatsOfWokenGoroutines(t *testing.T) {
	l := handlerLoop(t)
	ours, theirs := handlerPair(t)
	var r Blocking
	require.NoError(t, l.Register(&r.Registration, ours, DropWritable))
	for i := range uint64(10) {
		read := make(chan error)
		go func() {
			c := Call{Timeout: Forever}
			_, err := r.Begin(Read, &c)
			if err == nil {
				_, _, _, err = r.Receive(&c, make([]byte, 1))
				r.End(Read, false)
			}
			read <- err
		}()
		for r.Waiters() == 0 {
			time.Sleep(time.Millisecond)
		}
		_, err := unix.Write(theirs, []byte{1})
		require.NoError(t, err)
		require.NoError(t, <-read)
		until(t, l, func(s *Stats) bool { return s.Woken == i+1 })
	}
}

// A Spawn that wakes a parked goroutine counts, and so does a Wake of a gate by the loop.
func TestStatsOfSpawnedAndOfGates(t *testing.T) {
	l := handlerLoop(t)
	ran := make(chan struct{})
	l.Spawn(runs(func() { ran <- struct{}{} }))
	<-ran
	until(t, l, func(*Stats) bool { l.workers.mu.Lock(); defer l.workers.mu.Unlock(); return l.workers.parked == 1 })
	require.Equal(t, []uint64{1, 0}, []uint64{l.Stats().Started, l.Stats().Woken})
	l.Spawn(runs(func() { ran <- struct{}{} }))
	<-ran
	require.Equal(t, []uint64{1, 1}, []uint64{l.Stats().Started, l.Stats().Woken})

	g := NewGate()
	g.Arm()
	require.NoError(t, l.Post(func() { g.Wake(l) }))
	require.NoError(t, g.Sleep(l, time.Time{}))
	require.Equal(t, uint64(2), l.Stats().Woken)
}

func TestStatsOfQueuesWhileACallbackHoldsTheLoopUp(t *testing.T) {
	l := handlerLoop(t)
	held, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-release }))
	<-held
	for range 3 {
		require.NoError(t, l.Post(func() {}))
	}
	require.Equal(t, 3, l.Stats().Queued)
	close(release)
	until(t, l, func(s *Stats) bool { return s.Queued == 0 && s.Tasks == 4 })
}

// Stats may be read at any time: the race detector watches.
func TestStatsOfABusyGroup(t *testing.T) {
	g, err := NewGroup(2, nil, Options{})
	require.NoError(t, err)
	var posters sync.WaitGroup
	const tasks = 2000
	for _, l := range g.Loops() {
		posters.Go(func() {
			for range tasks {
				_ = l.PostUnbounded(func() {})
			}
		})
	}
	var last uint64
	for last < 2*tasks {
		s := g.Stats()
		require.GreaterOrEqual(t, s.Tasks, last)
		last = s.Tasks
	}
	posters.Wait()
	require.NoError(t, g.Close())
	require.Equal(t, uint64(2*tasks), g.Stats().Tasks, "also after Close")
}

// The estimate of the busy time is never more than the time that has passed, even if
// a turn that is measured is much longer than the others.
func TestBusyIsNoMoreThanTheTime(t *testing.T) {
	l, err := countingLoop()
	require.NoError(t, err)
	defer l.poller.Close()
	now := l.nanos() + int64(time.Hour)
	l.start = l.start.Add(-time.Hour)
	ended := now - int64(20*time.Millisecond)
	l.sampler = sampler{active: true, turns: 16, begun: now - int64(10*time.Millisecond), ended: ended}
	l.endTurn()
	require.GreaterOrEqual(t, l.published.busy, 20*time.Millisecond, "the other turns count, too")
	require.LessOrEqual(t, int64(l.published.busy), l.nanos()-ended)
}

func TestCountingAllocatesNothing(t *testing.T) {
	l, err := countingLoop()
	require.NoError(t, err)
	defer l.poller.Close()
	require.Zero(t, testing.AllocsPerRun(1000, func() { countTurn(l) }))
}

// BenchmarkCounting is what counting adds to one turn that calls one handler. The
// processor time does not depend on what else runs on the machine.
func BenchmarkCounting(b *testing.B) {
	l, err := countingLoop()
	require.NoError(b, err)
	defer l.poller.Close()
	b.ReportAllocs()
	before := readBill()
	for b.Loop() {
		countTurn(l)
	}
	b.ReportMetric(float64(readBill().minus(before).cpu)/float64(b.N), "cpu-ns/op")
}

// BenchmarkStats is one snapshot.
func BenchmarkStats(b *testing.B) {
	l, err := New(Options{})
	require.NoError(b, err)
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		l.Stats()
	}
}

// countingLoop returns a loop without a goroutine, for countTurn.
func countingLoop() (*Loop, error) {
	p, err := poller.Open(poller.Blocking)
	return &Loop{poller: p, start: time.Now()}, err
}

// countTurn does what a turn does to count. It leaves out the lock, which a turn takes
// anyway, so the caller must be alone.
func countTurn(l *Loop) {
	l.beginTurn(1)
	l.callEnds(l.callBegins())
	l.publish()
	l.endTurn()
	l.publish()
}
