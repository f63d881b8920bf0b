package loop_test

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// severalPs gives the scheduler two Ps for a test.
func severalPs(t *testing.T) {
	t.Helper()
	before := runtime.GOMAXPROCS(2)
	loop.CountPs()
	t.Cleanup(func() {
		runtime.GOMAXPROCS(before)
		loop.CountPs()
	})
}

// blockFor sets for a test how long calls that wait alone block their threads. No call
// may be waiting alone when the test ends.
func blockFor(t *testing.T, d time.Duration) {
	before := loop.BlockFor(d)
	t.Cleanup(func() { loop.BlockFor(before) })
}

// alone starts a call that waits alone: parked, or in ppoll(2).
func alone(t *testing.T, r *loop.Blocking, parks bool) chan received {
	t.Helper()
	seats := 1
	if parks {
		seats = 0
		r.SetAlone(loop.WayPark)
	} else {
		blockFor(t, time.Hour)
		r.SetAlone(loop.WayBlock)
	}
	result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
	require.Equal(t, seats, loop.Seats())
	require.Equal(t, parks, r.Parked())
	require.False(t, r.Watched())
	return result
}

// The only busy registration of a loop leaves the epoll set, and comes back when
// another one has an event.
func TestOnlyBusyRegistrationWaitsAlone(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	other, otherPeer := register(t, l)
	exchange := func() {
		result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
		unix.Write(peer, []byte("x"))
		if got := soon(t, result); !got.done {
			_, err := unix.Read(r.FD(), make([]byte, 8))
			require.NoError(t, err)
		}
	}
	for range loop.AloneAfter + 2 {
		exchange()
	}
	require.True(t, r.MayWaitAlone())
	turns, waits := l.Turns(), l.Stats().Alone
	for range 10 {
		exchange()
		require.False(t, r.Watched())
	}
	require.Equal(t, turns, l.Turns(), "the loop does nothing for it")
	require.GreaterOrEqual(t, l.Stats().Alone, waits+10)

	result := receiving(t, other, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
	unix.Write(otherPeer, []byte("y"))
	soon(t, result)
	waitFor(t, func() bool { return !r.MayWaitAlone() })
	result = receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
	require.True(t, r.Watched())
	require.Zero(t, loop.Seats())
	unix.Write(peer, []byte("x"))
	require.Equal(t, received{n: 1, done: true}, soon(t, result))
}

// No call waits alone where the loop may keep its P, or where the program switches that
// off.
func TestNobodyWaitsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		procs int
		opts  loop.Options
	}{
		"one P":   {1, loop.Options{}},
		"NoAlone": {2, loop.Options{NoAlone: true}},
	} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(c.procs))
			l := newLoop(t, c.opts)
			r, peer := register(t, l)
			for range 2 * loop.AloneAfter {
				result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
				unix.Write(peer, []byte("x"))
				require.Equal(t, received{n: 1, done: true}, soon(t, result))
			}
			require.False(t, r.MayWaitAlone())
		})
	}
}

// The peer's part in the end of a wait.

func byData(_ *testing.T, _ *loop.Loop, _ *loop.Blocking, peer int) {
	unix.Write(peer, []byte("data"))
}

func byEnd(_ *testing.T, _ *loop.Loop, _ *loop.Blocking, peer int) {
	unix.Shutdown(peer, unix.SHUT_WR)
}

// byObserved is byData after an observer has asked for the events of the registration.
func byObserved(t *testing.T, _ *loop.Loop, r *loop.Blocking, peer int) {
	hook := &loop.Hook{To: make(observer, 100)}
	require.NoError(t, hook.Hang(&r.Registration, loop.Readable))
	t.Cleanup(hook.Unhang)
	require.True(t, r.Watched())
	require.False(t, r.Parked())
	unix.Write(peer, []byte("data"))
}

