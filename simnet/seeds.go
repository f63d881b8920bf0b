//go:build linux

package simnet

import (
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

var (
	oneSeed   = flag.Uint64("sim.seed", 0, "simnet.Seeds runs this seed alone; 0 runs as many as the test says")
	seedCount = flag.Int("sim.seeds", 0, "how many seeds simnet.Seeds runs; 0 is what the test says")
	traces    = flag.Bool("sim.trace", false, "log the trace of each simnet.Network whose test has failed")
)

// slowSeed is how long a seed may take before Seeds says which one it is: the test's own timeout
// would end the process without a word about it.
const slowSeed = 30 * time.Second

// Seeds calls f count times, in a bubble of testing/synctest and with another seed each time,
// from 1 on. When f fails or panics, or takes half a minute of real time, Seeds prints the
// command that runs the seed again. The flag -sim.seed=N runs the seed N alone, and -sim.seeds=N
// runs N seeds.
//
//	func TestMine(t *testing.T) {
//		simnet.Seeds(t, 100, func(t *testing.T, seed uint64) {
//			n := simnet.New(t, simnet.Options{Seed: seed})
//			...
//		})
//	}
func Seeds(t *testing.T, count int, f func(t *testing.T, seed uint64)) {
	t.Helper()
	first := uint64(1)
	switch {
	case *oneSeed > 0:
		first, count = *oneSeed, 1
	case *seedCount > 0:
		count = *seedCount
	}
	var seed atomic.Uint64
	replay := func() string {
		return fmt.Sprintf("go test -run '^%s$' . -args -sim.seed=%d", t.Name(), seed.Load())
	}
	over := make(chan struct{})
	defer close(over)
	go warn(over, &seed, replay)
	begin, cpu, done := time.Now(), cpuTime(), false
	defer func() {
		if !done { // also when f panics, or a bubble ends in a deadlock
			fmt.Fprintf(os.Stderr, "simnet: seed %d has failed: %s\n", seed.Load(), replay())
		}
	}()
	for i := range uint64(count) {
		seed.Store(first + i)
		synctest.Test(t, func(t *testing.T) { f(t, first+i) })
		if t.Failed() {
			return
		}
	}
	done = true
	took := time.Since(begin)
	used := cpuTime() - cpu
	t.Logf("%d seeds in %v, and %v of processor time: %.0f in a second of it", count, took.Round(time.Millisecond), used.Round(time.Millisecond), float64(count)/used.Seconds())
}

// cpuTime is the processor time of the process so far.
func cpuTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}

// warn prints the seed that takes long.
func warn(over <-chan struct{}, seed *atomic.Uint64, replay func() string) {
	ticker := time.NewTicker(slowSeed)
	defer ticker.Stop()
	last := uint64(0)
	for {
		select {
		case <-over:
			return
		case <-ticker.C:
			now := seed.Load()
			if now == last {
				fmt.Fprintf(os.Stderr, "simnet: seed %d takes long: %s\n", now, replay())
			}
			last = now
		}
	}
}
