//go:build linux

package poller_test

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { machine.Main(m) }

// onBoth runs a test over each strategy, with an open Poller.
func onBoth(t *testing.T, test func(t *testing.T, p *poller.Poller)) {
	for _, s := range []poller.Strategy{poller.Parked, poller.Blocking} {
		t.Run(s.String(), func(t *testing.T) {
			p, err := poller.Open(s)
			require.NoError(t, err)
			defer p.Close()
			test(t, p)
		})
	}
	t.Run("holding", func(t *testing.T) {
		p, err := poller.Open(poller.Parked)
		require.NoError(t, err)
		defer p.Close()
		p.Hold(poller.HoldAlways)
		test(t, p)
	})
}

// pair returns the two ends of a non-blocking stream.
func pair(t *testing.T) (a, b int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func write(t *testing.T, fd int, s string) {
	n, err := unix.Write(fd, []byte(s))
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

func soon() time.Time { return time.Now().Add(time.Minute) }

func TestReportsKeyAndReadiness(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		a, b := pair(t)
		for _, key := range []uint64{0, 1, 1 << 31, 1<<63 + 12345, math.MaxUint64 - 2} {
			require.NoError(t, p.Add(a, key, poller.Readable|poller.PeerClosed))
			write(t, b, "x")
			events := make([]poller.Event, 4)
			n, err := p.Wait(events, soon())
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, key, events[0].Key())
			require.Equal(t, poller.Readable, events[0].Ready())
			require.NoError(t, p.Delete(a))
			_, err = unix.Read(a, make([]byte, 1))
			require.NoError(t, err)
		}
	})
}

func TestEdgeIsReportedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		a, b := pair(t)
		require.NoError(t, p.Add(a, 7, poller.Readable))
		events := make([]poller.Event, 4)
		write(t, b, "x")
		n, err := p.Wait(events, soon())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = p.Wait(events, time.Now().Add(20*time.Millisecond)) // the data is unread, and there is no new edge
		require.NoError(t, err)
		require.Zero(t, n)
		write(t, b, "y")
		n, err = p.Wait(events, soon())
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

func TestPeerClosedAndHungUp(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		a, b := pair(t)
		require.NoError(t, p.Add(a, 1, poller.Readable|poller.PeerClosed))
		require.NoError(t, unix.Shutdown(b, unix.SHUT_WR))
		events := make([]poller.Event, 1)
		n, err := p.Wait(events, soon())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, poller.Readable|poller.PeerClosed, events[0].Ready())
		require.NoError(t, unix.Shutdown(a, unix.SHUT_WR))
		n, err = p.Wait(events, soon())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.NotZero(t, events[0].Ready()&poller.HungUp, "reported though not asked for")
	})
}

func TestModifyReportsAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		a, _ := pair(t)
		events := make([]poller.Event, 1)
		require.NoError(t, p.Add(a, 1, poller.Readable))
		n, err := p.Wait(events, time.Now().Add(-time.Second))
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, p.Modify(a, 2, poller.Readable|poller.Writable))
		n, err = p.Wait(events, soon())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.EqualValues(t, 2, events[0].Key())
		require.Equal(t, poller.Writable, events[0].Ready())
	})
}

func TestPrecision(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		events := make([]poller.Event, 1)
		for _, d := range []time.Duration{0, 200 * time.Microsecond, time.Millisecond, 3700 * time.Microsecond, 30 * time.Millisecond} {
			start := time.Now()
			n, err := p.Wait(events, start.Add(d))
			took := time.Since(start)
			require.NoError(t, err)
			require.Zero(t, n)
			require.GreaterOrEqual(t, took, d, "early")
			require.Less(t, took, d+30*time.Second)
		}
	})
}

// A Wait does not end at the deadline of an earlier Wait, and does not sleep past its
// own.
func TestDeadlinesFollowEachOther(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		events := make([]poller.Event, 1)
		start := time.Now()
		require.NoError(t, p.Wake())
		_, err := p.Wait(events, start.Add(time.Hour))
		require.NoError(t, err)
		for _, d := range []time.Duration{10, 40, 20, 60} { // the third deadline has passed already
			_, err = p.Wait(events, start.Add(d*time.Millisecond))
			require.NoError(t, err)
			require.GreaterOrEqual(t, time.Since(start), d*time.Millisecond)
			require.Less(t, time.Since(start), 30*time.Second)
		}
		require.NoError(t, p.Wake())
		_, err = p.Wait(events, time.Time{})
		require.NoError(t, err)
	})
}

