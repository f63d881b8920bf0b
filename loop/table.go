package loop

// A table finds registrations by key: the index of a slot, and the slot's generation,
// which grows with each registration that leaves the slot. A late event has the
// generation of a registration that has left, and so finds nothing.
type table struct {
	slots []slot
	free  []uint32
}

type slot struct {
	generation uint32
	reg        *Registration
}

func (t *table) insert(r *Registration) (key uint64) {
	var i uint32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint32(len(t.slots))
		t.slots = append(t.slots, slot{})
	}
	t.slots[i].reg = r
	return uint64(t.slots[i].generation)<<32 | uint64(i)
}

func (t *table) find(key uint64) *Registration {
	i := uint32(key)
	if int(i) >= len(t.slots) || t.slots[i].generation != uint32(key>>32) {
		return nil
	}
	return t.slots[i].reg
}

func (t *table) remove(key uint64) {
	if t.find(key) == nil {
		return
	}
	s := &t.slots[uint32(key)]
	s.reg = nil
	s.generation++
	t.free = append(t.free, uint32(key))
}

func (t *table) len() int { return len(t.slots) - len(t.free) }

func (t *table) all() []*Registration {
	var regs []*Registration
	for _, s := range t.slots {
		if s.reg != nil {
			regs = append(regs, s.reg)
		}
	}
	return regs
}
