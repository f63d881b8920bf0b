package timers

import (
	"fmt"
	"math/bits"
)

// Refiled returns how many timers w has cascaded since it was made.
func (w *Wheel[T]) Refiled() uint64 { return w.refiled }

// Cascading reports whether a slot was entered and still has timers to cascade.
func (w *Wheel[T]) Cascading() bool { return w.cascading != 0 }

// Stale returns the number of slots that Next would walk if they were first.
func (w *Wheel[T]) Stale() (n int) {
	for level := 1; level < levels; level++ {
		n += bits.OnesCount64(w.occupied[level] & w.stale[level])
	}
	return n
}

// Check verifies every invariant of the wheel, in time linear in its size.
func (w *Wheel[T]) Check() error {
	count := 0
	for i := range w.slots {
		n, err := w.checkSlot(uint16(i))
		if err != nil {
			return fmt.Errorf("slot %d of level %d, cursor %#x: %w", i%slotsPerLevel, i/slotsPerLevel, w.cursor, err)
		}
		count += n
	}
	switch {
	case count != w.len:
		return fmt.Errorf("%d timers linked, length is %d", count, w.len)
	case w.cursor > w.now:
		return fmt.Errorf("cursor %d beyond the present %d", w.cursor, w.now)
	case w.cascading != 0 && w.slots[w.cascading].head == nil:
		return fmt.Errorf("empty slot %d is cascading", w.cascading)
	}
	return nil
}

func (w *Wheel[T]) checkSlot(index uint16) (n int, err error) {
	s := &w.slots[index]
	level, bit := bitOf(index)
	if (s.head != nil) != (w.occupied[level]&bit != 0) || (s.head == nil) != (s.tail == nil) {
		return 0, fmt.Errorf("head %p, tail %p, occupied %#x", s.head, s.tail, w.occupied[level])
	}
	if s.head == nil {
		return 0, nil
	}
	least := s.head.when
	var prev *Timer[T]
	for t := s.head; t != nil; prev, t = t, t.next {
		least = min(least, t.when)
		n++
		switch {
		case t.prev != prev:
			return n, fmt.Errorf("links of timer %d are broken", n)
		case !t.scheduled || t.slot != index:
			return n, fmt.Errorf("timer for %#x says scheduled=%v, slot %d", t.when, t.scheduled, t.slot)
		case index != w.cascading && w.place(t.when) != index:
			return n, fmt.Errorf("timer for %#x belongs in slot %d", t.when, w.place(t.when))
		}
	}
	stale := level > 0 && w.stale[level]&bit != 0
	switch {
	case s.tail != prev:
		return n, fmt.Errorf("tail is not the last timer")
	case s.min > least, s.min < least && !stale:
		return n, fmt.Errorf("minimum %#x, stale=%v, earliest timer %#x", s.min, stale, least)
	case s.min < w.cursor, index != w.cascading && s.min < w.start(index) && level > 0:
		return n, fmt.Errorf("minimum %#x before the slot's span", s.min)
	}
	return n, nil
}