func TestHasten(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		events := make([]poller.Event, 1)
		start := time.Now()
		require.NoError(t, p.Hasten(start.Add(20*time.Millisecond)), "before the wait")
		require.NoError(t, p.Hasten(start.Add(time.Hour)), "later changes nothing")
		_, err := p.Wait(events, start.Add(time.Minute))
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
		require.Less(t, time.Since(start), 30*time.Second)

		ended := make(chan error)
		go func() {
			_, err := p.Wait(events, time.Time{})
			ended <- err
		}()
		start = time.Now()
		require.NoError(t, p.Hasten(start.Add(5*time.Millisecond)), "during it")
		require.NoError(t, <-ended)
		require.GreaterOrEqual(t, time.Since(start), 5*time.Millisecond)

		start = time.Now()
		_, err = p.Wait(events, start.Add(30*time.Millisecond))
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond, "it is for one wait")
	})
}

func TestWakeBeforeAndDuringWait(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		events := make([]poller.Event, 1)
		require.NoError(t, p.Wake())
		n, err := p.Wait(events, time.Time{})
		require.NoError(t, err)
		require.Zero(t, n)

		woken := make(chan error)
		go func() {
			_, err := p.Wait(events, time.Time{})
			woken <- err
		}()
		require.NoError(t, p.Wake())
		require.NoError(t, <-woken)
	})
}

func TestWakesAreCoalesced(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { p.Wake() })
		}
		wg.Wait()
		events := make([]poller.Event, 1)
		n, err := p.Wait(events, time.Time{})
		require.NoError(t, err)
		require.Zero(t, n)
		start := time.Now()
		_, err = p.Wait(events, start.Add(30*time.Millisecond))
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond, "one hundred wakes must end one wait")
	})
}

// No Wake is lost. Each Wake comes after the one before has ended a Wait.
func TestWakeIsNeverLost(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		const rounds = 5000
		var asked, answered atomic.Int64
		answer := make(chan struct{}, 1)
		done := make(chan error)
		go func() {
			events := make([]poller.Event, 1)
			for answered.Load() < rounds {
				if _, err := p.Wait(events, time.Time{}); err != nil {
					done <- err
					return
				}
				if n := asked.Load(); n != answered.Load() {
					answered.Store(n)
					answer <- struct{}{}
				}
			}
			done <- nil
		}()
		for i := range int64(rounds) {
			asked.Store(i + 1)
			require.NoError(t, p.Wake())
			select {
			case <-answer:
			case <-time.After(time.Minute):
				t.Fatalf("wake %d was lost", i)
			}
		}
		require.NoError(t, <-done)
	})
}

func TestWakeAlongsideEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		const count = 20
		events := make([]poller.Event, count+1)
		for i := range count {
			a, b := pair(t)
			require.NoError(t, p.Add(a, uint64(i), poller.Readable))
			write(t, b, "x")
			if i == count/2 {
				require.NoError(t, p.Wake())
			}
		}
		n, err := p.Wait(events, soon())
		require.NoError(t, err)
		require.Equal(t, count, n, "the wake-up itself is not an event")
		seen := map[uint64]bool{}
		for i := range events[:n] {
			seen[events[i].Key()] = true
		}
		require.Len(t, seen, count)
	})
}

func TestCloseEndsWait(t *testing.T) {
	for _, s := range []poller.Strategy{poller.Parked, poller.Blocking} {
		t.Run(s.String(), func(t *testing.T) {
			p, err := poller.Open(s)
			require.NoError(t, err)
			a, _ := pair(t)
			require.NoError(t, p.Add(a, 1, poller.Readable))
			ended := make(chan error)
			go func() {
				_, err := p.Wait(make([]poller.Event, 1), time.Time{})
				ended <- err
			}()
			runtime.Gosched()
			require.NoError(t, p.Close())
			require.ErrorIs(t, <-ended, poller.ErrClosed)
			require.ErrorIs(t, poller.ErrClosed, unix.EBADF)

			require.ErrorIs(t, p.Close(), poller.ErrClosed)
			require.ErrorIs(t, p.Add(a, 1, poller.Readable), poller.ErrClosed)
			require.ErrorIs(t, p.Delete(a), poller.ErrClosed)
			require.ErrorIs(t, p.Wake(), poller.ErrClosed)
			_, err = p.Wait(make([]poller.Event, 1), time.Time{})
			require.ErrorIs(t, err, poller.ErrClosed)
			_, err = unix.Write(a, []byte("x"))
			require.NoError(t, err, "what it watched stays open")
		})
	}
}

