package timers

import "math/bits"

const (
	groupBits     = 6 // bits of a tick that a level resolves
	slotsPerLevel = 1 << groupBits
	far           = 6               // the seventh level: a slot for each bit above the six groups
	farBit        = far * groupBits // the lowest of these bits
	levels        = far + 1
)

// slot is a first-in, first-out queue of timers, so that no timer waits for ever while others are
// scheduled for its tick again and again.
type slot[T any] struct {
	head, tail *Timer[T]

	// min is the tick of the earliest timer in the slot. If the slot's bit in Wheel.stale is set, it is
	// an earlier tick of the slot's span, or the same. It has no meaning while the slot is empty.
	min uint64
}

// place returns the index of the slot for a timer of the tick when, which is not before the cursor:
// level and value of the group; on the level far, level and bit.
func (w *Wheel[T]) place(when uint64) uint16 {
	bit := uint(bits.Len64((when^w.cursor)|1)) - 1 // the highest that differs
	if bit >= farBit {
		return uint16(far*slotsPerLevel + bit)
	}
	level := bit / groupBits
	group := when >> (level * groupBits) % slotsPerLevel
	return uint16(level*slotsPerLevel + uint(group))
}

// start returns the first tick of an occupied slot that the cursor has not entered: the cursor's tick
// with the slot's group (on far, the slot's bit) in it, and all lower bits zero.
func (w *Wheel[T]) start(index uint16) uint64 {
	level, s := uint(index)/slotsPerLevel, uint64(index)%slotsPerLevel
	if level == far {
		return (w.cursor>>s | 1) << s
	}
	shift := level * groupBits
	return (w.cursor>>shift&^(slotsPerLevel-1) | s) << shift
}

// bitOf splits the index of a slot into its level and its bit in the words of that level.
func bitOf(index uint16) (level uint16, bit uint64) {
	return index / slotsPerLevel, 1 << (index % slotsPerLevel)
}

// link puts t at the end of a slot.
func (w *Wheel[T]) link(t *Timer[T], index uint16) {
	s := &w.slots[index]
	level, bit := bitOf(index)
	t.slot = index
	if s.tail == nil {
		s.head, s.tail, s.min = t, t, t.when
		w.occupied[level] |= bit
		w.stale[level] &^= bit
		return
	}
	t.prev = s.tail
	s.tail.next = t
	s.tail = t
	if t.when <= s.min {
		s.min = t.when
		w.stale[level] &^= bit
	}
}

// unlink takes t out of its slot.
func (w *Wheel[T]) unlink(t *Timer[T]) {
	s := &w.slots[t.slot]
	level, bit := bitOf(t.slot)
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		s.head = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		s.tail = t.prev
	}
	t.next, t.prev = nil, nil // else t would keep its old neighbours from being collected
	switch {
	case s.head == nil:
		w.occupied[level] &^= bit
		if w.cascading == t.slot {
			w.cascading = 0
		}
	case t.when == s.min:
		w.stale[level] |= bit
	}
}

// retime changes the tick of t within its slot. It keeps its place in the queue, and its
// neighbours are not touched.
func (w *Wheel[T]) retime(t *Timer[T], when uint64) {
	s := &w.slots[t.slot]
	level, bit := bitOf(t.slot)
	switch {
	case when <= s.min:
		s.min = when
		w.stale[level] &^= bit
	case t.when == s.min:
		w.stale[level] |= bit
	}
	t.when = when
}
