package subjects

import (
	"runtime"
	"time"
)

// Compute makes so many steps of a computation that needs no memory: the work of a handler. It
// is a fixed amount, not a time: a server that is interrupted has to do all of it nevertheless.
//
//go:noinline
func Compute(steps int) {
	x := uint64(88172645463325252)
	for range steps { // xorshift64: each step needs the one before it
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	runtime.KeepAlive(x) // so the compiler does not leave it out
}

// StepsPerMicrosecond measures how many steps of Compute this machine makes in a microsecond.
// It takes the fastest of many short runs: nothing interrupted that one.
func StepsPerMicrosecond() float64 {
	const (
		steps = 100_000
		runs  = 100
	)
	best := time.Hour
	for range runs {
		start := time.Now()
		Compute(steps)
		best = min(best, time.Since(start))
	}
	return steps / (float64(best) / float64(time.Microsecond))
}
