package timers

// Wheel holds scheduled timers and gives them back when their tick has come. The zero value is an
// empty wheel at tick 0. It is about 11 KB, whatever it holds, and must not be copied.
//
// A Wheel is not synchronised: the caller serialises all calls. No method allocates or blocks.
type Wheel[T any] struct {
	_ noCopy

	now    uint64 // the present: the latest tick that Advance was told
	cursor uint64 // the tick got to; behind now only while Advance has work left
	len    int

	// cascading is the index of the slot that the cursor has entered and that is not wholly filed
	// again. Zero is none, for level 0 has nothing below it to cascade to. New timers never enter
	// this slot (they differ from the cursor in a lower group), so it only drains.
	cascading uint16

	refiled  uint64         // timers cascaded, ever; the tests bound it
	occupied [levels]uint64 // bit s of a level: slot s is not empty
	stale    [levels]uint64 // bit s of a level: a timer of the least tick in slot s has left it
	slots    [levels * slotsPerLevel]slot[T]
}

// New returns an empty wheel whose present is the tick now.
func New[T any](now uint64) *Wheel[T] {
	return &Wheel[T]{now: now, cursor: now}
}

// Schedule starts t, to expire at the tick when; if t is in this wheel already, it is moved. A
// tick before the wheel's present (the latest one that [Wheel.Advance] was given) counts as the
// present: t expires at the next Advance, behind all that was due before. So a timer that is
// scheduled in the past again and again cannot keep the others from expiring.
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
		// A long timeout, pushed back a little, mostly stays in its slot.
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
