package timers

import "math/bits"

// Next returns the tick of the earliest timer; ok is false if the wheel is empty.
//
// It is exact. It takes constant time, unless the earliest timer of its slot was cancelled, moved or
// cascaded: then the next call walks the slot, once. In the worst case all timers are in one slot, the
// earliest is cancelled before each call, and each call walks them all. [Wheel.Bound] never walks.
func (w *Wheel[T]) Next() (when uint64, ok bool) {
	if w.len == 0 {
		return 0, false
	}
	when = w.earliest(w.first())
	if w.cascading != 0 && w.slots[w.cascading].min < when {
		when = min(when, w.earliest(w.cascading))
	}
	return when, true
}

// Bound returns a tick that is not later than [Wheel.Next], in constant time; ok is false if the
// wheel is empty. It is the earliest tick that the first slot holds or, on any level but the lowest,
// held before that timer was cancelled or moved.
//
// An event loop should sleep until Bound, not until Next, which may walk a full slot before each sleep.
// If Bound is too early, it still lies in the span of its slot: the Advance at that tick enters the slot
// and cascades its timers, which has to be done anyway. So the wake-ups at which nothing expires cost,
// in all, a constant for each timer and level.
func (w *Wheel[T]) Bound() (when uint64, ok bool) {
	if w.len == 0 {
		return 0, false
	}
	when = w.slots[w.first()].min
	if w.cascading != 0 {
		// Some of its timers were moved to lower levels, but any of the others may be earlier.
		when = min(when, w.slots[w.cascading].min)
	}
	return when, true
}

// first returns the index of the first occupied slot: the lowest slot of the lowest occupied level. No
// timer of another slot is earlier, except perhaps one of the slot that is cascading.
func (w *Wheel[T]) first() uint16 {
	level := 0
	for w.occupied[level] == 0 {
		level++ // the wheel is not empty, so this ends
	}
	return uint16(level*slotsPerLevel + bits.TrailingZeros64(w.occupied[level]))
}

// earliest returns the exact minimum of an occupied slot, repairing it first if it is stale.
func (w *Wheel[T]) earliest(index uint16) uint64 {
	s := &w.slots[index]
	level, bit := bitOf(index)
	if level == 0 || w.stale[level]&bit == 0 {
		return s.min // on level 0 a slot is one tick
	}
	s.min = s.head.when
	for t := s.head.next; t != nil; t = t.next {
		s.min = min(s.min, t.when)
	}
	w.stale[level] &^= bit
	return s.min
}