// Many goroutines call Wake, Add, Delete and Close while one waits. There is no race and
// no hang. After Close the only error is ErrClosed.
func TestConcurrentUseAndClose(t *testing.T) {
	for _, s := range []poller.Strategy{poller.Parked, poller.Blocking} {
		t.Run(s.String(), func(t *testing.T) {
			for range 30 {
				p, err := poller.Open(s)
				require.NoError(t, err)
				var wg sync.WaitGroup
				stop := make(chan struct{})
				wg.Go(func() {
					events := make([]poller.Event, 8)
					for {
						if _, err := p.Wait(events, soon()); err != nil {
							require.ErrorIs(t, err, poller.ErrClosed)
							return
						}
					}
				})
				for i := range 4 {
					a, b := pair(t)
					wg.Go(func() {
						for n := 0; ; n++ {
							select {
							case <-stop:
								return
							default:
							}
							err := p.Add(a, uint64(i), poller.Readable|poller.Writable)
							if err == nil {
								unix.Write(b, []byte("x"))
								p.Wake()
								err = p.Delete(a)
							}
							if err != nil {
								require.ErrorIs(t, err, poller.ErrClosed)
							}
							if n == 20 && i == 0 {
								require.NoError(t, p.Close())
								close(stop)
							}
						}
					})
				}
				wg.Wait()
			}
		})
	}
}

func TestManyDescriptorsInSmallBatches(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		const count = 100 // many times more than a batch
		for i := range count {
			a, b := pair(t)
			require.NoError(t, p.Add(a, uint64(i), poller.Readable))
			write(t, b, "x")
		}
		seen := map[uint64]int{}
		events := make([]poller.Event, 7)
		for len(seen) < count {
			n, err := p.Wait(events, soon())
			require.NoError(t, err)
			require.NotZero(t, n)
			for i := range events[:n] {
				seen[events[i].Key()]++
			}
		}
		for key, times := range seen {
			require.Equal(t, 1, times, "key %d", key)
		}
	})
}

// A Wait continues after a signal interrupts it.
func TestSignalsDoNotEndWait(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		var tid atomic.Int64
		took := make(chan time.Duration)
		start := time.Now()
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			tid.Store(int64(unix.Gettid()))
			n, err := p.Wait(make([]poller.Event, 1), start.Add(60*time.Millisecond))
			if err != nil || n != 0 {
				t.Errorf("n %d, error %v", n, err)
			}
			took <- time.Since(start)
		}()
		for {
			select {
			case d := <-took:
				require.GreaterOrEqual(t, d, 60*time.Millisecond)
				return
			default:
			}
			if id := int(tid.Load()); id != 0 {
				unix.Tgkill(os.Getpid(), id, unix.SIGURG) // harmless: Go itself preempts by this signal
			}
			runtime.Gosched()
		}
	})
}

func TestDescriptorsAreCloseOnExec(t *testing.T) {
	before := descriptors(t)
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		fresh := 0
		for fd := range descriptors(t) {
			if before[fd] {
				continue
			}
			fresh++
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			require.NoError(t, err)
			require.NotZero(t, flags&unix.FD_CLOEXEC, "fd %d", fd)
		}
		require.Equal(t, 3, fresh, "epoll, eventfd, timerfd")
	})
	require.Equal(t, before, descriptors(t), "a descriptor leaked")
}

func descriptors(t *testing.T) map[int]bool {
	// The listing's own descriptor is closed when the test checks it here.
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	open := map[int]bool{}
	for _, e := range entries {
		var fd int
		fmt.Sscan(e.Name(), &fd)
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			open[fd] = true
		}
	}
	return open
}

func TestWaitAllocatesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		a, b := pair(t)
		require.NoError(t, p.Add(a, 1, poller.Readable))
		events := make([]poller.Event, 8)
		buf := []byte("x")
		require.Zero(t, testing.AllocsPerRun(100, func() {
			unix.Write(b, buf)
			p.Wait(events, soon())
			unix.Read(a, buf)
		}), "with an event")
		require.Zero(t, testing.AllocsPerRun(20, func() {
			p.Wait(events, time.Now().Add(100*time.Microsecond))
		}), "without")
	})
}

