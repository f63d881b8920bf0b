package loop

import (
	"context"
	"runtime/trace"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/timers"
)

// Stats are what a loop has counted since its start, and the lengths of its queues now.
//
// A loop always counts. It costs some nanoseconds a turn: the loop's goroutine adds to
// plain fields, and publishes them under a lock that each turn takes anyway. What
// belongs to the turn in progress may be missing in Stats. Of calls that wait alone (see
// Options.NoAlone) it counts the waits and nothing else, because they have no part in
// turns. Stats are a copy. It is for one goroutine at a time.
type Stats struct {
	Turns       uint64 // rounds of the loop: see Loop.Turns
	Events      uint64 // what the kernel has reported of descriptors
	Wakes       uint64 // waits that another goroutine has ended, to post a task for example
	Sleeps      uint64 // times that the loop has parked, or has blocked its thread
	Lingers     uint64 // times that the loop has blocked in epoll_wait(2) while it kept its P
	Polls       uint64 // busy polls before a sleep: see Options.BusyPoll
	VainPolls   uint64 // the busy polls that found nothing
	Tasks       uint64 // posted tasks that have run
	TimersArmed uint64 // times that a timer was armed, or moved
	TimersFired uint64 // timers that have expired
	Woken       uint64 // goroutines that the loop has woken
	Started     uint64 // goroutines that Spawn has started: see Loop.Started
	Panics      uint64 // see Loop.Panics
	Alone       uint64 // waits without the loop, of calls that wait alone: see Options.NoAlone
	Naps        uint64 // short sleeps so that goroutines run that were woken long before
	Roused      uint64 // loops that slept over events, and that this one has woken while its handlers computed

	// Busy estimates the time that the loop has spent in turns, without its polls and
	// sleeps. The growth of Busy in an interval, divided by the interval, is the load: 1
	// means that the loop does not rest.
	Busy time.Duration

	// Batches are the numbers of events of the turns that had any.
	Batches Histogram
	// Late has, in nanoseconds, how late each timer has fired.
	Late Histogram
	// TurnTimes and Callbacks have, in nanoseconds, how long turns took, and calls of
	// handlers, tasks and timers. Reading the clock for each would cost more than
	// counting does, so the loop measures one turn in about 16, and the calls in it.
	TurnTimes, Callbacks Histogram

	InTurn     bool // the loop is in a turn, and does not wait: see Loop.Busy
	Registered int  // descriptors on the loop
	Timers     int  // armed timers
	Queued     int  // tasks, pokes and functions of AtTurnEnd that wait
	Backlog    int  // goroutines that were woken or started, and have not run since
}

// counts are what only the loop's goroutine counts. The other counters have a lock that
// their code holds anyway.
type counts struct {
	events, tasks, woken uint64
	batch                int // events of this turn, not in published.batches yet
}

// published is what Stats reads; guarded by timerMu.
type published struct {
	counts
	poller    poller.Counts
	armed     uint64
	busy      time.Duration
	batches   Histogram
	late      Histogram
	turnTimes Histogram
	callbacks Histogram
}

// Stats returns what the loop has counted. It does not wait for the loop, so it also
// works while a callback holds the loop up, and after Close.
func (l *Loop) Stats() (s Stats) {
	l.timerMu.Lock()
	p := &l.published
	s = Stats{
		Turns: l.Turns(), Events: p.events, Tasks: p.tasks, Woken: p.woken,
		Wakes: p.poller.Wakes, Sleeps: p.poller.Sleeps, Lingers: p.poller.Lingers,
		Polls: p.poller.Polls, VainPolls: p.poller.Vain,
		TimersArmed: p.armed, TimersFired: p.late.Count(), Busy: p.busy,
		Batches: p.batches, Late: p.late, TurnTimes: p.turnTimes, Callbacks: p.callbacks,
		Timers: l.wheel.Len(),
	}
	l.timerMu.Unlock()

	l.mu.Lock()
	s.Registered = l.table.len()
	s.Queued = len(l.running) + len(l.tasks) + len(l.poked) + len(l.atEnd)
	l.mu.Unlock()

	l.workers.mu.Lock()
	s.Woken += l.workers.again
	l.workers.mu.Unlock()

	s.Woken += l.gateWakes.Load()
	s.Alone, s.Naps, s.Roused = l.lone.waits.Load(), l.backlog.naps.Load(), l.lookout.woken.Load()
	s.Started, s.Panics, s.Backlog = l.Started(), l.Panics(), l.backlog.size()
	_, s.InTurn = l.Busy()
	return s
}

