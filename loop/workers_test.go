package loop

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/stretchr/testify/require"
)

// runs is a Runner that calls a function.
type runs func()

func (f runs) Run() { f() }

// bigFrames needs more stack than a new goroutine has.
//
//go:noinline
func bigFrames(n int) byte {
	var frame [512]byte
	if n > 0 {
		frame[n] = bigFrames(n - 1)
	}
	return frame[n]
}

func idleWorkers(l *Loop) int {
	l.workers.mu.Lock()
	defer l.workers.mu.Unlock()
	return l.workers.parked
}

func eventually(t *testing.T, f func() bool, what string) {
	t.Helper()
	require.Eventually(t, f, time.Minute, time.Millisecond, what)
}

// If the goroutines run one after the other, one worker serves them all.
func TestSpawnWakesAParkedGoroutine(t *testing.T) {
	l := handlerLoop(t)
	for range 100 {
		done := make(chan struct{})
		l.Spawn(runs(func() { close(done) }))
		<-done
		eventually(t, func() bool { return idleWorkers(l) > 0 }, "it parks")
	}
	require.EqualValues(t, 1, l.Started())
	require.Zero(t, l.Backlog())
	l.workers.mu.Lock()
	defer l.workers.mu.Unlock()
	require.True(t, l.workers.trims, "the timer is set once, or it would never expire")
}

// However many workers run at the same time, few stay, and each for a short time. A
// closed loop has none.
func TestSpawnedGoroutinesEnd(t *testing.T) {
	simulated(t, func(t *testing.T, l *Loop, _ sys.Kernel) {
		before := runtime.NumGoroutine()
		leaves := func(most int) bool { // a goroutine counts until the scheduler has freed it
			synctest.Wait()
			for range 1_000_000 {
				if runtime.NumGoroutine() <= most {
					return true
				}
				runtime.Gosched()
			}
			return false
		}
		burst := func() {
			release := make(chan struct{})
			for range 2 * mostParked {
				l.Spawn(runs(func() { <-release }))
			}
			synctest.Wait()
			close(release)
			synctest.Wait()
			require.Equal(t, mostParked, idleWorkers(l), "the rest ends")
		}
		burst()
		require.True(t, leaves(before+mostParked))
		time.Sleep(3 * trimEvery) // the first trim finds that there were none before
		require.True(t, leaves(before), "they end")
		require.Zero(t, idleWorkers(l), "they are trimmed")
		burst()
		leave := make(chan struct{})
		l.Spawn(runs(func() { <-leave }))
		synctest.Wait()
		require.NoError(t, l.Close())
		close(leave)
		require.True(t, leaves(before-1), "the loop's is gone, too")
		done := make(chan struct{})
		l.Spawn(runs(func() { close(done) }))
		<-done
	})
}

// Spawn still works after goroutines have ended by runtime.Goexit.
func TestSpawnedGoexit(t *testing.T) {
	l := handlerLoop(t)
	for range 3 {
		l.Spawn(runs(runtime.Goexit))
	}
	done := make(chan struct{})
	l.Spawn(runs(func() { close(done) }))
	<-done
	eventually(t, func() bool { return l.Backlog() == 0 }, "all have run")
}

func TestSpawnByMany(t *testing.T) {
	l := handlerLoop(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				all.Add(1)
				l.Spawn(runs(all.Done))
			}
		})
	}
	all.Wait()
	eventually(t, func() bool { return l.Backlog() == 0 }, "all have run")
}

// BenchmarkSpawn runs a Runner that needs some stack on a goroutine of Spawn, and,
// as the peer, on a new one.
func BenchmarkSpawn(b *testing.B) {
	l, err := New(Options{})
	require.NoError(b, err)
	defer l.Close()
	done := make(chan struct{}, 1)
	r := runs(func() { bigFrames(12); done <- struct{}{} })
	b.Run("parked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Spawn(r)
			<-done
		}
	})
	b.Run("go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			go r.Run()
			<-done
		}
	})
}
