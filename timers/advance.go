package timers

// What one Advance may cascade: so many timers for each that it may expire, and a few more so that
// even a budget of one gets on. A timer of up to 64^4 ticks (4.6 hours of milliseconds) falls three
// times at most, so four to one keeps up with any usual load.
const (
	cascadePerExpiry = 4
	cascadeAnyhow    = 64
)

// Advance moves the present to the tick now and takes timers that are due, those with a tick at or
// before now, out of the wheel and into expired, in order of their ticks. It returns how many; they
// are at rest, and may be scheduled again at once. Timers of one tick come in no particular
// order, but none is passed over for ever. A now before the present counts as the present.
//
// The length of expired is the budget of the call. What is filed again on lower levels is bounded
// likewise, to 4*len(expired)+64 timers, for a million equal timeouts sit in one slot, and to file
// them in one go would hold up the loop. If more is true, work that is due at now was left: call again
// soon, with the same now or a later one. Between the calls every method works as always.
// An empty expired expires nothing, but more still tells whether anything is due.
//
// Advance leaves its pointers in expired; a caller that keeps the slice may want to clear it.
func (w *Wheel[T]) Advance(now uint64, expired []*Timer[T]) (n int, more bool) {
	w.now = max(w.now, now)
	budget := cascadePerExpiry*len(expired) + cascadeAnyhow
	for w.len > 0 {
		if w.cascading != 0 {
			// Any of these may be the next to expire, so they come before anything else.
			budget = w.cascade(budget)
			if w.cascading != 0 {
				return n, true
			}
		}
		index := w.first()
		start := w.start(index)
		if start > w.now {
			break
		}
		// Everything before this slot has expired, so the cursor may enter it.
		w.cursor = start
		if index >= slotsPerLevel {
			w.cascading = index
			continue
		}
		n += w.expire(index, expired[n:])
		if w.slots[index].head != nil {
			return n, true
		}
	}
	w.cursor = w.now
	return n, false
}

// cascade files timers of the cascading slot again, no more than budget of them, and returns what
// is left of the budget. When the slot is empty, unlink has set cascading to zero.
func (w *Wheel[T]) cascade(budget int) int {
	s := &w.slots[w.cascading]
	for s.head != nil && budget > 0 {
		t := s.head
		w.unlink(t)
		w.link(t, w.place(t.when))
		w.refiled++
		budget--
	}
	return budget
}

// expire takes timers out of a slot of level 0 and into expired until one of them ends, and
// returns how many.
func (w *Wheel[T]) expire(index uint16, expired []*Timer[T]) (n int) {
	s := &w.slots[index]
	for n < len(expired) && s.head != nil {
		expired[n] = s.head
		w.remove(s.head)
		n++
	}
	return n
}