func TestBadInput(t *testing.T) {
	_, err := poller.Open(poller.Strategy(9))
	require.ErrorContains(t, err, "unknown strategy 9")
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		a, _ := pair(t)
		require.ErrorIs(t, p.Add(-1, 1, poller.Readable), unix.EBADF)
		require.ErrorContains(t, p.Add(a, math.MaxUint64-1, poller.Readable), "reserved")
		require.ErrorContains(t, p.Add(a, 1, poller.HungUp), "HUP cannot be asked for")
		require.NoError(t, p.Add(a, 1, poller.Readable))
		require.ErrorIs(t, p.Add(a, 1, poller.Readable), unix.EEXIST)
		require.NoError(t, p.Delete(a))
		require.ErrorIs(t, p.Delete(a), unix.ENOENT)
		require.ErrorIs(t, p.Modify(a, 1, poller.Readable), unix.ENOENT)
		f, err := os.Open(os.Args[0])
		require.NoError(t, err)
		defer f.Close()
		require.ErrorIs(t, p.Add(int(f.Fd()), 1, poller.Readable), unix.EPERM, "regular files are not pollable")
		n, err := p.Wait(nil, time.Time{})
		require.ErrorContains(t, err, "no room")
		require.Zero(t, n)
	})
}

func TestReadinessNames(t *testing.T) {
	require.Equal(t, "IN|RDHUP", (poller.Readable | poller.PeerClosed).String())
	require.Equal(t, "OUT|ERR|0x1000", (poller.Writable | poller.Failed | 0x1000).String())
	require.Equal(t, "0x0", poller.Readiness(0).String())
}

// A linger ends. Then a parked Wait holds no thread, even if it has just been busy.
func TestParkedWaitHoldsNoThread(t *testing.T) {
	p, err := poller.Open(poller.Parked)
	require.NoError(t, err)
	defer p.Close()
	a, b := pair(t)
	require.NoError(t, p.Add(a, 1, poller.Readable))
	ended := make(chan error)
	ready := make(chan struct{})
	go func() {
		events := make([]poller.Event, 1)
		for range 100 {
			n, err := p.Wait(events, time.Time{})
			if n != 1 || err != nil {
				t.Errorf("n %d, error %v", n, err)
			}
			ready <- struct{}{}
		}
		_, err := p.Wait(events, time.Time{})
		ended <- err
	}()
	for range 100 { // in close succession, so that lingering is useful
		unix.Write(b, []byte("x"))
		<-ready
	}
	stacks := make([]byte, 1<<20)
	require.Eventually(t, func() bool {
		for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(g, "(*Poller).Wait") && strings.Contains(g, "[IO wait") {
				return true
			}
		}
		return false
	}, time.Minute, time.Millisecond, "it stays in the system call")
	require.NoError(t, p.Wake())
	require.NoError(t, <-ended)
}

func TestHastenToThePast(t *testing.T) {
	onBoth(t, func(t *testing.T, p *poller.Poller) {
		events := make([]poller.Event, 1)
		for _, past := range []time.Duration{0, time.Nanosecond, time.Second, math.MaxInt64} {
			require.NoError(t, p.Hasten(time.Now().Add(-past)))
			n, err := p.Wait(events, time.Time{})
			require.NoError(t, err)
			require.Zero(t, n)
		}
	})
}

// Automatic parks where the system can open Parked, and blocks elsewhere.
func TestAutomatic(t *testing.T) {
	p, err := poller.Open(poller.Automatic)
	require.NoError(t, err)
	require.NoError(t, p.Wake())
	n, err := p.Wait(make([]poller.Event, 1), time.Time{})
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, p.Close())
	require.Equal(t, "automatic", poller.Automatic.String())
}

// A Wait keeps its P if the process has only one, or if the program requests it.
func TestHold(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for procs, auto := range map[int]bool{1: true, 2: false} {
		runtime.GOMAXPROCS(procs)
		p, err := poller.Open(poller.Parked)
		require.NoError(t, err)
		defer p.Close()
		require.Equal(t, auto, p.Holds())
		p.Hold(poller.HoldAlways)
		require.True(t, p.Holds())
		p.Hold(poller.HoldNever)
		require.False(t, p.Holds())
	}
	p, err := poller.Open(poller.Blocking)
	require.NoError(t, err)
	defer p.Close()
	require.True(t, p.Holds(), "it does not park")
}
