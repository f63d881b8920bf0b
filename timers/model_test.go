package timers_test

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/seed-2334f180/weir/timers"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func init() {
	// The test runs more than rapid's defaults of 100 runs of 30 steps. The command line
	// can change that.
	_ = flag.Set("rapid.checks", "300")
	_ = flag.Set("rapid.steps", "60")
}

// model is a wheel and a simple implementation of one: a table of ticks, sorted when needed.
type model struct {
	wheel   *timers.Wheel[*item]
	now     uint64
	items   []*item
	running int
	more    bool // what the last Advance said; until it is false work may be left
}

// item is an owner of a timer, with what the model knows of it.
type item struct {
	timer   timers.Timer[*item]
	running bool
	when    uint64
}

func newModel(now uint64, size int) *model {
	m := &model{wheel: timers.New[*item](now), now: now}
	for range size {
		it := &item{}
		it.timer.Owner = it
		m.items = append(m.items, it)
	}
	return m
}

func (m *model) schedule(it *item, when uint64) {
	m.wheel.Schedule(&it.timer, when)
	if !it.running {
		m.running++
	}
	it.running, it.when = true, max(when, m.now)
}

func (m *model) cancel(t require.TestingT, it *item) {
	require.Equal(t, it.running, m.wheel.Cancel(&it.timer))
	if it.running {
		m.running--
	}
	it.running = false
}

// due returns the ticks of the running timers at or before now, sorted.
func (m *model) due(now uint64) []uint64 {
	var ticks []uint64
	for _, it := range m.items {
		if it.running && it.when <= now {
			ticks = append(ticks, it.when)
		}
	}
	slices.Sort(ticks)
	return ticks
}

// advance calls Advance and checks everything that its comment promises.
func (m *model) advance(t require.TestingT, now uint64, budget int) {
	m.now = max(m.now, now)
	due := m.due(m.now)
	expired := make([]*timers.Timer[*item], budget)
	refiled := m.wheel.Refiled()
	n, more := m.wheel.Advance(now, expired)

	require.LessOrEqual(t, m.wheel.Refiled()-refiled, uint64(4*budget+64), "cascades of one call")
	require.LessOrEqual(t, n, len(due), "expired early, or twice")
	for i, timer := range expired[:n] {
		it := timer.Owner
		if !it.running || timer.Scheduled() || it.when != due[i] || timer.When() != due[i] {
			require.Failf(t, "wrong timer expired", "%+v, where tick %d is due", it, due[i])
		}
		it.running = false
		m.running--
	}
	if m.more = more; !more {
		require.Len(t, due, n, "nothing more, but due timers were left")
	} else if !m.wheel.Cascading() {
		require.Equal(t, budget, n, "stopped with budget in hand")
		require.Greater(t, len(due), n, "more, but nothing is due")
	}
}

// check compares all results of the wheel's methods with the model's.
func (m *model) check(t require.TestingT) {
	require.NoError(t, m.wheel.Check())
	require.Equal(t, m.running, m.wheel.Len())
	earliest := uint64(math.MaxUint64)
	for _, it := range m.items {
		if it.running != it.timer.Scheduled() || it.running && it.when != it.timer.When() {
			require.Failf(t, "timer differs from the model", "%+v", it)
		}
		if it.running {
			earliest = min(earliest, it.when)
		}
	}
	bound, ok := m.wheel.Bound() // before Next, because Next repairs it
	require.Equal(t, m.running > 0, ok)
	when, ok := m.wheel.Next()
	require.Equal(t, m.running > 0, ok)
	if !ok {
		return
	}
	require.Equal(t, earliest, when)
	require.LessOrEqual(t, bound, when)
	if !m.more {
		require.GreaterOrEqual(t, bound, m.now, "the bound would not let a loop sleep")
	}
	again, _ := m.wheel.Bound()
	require.GreaterOrEqual(t, again, bound)
}

// drain advances to the latest running timer, and beyond.
func (m *model) drain(t require.TestingT, budget int) {
	for m.running > 0 {
		m.advance(t, math.MaxUint64, budget)
	}
	require.Zero(t, m.wheel.Len())
}