// Everything that ends a wait also ends the wait of a call that waits alone.
func TestAloneEnds(t *testing.T) {
	severalPs(t)
	for _, parks := range []bool{true, false} {
		endings := map[string]ending{
			"by data":                             {byData, received{}},
			"by the peer's end":                   {byEnd, received{}},
			"by data that an observer wants, too": {byObserved, received{}},
		}
		if parks { // such calls receive, too
			endings["by data"] = ending{byData, received{n: 4, done: true}}
			endings["by the peer's end"] = ending{byEnd, received{done: true}}
		}
		for name, test := range withEndings(endings) {
			t.Run(fmt.Sprintf("%s, parked %v", name, parks), func(t *testing.T) {
				l := newLoop(t, loop.Options{BusyPoll: loop.NoBusyPoll})
				r, peer := register(t, l)
				result := alone(t, r, parks)
				test.end(t, l, r, peer)
				require.Equal(t, test.want, soon(t, result))
				require.Zero(t, loop.Seats())
				require.Zero(t, r.Waiters())
			})
		}
	}
}

// A call with a buffer that is too large for the loop waits alone, too.
func TestAloneWithALargeBuffer(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	r.SetAlone(loop.WayPark)
	result := receiving(t, r, make([]byte, 1<<20), &loop.Call{Timeout: loop.Forever})
	require.True(t, r.Parked())
	unix.Write(peer, []byte("data"))
	require.Equal(t, received{n: 4, done: true}, soon(t, result))
}

// The call's timeout ends it, neither early nor much later.
func TestAloneTimesOut(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	for _, way := range loop.Ways {
		r.SetAlone(way)
		start := time.Now()
		result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: 20 * time.Millisecond})
		require.Equal(t, received{err: loop.ErrTimeout}, soon(t, result))
		require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
	}
}

// At most half of the Ps may have a call that blocks its thread. So the second call
// parks.
func TestSeatsAreFewerThanPs(t *testing.T) {
	severalPs(t)
	first, _ := register(t, newLoop(t, loop.Options{}))
	second, peer := register(t, newLoop(t, loop.Options{}))
	one := alone(t, first, false)
	second.SetAlone(loop.WayBlock)
	two := receiving(t, second, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
	require.Equal(t, 1, loop.Seats())
	require.True(t, second.Parked())
	unix.Write(peer, []byte("data"))
	require.Equal(t, received{n: 4, done: true}, soon(t, two))
	require.Equal(t, 1, first.Interrupt())
	soon(t, one)
}

// A call that waits alone blocks its thread for a while, and then parks.
func TestAloneDoesNotBlockForLong(t *testing.T) {
	severalPs(t)
	blockFor(t, time.Millisecond)
	for _, way := range loop.Ways {
		l := newLoop(t, loop.Options{})
		r, peer := register(t, l)
		r.SetAlone(way)
		result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
		waitFor(t, func() bool { return r.Parked() && loop.Seats() == 0 })
		unix.Write(peer, []byte("data"))
		require.Equal(t, received{n: 4, done: true}, soon(t, result))
	}
}

// Before a call blocks its thread, the scheduler wakes another one, which then waits for
// the events of the goroutines that are parked; but not before each of several calls.
func TestBlockingWakesAnotherThread(t *testing.T) {
	severalPs(t)
	blockFor(t, time.Hour)
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	const rounds = 100
	// started returns how many goroutines have started during the calls.
	started := func(ways ...func()) uint64 {
		before := goroutinesCreated()
		for range rounds {
			for _, set := range ways {
				set()
				unix.Write(peer, []byte("data"))
				c := &loop.Call{Timeout: loop.Forever}
				ready, err := r.Begin(loop.Read, c)
				require.NoError(t, err)
				if !ready {
					_, _, done, err := r.Receive(c, make([]byte, 8))
					require.NoError(t, err)
					ready = !done
				}
				if ready {
					_, err = unix.Read(r.FD(), make([]byte, 8))
					require.NoError(t, err)
				}
				r.End(loop.Read, false)
			}
		}
		return goroutinesCreated() - before
	}
	park := func() { r.SetAlone(loop.WayPark) }
	block := func() { r.SetAlone(loop.WayBlock) }
	require.GreaterOrEqual(t, started(park, block), uint64(rounds))
	require.Less(t, started(block, block), uint64(rounds/2))
}

func goroutinesCreated() uint64 {
	sample := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// A call that waits alone, data, interrupts and events of other registrations meet in all
// orders. No byte and no wake-up is lost.
func TestAloneLosesNothing(t *testing.T) {
	severalPs(t)
	const rounds = 3000
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	other, otherPeer := register(t, l)
	hook := &loop.Hook{To: make(observer, rounds)}
	require.NoError(t, hook.Hang(&other.Registration, loop.Readable))
	defer hook.Unhang()

	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			switch i % 8 {
			case 3:
				r.Interrupt()
			case 5:
				unix.Write(otherPeer, []byte("z")) // r goes back to the loop
			case 7:
				time.Sleep(time.Duration(i%100) * time.Microsecond) // so that r sometimes blocks
			}
			for {
				if _, err := unix.Write(peer, fmt.Appendf(nil, "%05d\n", i)); err == nil {
					break
				}
				runtime.Gosched()
			}
		}
	})
	var got []byte
	for i := 0; len(got) < 6*rounds; i++ {
		r.SetAlone(loop.Ways[i/16%len(loop.Ways)])
		buf := make([]byte, 64)
		c := &loop.Call{Timeout: time.Minute}
		ready, err := r.Begin(loop.Read, c)
		require.NoError(t, err)
		n, done := 0, false
		if ready {
			n, err = unix.Read(r.FD(), buf)
		}
		if !ready || err == unix.EAGAIN {
			if n, _, done, err = r.Receive(c, buf); !done && err == nil {
				n, err = unix.Read(r.FD(), buf)
			}
		}
		if err == nil {
			got = append(got, buf[:n]...)
		} else {
			require.NotEqual(t, loop.ErrTimeout, err, "after %d bytes", len(got))
		}
		r.End(loop.Read, n == len(buf))
	}
	wg.Wait()
	for i := range rounds {
		require.Equal(t, fmt.Sprintf("%05d\n", i), string(got[6*i:6*i+6]))
	}
}