// Stats returns the sums of what the loops of the group have counted.
func (g *Group) Stats() (sum Stats) {
	for _, l := range g.loops {
		s := l.Stats()
		sum.Add(&s)
	}
	return sum
}

// Add adds other to s: the numbers, and the values of the histograms. InTurn is then that
// of either.
func (s *Stats) Add(other *Stats) {
	s.Turns += other.Turns
	s.Events += other.Events
	s.Wakes += other.Wakes
	s.Sleeps += other.Sleeps
	s.Lingers += other.Lingers
	s.Polls += other.Polls
	s.VainPolls += other.VainPolls
	s.Tasks += other.Tasks
	s.TimersArmed += other.TimersArmed
	s.TimersFired += other.TimersFired
	s.Woken += other.Woken
	s.Started += other.Started
	s.Panics += other.Panics
	s.Alone += other.Alone
	s.Naps += other.Naps
	s.Roused += other.Roused
	s.Busy += other.Busy
	s.Batches.merge(&other.Batches)
	s.Late.merge(&other.Late)
	s.TurnTimes.merge(&other.TurnTimes)
	s.Callbacks.merge(&other.Callbacks)
	s.InTurn = s.InTurn || other.InTurn
	s.Registered += other.Registered
	s.Timers += other.Timers
	s.Queued += other.Queued
	s.Backlog += other.Backlog
}

// publish makes the counts of the loop's goroutine visible to Stats. The caller has
// locked timerMu.
func (l *Loop) publish() {
	p := &l.published
	if l.counts.batch > 0 {
		p.batches.add(uint64(l.counts.batch))
		l.counts.batch = 0
	}
	p.counts, p.poller = l.counts, l.poller.Counts()
}

// countFired records how late timers fire. The caller has locked timerMu.
func (l *Loop) countFired(fired []*timers.Timer[expirer], now int64) {
	for _, t := range fired {
		l.published.late.add(uint64(max(now-int64(t.When())*int64(tick), 0)))
	}
}

// A sampler decides in which turns the loop reads the clock for TurnTimes and Callbacks.
type sampler struct {
	active bool   // this turn is measured
	left   int    // turns until the next one that is measured
	turns  int    // turns since the last one that was measured
	random uint32 // makes the distance irregular, or a workload that repeats itself might always be measured at the same point
	begun  int64  // when this turn began, on the loop's clock
	ended  int64  // when the last measured turn ended
	region *trace.Region
}

// The distance between two turns that are measured: sampleLeast plus up to 15.
const sampleLeast = 9

// beginTurn counts a turn, which has events events. Only a turn that is measured reads
// the clock.
func (l *Loop) beginTurn(events int) {
	l.counts.events += uint64(events)
	l.counts.batch = events
	if trace.IsEnabled() {
		l.sampler.region = trace.StartRegion(context.Background(), "weir.turn")
	}
	l.sampler.turns++
	if l.sampler.left--; l.sampler.left <= 0 {
		l.sampler.active = true
		l.sampler.begun = l.nanos()
	}
}

// endTurn records the turn's time if the turn is measured.
func (l *Loop) endTurn() {
	s := &l.sampler
	if s.region != nil {
		s.region.End()
		s.region = nil
	}
	if !s.active {
		return
	}
	s.active = false
	now := l.nanos()
	took := now - s.begun
	s.random = s.random*1664525 + 1013904223 // Numerical Recipes' generator; its high bits are the good ones
	s.left = sampleLeast + int(s.random>>28)
	// The turns since the last sample may have taken as long as this one, but not longer
	// than all the time since then.
	busy := min(took*int64(s.turns), now-s.ended)
	s.turns, s.ended = 0, now
	l.timerMu.Lock()
	l.published.turnTimes.add(uint64(took))
	l.published.busy += time.Duration(busy)
	l.timerMu.Unlock()
}

// callBegins returns the time if the turn is measured, and otherwise 0.
func (l *Loop) callBegins() int64 {
	if !l.sampler.active {
		return 0
	}
	return l.nanos()
}

// callEnds records the time of a call that began at the time from callBegins.
func (l *Loop) callEnds(begun int64) {
	if begun != 0 {
		l.recordCall(l.nanos() - begun)
	}
}

func (l *Loop) recordCall(took int64) {
	l.timerMu.Lock()
	l.published.callbacks.add(uint64(took))
	l.timerMu.Unlock()
}
