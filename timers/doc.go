// Package timers is a hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical
// Timing Wheels", SOSP 1987): starting and stopping a timer takes constant time and allocates
// nothing, however many are running. It is made for timeouts, which are started by the million
// and nearly always stopped before they expire.
//
// Time is a uint64 count of ticks; what a tick is, the user decides (Weir takes 1 ms). The wheel
// reads no clock, starts no goroutine, and takes no lock: all calls on a [Wheel] and on the timers
// in it must be serialised by the caller. Embed a [Timer] in whatever it times out:
//
//	type conn struct {
//		idle timers.Timer[*conn]
//	}
//
//	w := timers.New[*conn](now)
//	c.idle.Owner = c
//	w.Schedule(&c.idle, now+30_000)          // start, or move
//	w.Cancel(&c.idle)                        // stop
//	n, more := w.Advance(now, expired[:])    // at most len(expired) of them, earliest first
//	for _, t := range expired[:n] {
//		t.Owner.close()
//	}
//	bound, ok := w.Bound()                   // unless more: sleep until then
//
// # How it works
//
// The wheel has a cursor, the tick it has got to. A timer's level is the highest 6-bit group in
// which its tick differs from the cursor, its slot there is the value of that group. Six levels of
// 64 slots reach 64^6 ticks (2.2 years of milliseconds). Hence all that is in one level expires
// before all that is in the next, and one 64-bit occupancy word a level finds the first slot by
// counting trailing zeros. On level 0 a slot is one tick. When the cursor enters a slot of a higher
// level, its timers now differ from the cursor in a lower group, and are filed again, that is to say
// cascaded. A timer only ever falls, so it is filed again at most once a level.
//
// A tick beyond the six levels is parked by the highest bit, of the bits above, in which it
// differs from the cursor. It falls from bit to bit and into the levels in just the same way, so every
// tick up to the largest uint64 is exact. (A boundary of 64^6 ticks between the cursor and a tick
// parks it too, however near it is, which costs a fall and changes nothing else.)
package timers
