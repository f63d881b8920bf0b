package timers_test

import (
	"fmt"

	"github.com/seed-2334f180/weir/timers"
)

// A loop with idle timeouts: whatever happens on a connection pushes its timer back.
func Example() {
	type conn struct {
		name string
		idle timers.Timer[*conn]
	}
	const timeout = 30_000 // ticks of 1 ms

	wheel := timers.New[*conn](0)
	a, b := &conn{name: "a"}, &conn{name: "b"}
	for _, c := range []*conn{a, b} {
		c.idle.Owner = c
		wheel.Schedule(&c.idle, timeout)
	}
	wheel.Schedule(&b.idle, 12_000+timeout) // at 12 s there was input from b

	var expired [16]*timers.Timer[*conn]
	for wheel.Len() > 0 {
		now, _ := wheel.Bound() // a loop would sleep until then
		n, _ := wheel.Advance(now, expired[:])
		for _, t := range expired[:n] {
			fmt.Printf("%d ms: %s was idle\n", now, t.Owner.name)
		}
	}
	// Output:
	// 30000 ms: a was idle
	// 42000 ms: b was idle
}
