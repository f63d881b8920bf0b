package timers_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/timers"
)

const (
	background = 100_000 // timers that run all the time
	timeout    = 30_000  // ticks or milliseconds
)

func noop() {}

// backgroundWheel returns a wheel with the background in it, spread over an hour from the timeout on.
func backgroundWheel() *timers.Wheel[*int] {
	w := timers.New[*int](0)
	all := make([]timers.Timer[*int], background)
	for i := range all {
		w.Schedule(&all[i], timeout+rand.Uint64N(3_600_000))
	}
	return w
}

// backgroundRuntime starts the same number of timers of the Go runtime.
func backgroundRuntime(b *testing.B) {
	all := make([]*time.Timer, background)
	for i := range all {
		all[i] = time.AfterFunc(time.Duration(timeout+rand.Int64N(3_600_000))*time.Millisecond, noop)
	}
	b.Cleanup(func() {
		for _, t := range all {
			t.Stop()
		}
	})
}

// BenchmarkStartStop starts one timeout and stops it, as happens to nearly every timeout.
func BenchmarkStartStop(b *testing.B) {
	b.Run("Wheel", func(b *testing.B) {
		w := backgroundWheel()
		var timer timers.Timer[*int]
		b.ReportAllocs()
		for i := uint64(0); b.Loop(); i++ {
			w.Schedule(&timer, timeout+i%4096)
			w.Cancel(&timer)
		}
	})
	// Both calls hold the caller's lock, as in real use. The peers have their lock
	// inside.
	b.Run("WheelAndMutex", func(b *testing.B) {
		w := backgroundWheel()
		var mu sync.Mutex
		var timer timers.Timer[*int]
		b.ReportAllocs()
		for i := uint64(0); b.Loop(); i++ {
			mu.Lock()
			w.Schedule(&timer, timeout+i%4096)
			mu.Unlock()
			mu.Lock()
			w.Cancel(&timer)
			mu.Unlock()
		}
	})
	b.Run("AfterFunc", func(b *testing.B) {
		backgroundRuntime(b)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			time.AfterFunc(time.Duration(timeout+i%4096)*time.Millisecond, noop).Stop()
		}
	})
	b.Run("TimerReset", func(b *testing.B) {
		backgroundRuntime(b)
		t := time.AfterFunc(timeout*time.Millisecond, noop)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			t.Reset(time.Duration(timeout+i%4096) * time.Millisecond)
			t.Stop()
		}
	})
}

// BenchmarkPushBack moves a running timeout by a tick, as each request on a connection does.
func BenchmarkPushBack(b *testing.B) {
	b.Run("Wheel", func(b *testing.B) {
		w := backgroundWheel()
		var timer timers.Timer[*int]
		b.ReportAllocs()
		for i := uint64(0); b.Loop(); i++ {
			w.Schedule(&timer, timeout+i%4096)
		}
	})
	b.Run("TimerReset", func(b *testing.B) {
		backgroundRuntime(b)
		t := time.AfterFunc(timeout*time.Millisecond, noop)
		defer t.Stop()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			t.Reset(time.Duration(timeout+i%4096) * time.Millisecond)
		}
	})
}

// BenchmarkAdvance runs a steady load: 100 timers expire in a tick, and each is scheduled again. An
// operation is the whole life of one timer: start, cascades, expiry.
func BenchmarkAdvance(b *testing.B) {
	w := timers.New[*int](0)
	all := make([]timers.Timer[*int], background)
	for i := range all {
		w.Schedule(&all[i], 1+rand.Uint64N(2000))
	}
	buf := make([]*timers.Timer[*int], 256)
	b.ReportAllocs()
	b.ResetTimer()
	now := uint64(0)
	for expired := 0; expired < b.N; now++ {
		for more := true; more; {
			var n int
			n, more = w.Advance(now, buf)
			for _, timer := range buf[:n] {
				w.Schedule(timer, now+1+rand.Uint64N(2000))
			}
			expired += n
		}
	}
}
