package timers

// One Advance may cascade cascadePerExpiry timers for each that it may expire, and cascadeAnyhow more, so
// that even a budget of one makes progress. A timer of up to 64^4 ticks (28 minutes of 0.1 ms) cascades
// three times at most, unless it crosses a multiple of 64^4, so four for each expiry keeps up with the
// usual load.
const (
	cascadePerExpiry = 4
	cascadeAnyhow    = 64
)

// Advance moves the present to the tick now. It takes the timers that are due, that is, whose tick is now
// or before, out of the wheel, stores them in expired in the order of their ticks, and returns their
// number n. They may be scheduled again at once. Timers of one tick come in no particular order, but each
// comes after a finite number of calls. A now before the present counts as the present.
//
// The length of expired bounds the timers of one call. The timers that one call cascades are bounded,
// too, to 4*len(expired)+64: a million equal timeouts are in one slot, and to cascade them all at once
// would hold the loop up. If more is true, work that is due was left: call Advance again soon, with the
// same now or a later one. Between the calls every method works as always. With an empty expired no timer
// expires, but more still tells whether one is due.
//
// Advance leaves its pointers in expired; a caller that keeps the slice may want to clear it.
func (w *Wheel[T]) Advance(now uint64, expired []*Timer[T]) (n int, more bool) {
	w.now = max(w.now, now)
	budget := cascadePerExpiry*len(expired) + cascadeAnyhow
	for w.len > 0 {
		if w.cascading != 0 {
			// Any timer of this slot may be the next to expire.
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

// cascade moves timers of the cascading slot to lower levels, at most budget of them, and returns the rest
// of the budget. When the slot is empty, unlink has set cascading to zero.
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

// expire moves timers from a slot of level 0 to expired until the slot is empty or expired is full, and
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