// delays generates distances in ticks: of every size, and often those at which levels meet.
func delays() *rapid.Generator[uint64] {
	return rapid.OneOf(
		rapid.Just(uint64(0)),
		rapid.Just(uint64(1)),
		rapid.Uint64Range(0, 200),
		rapid.Uint64Range(0, 1<<18),
		rapid.Custom(func(t *rapid.T) uint64 {
			border := uint64(1) << rapid.IntRange(5, 63).Draw(t, "bit")
			return border + rapid.Uint64Range(0, 2).Draw(t, "beside") - 1
		}),
		rapid.Uint64Range(1<<35, 1<<38), // years
		rapid.Uint64(),
	)
}

// ticks generates ticks seen from now: past, present, future, and beside the borders of slots.
func ticks(now uint64) *rapid.Generator[uint64] {
	return rapid.OneOf(
		rapid.Map(delays(), func(d uint64) uint64 { return now + min(d, math.MaxUint64-now) }),
		rapid.Map(delays(), func(d uint64) uint64 { return now - min(d, now) }),
		rapid.Custom(func(t *rapid.T) uint64 {
			span := uint64(1) << (6 * rapid.IntRange(1, 10).Draw(t, "level"))
			border := now&^(span-1) + span*rapid.Uint64Range(1, 3).Draw(t, "slots")
			return border + rapid.Uint64Range(0, 2).Draw(t, "beside") - 1
		}),
		rapid.SampledFrom([]uint64{0, 1, math.MaxUint64 - 1, math.MaxUint64}),
	)
}

func TestWheelAgreesWithSortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(rapid.OneOf(rapid.Just(uint64(0)), ticks(1<<40)).Draw(t, "start"), 400)
		item := rapid.SampledFrom(m.items)
		budget := rapid.OneOf(rapid.Just(1), rapid.IntRange(0, 20), rapid.Just(1000))

		t.Repeat(map[string]func(*rapid.T){
			"schedule": func(t *rapid.T) {
				m.schedule(item.Draw(t, "item"), ticks(m.now).Draw(t, "when"))
			},
			// There are more timers of one time than one call may cascade.
			"crowd": func(t *rapid.T) {
				when := ticks(m.now).Draw(t, "when")
				spread := rapid.SampledFrom([]uint64{1, 2, 50, 5000, 1 << 20}).Draw(t, "spread")
				first := rapid.IntRange(0, len(m.items)-1).Draw(t, "first")
				for i, it := range m.items[first:] {
					m.schedule(it, when+uint64(i)*7919%spread)
				}
			},
			"cancel": func(t *rapid.T) {
				m.cancel(t, item.Draw(t, "item"))
			},
			"cancelEarliest": func(t *rapid.T) {
				for _, it := range m.items {
					if when, _ := m.wheel.Bound(); it.running && it.when == when {
						m.cancel(t, it)
						break
					}
				}
			},
			"cancelMany": func(t *rapid.T) {
				step := rapid.IntRange(1, 5).Draw(t, "step")
				for i := 0; i < len(m.items); i += step {
					m.cancel(t, m.items[i])
				}
			},
			"advance": func(t *rapid.T) {
				m.advance(t, ticks(m.now).Draw(t, "now"), budget.Draw(t, "budget"))
			},
			"advanceToNext": func(t *rapid.T) {
				if when, ok := m.wheel.Next(); ok {
					m.advance(t, when, budget.Draw(t, "budget"))
				}
			},
			"advanceToBound": func(t *rapid.T) {
				if when, ok := m.wheel.Bound(); ok {
					m.advance(t, when, budget.Draw(t, "budget"))
				}
			},
			"": func(t *rapid.T) { m.check(t) },
		})
		m.drain(t, 1+budget.Draw(t, "budget"))
	})
}

// Every level with every distance from its border, from each kind of cursor.
func TestEveryBorderIsExact(t *testing.T) {
	for bit := range 64 {
		border := uint64(1) << bit
		for _, now := range []uint64{0, border / 2, border - 1, border, border + 1} {
			for _, when := range []uint64{border - 1, border, border + 1, border + border/2, border - 1 + border} {
				name := fmt.Sprintf("now %#x, when %#x", now, when)
				m := newModel(now, 1)
				m.schedule(m.items[0], when)
				m.check(t)
				if when > now {
					m.advance(t, when-1, 1)
					require.Equal(t, 1, m.running, name)
					m.check(t)
				}
				m.advance(t, when, 1)
				require.Zero(t, m.running, name)
			}
		}
	}
}
