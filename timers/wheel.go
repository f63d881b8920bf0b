package timers

// Wheel holds scheduled timers and gives them back when their tick has come. The zero value is an
// empty wheel at tick 0. It is about 11 KB, whatever it holds, and must not be copied.
//
// It is for one goroutine at a time: the caller serialises all calls. No method allocates or blocks.
type Wheel[T any] struct {
	_ noCopy

	now    uint64 // the present: the latest tick that Advance was told
	cursor uint64 // the tick up to which the wheel has worked; before now only while Advance has work left
	len    int

	// cascading is the index of the slot that the cursor has entered and that still has timers to
	// cascade. Zero is none, because slot 0 is on level 0, which does not cascade. A new timer never
	// enters this slot, since it differs from the cursor in a lower group.
	cascading uint16

	refiled  uint64         // the number of cascades of timers so far; for the tests
	occupied [levels]uint64 // bit s of a level: slot s is not empty
	stale    [levels]uint64 // bit s of a level: a timer with the slot's min has left it, so min may be too early
	slots    [levels * slotsPerLevel]slot[T]
}

// New returns an empty wheel whose present is the tick now.
func New[T any](now uint64) *Wheel[T] {
	return &Wheel[T]{now: now, cursor: now}
}

// Schedule starts t, to expire at the tick when; if t is in this wheel already, Schedule moves it. A
// tick before the wheel's present (the latest tick that [Wheel.Advance] was given) counts as the
// present: t expires at the next Advance, after all timers that were due before. So a timer that is
// scheduled in the past again and again does not keep the others from expiring.
func (w *Wheel[T]) Schedule(t *Timer[T], when uint64) {
	when = max(when, w.now)
	slot := w.place(when)
	switch {
	case !t.scheduled:
		t.when = when
		t.scheduled = true
		w.len++
		w.link(t, slot)
	case t.slot == slot:
		// A long timeout that is moved a little mostly stays in its slot.
		w.retime(t, when)
	default:
		w.unlink(t)
		t.when = when
		w.link(t, slot)
	}
}

// Cancel stops t and reports whether it was scheduled.
func (w *Wheel[T]) Cancel(t *Timer[T]) bool {
	if !t.scheduled {
		return false
	}
	w.remove(t)
	return true
}

// Len returns the number of scheduled timers.
func (w *Wheel[T]) Len() int { return w.len }

// remove takes t out of the wheel.
func (w *Wheel[T]) remove(t *Timer[T]) {
	w.unlink(t)
	t.scheduled = false
	w.len--
}
