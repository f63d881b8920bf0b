// Package timers is a hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical
// Timing Wheels", SOSP 1987): starting and stopping a timer takes constant time and allocates
// nothing, however many are running. It is made for timeouts, which are started by the million
// and nearly always stopped before they expire.
//
// Time is a uint64 count of ticks. The program decides how long a tick is; Weir's loops use 0.1 ms.
// The wheel reads no clock, starts no goroutine, and takes no lock: the caller must serialise all
// calls on a [Wheel] and on the timers in it. Embed a [Timer] in the value that it times out:
//
//	type conn struct {
//		idle timers.Timer[*conn]
//	}
//
//	w := timers.New[*conn](now)
//	c.idle.Owner = c
//	w.Schedule(&c.idle, now+300_000)         // start, or move; here 30 s of 0.1 ms
//	w.Cancel(&c.idle)                        // stop
//	n, more := w.Advance(now, expired[:])    // at most len(expired) of them, earliest first
//	for _, t := range expired[:n] {
//		t.Owner.close()
//	}
//	bound, ok := w.Bound()                   // unless more: sleep until then
//
// # How it works
//
// The wheel has a cursor: the tick up to which it has worked. Ticks are compared in groups of 6 bits.
// The level of a timer is the highest group in which its tick differs from the cursor, and its slot
// on that level is the value of the group. Six levels of 64 slots reach 64^6 ticks (80 days of 0.1 ms).
// So all timers of one level expire before all timers of the next, and the first occupied slot of a
// level is the number of trailing zeros in the level's 64-bit occupancy word. On level 0 a slot is one
// tick. When the cursor enters a slot of a higher level, the slot's timers differ from the cursor only
// in lower groups, so the wheel moves them to lower levels: it cascades them. A timer never moves up,
// so it cascades at most once for each level.
//
// A timer beyond the six levels is kept on a seventh, which has a slot for each higher bit: the highest
// bit in which its tick differs from the cursor. It cascades from bit to bit and then through the
// levels in the same way, so every tick up to the largest uint64 is exact. (Two ticks on different
// sides of a multiple of 64^6 differ in such a bit, however near they are to each other. A timer then
// cascades once more, and nothing else changes.)
package timers