// A goroutine that has served a request lingers for the next one. The hooks get no report
// meanwhile. Afterwards they have the registration again.
func TestLinger(t *testing.T) {
	severalPs(t)
	for _, way := range loop.Ways {
		t.Run(fmt.Sprint(way), func(t *testing.T) {
			testLinger(t, func(r *loop.Blocking) { r.SetAlone(way) })
		})
	}
}

func testLinger(t *testing.T, setAlone func(*loop.Blocking)) {
	defer loop.BlockFor(loop.BlockFor(time.Hour)) // on a busy machine the test sees it block
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	hook := &loop.Hook{To: make(observer, 100)}
	require.NoError(t, hook.Hang(&r.Registration, loop.Readable))
	defer hook.Unhang()
	told := hook.To.(observer)
	require.False(t, r.Linger(time.Hour), "r is not the only busy one, as far as the loop knows")

	setAlone(r)
	lingering := make(chan bool)
	go func() { lingering <- r.Linger(time.Hour) }()
	waitFor(t, func() bool { return !r.Watched() })
	unix.Write(peer, []byte("x"))
	require.True(t, soon(t, lingering))
	require.False(t, r.Watched(), "the next Linger need not take it out again")
	require.True(t, r.Linger(time.Hour), "the input is still there")
	settle(t, l)
	require.Empty(t, told)

	_, err := unix.Read(r.FD(), make([]byte, 8))
	require.NoError(t, err)
	require.False(t, r.Linger(time.Millisecond))
	require.True(t, r.Watched())
	require.Zero(t, loop.Seats())
	unix.Write(peer, []byte("y"))
	require.Equal(t, loop.NoticeReady, soon(t, told))
}

// The observer gets an event that comes between the end of a Linger and the watch that
// follows.
func TestLingerLosesNothing(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{BusyPoll: loop.NoBusyPoll})
	r, peer := register(t, l)
	hook := &loop.Hook{To: make(observer, 1000)}
	require.NoError(t, hook.Hang(&r.Registration, loop.Readable))
	defer hook.Unhang()
	told := hook.To.(observer)
	buf := make([]byte, 8)
	for i := range 500 {
		r.SetAlone(loop.Ways[i%len(loop.Ways)])
		go func() {
			time.Sleep(time.Duration(i%50) * 4 * time.Microsecond) // so that the two meet in all orders
			unix.Write(peer, []byte("x"))
		}()
		if !r.Linger(100 * time.Microsecond) {
			require.Equal(t, loop.NoticeReady, soon(t, told))
		}
		waitFor(t, func() bool { n, _ := unix.Read(r.FD(), buf); return n == 1 })
		for len(told) > 0 {
			<-told
		}
	}
}
