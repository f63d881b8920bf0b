// Package procs tells how many Ps the Go scheduler has. runtime.GOMAXPROCS takes the
// scheduler's lock, so an answer is kept, and is asked for again from time to time: a
// program may change the number, and so does the runtime when a container's quota
// changes.
package procs

import "runtime"

// refreshAfter is how many answers are given before the scheduler is asked again.
const refreshAfter = 256

// A Count gives the number of Ps to one goroutine at a time. The zero Count is ready
// for use.
type Count struct {
	number int
	left   int // answers until the scheduler is asked again
}

// Number returns GOMAXPROCS, as it was up to 256 calls ago.
func (c *Count) Number() int {
	if c.left == 0 {
		c.number, c.left = runtime.GOMAXPROCS(0), refreshAfter
	}
	c.left--
	return c.number
}
