package loop

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The bits that an event sets, and the conditions that may hold after it.
func TestBitsOfAnEvent(t *testing.T) {
	r, w := Read.of(readyBit), Write.of(readyBit)
	for _, c := range []struct {
		event poller.Readiness
		bits  uint64
		want  Interest
	}{
		{0, 0, 0},
		{poller.Readable, r, Readable},
		{poller.Writable, w, Writable},
		{poller.Readable | poller.Writable, r | w, Readable | Writable},
		{poller.Priority, r | stateUrgent, Readable | Exceptional},
		{poller.PeerClosed, r | stateBroken, Readable},
		{poller.HungUp, r | w | stateBroken, Readable | Writable},
		{poller.Failed, r | w | stateBroken, Readable | Writable},
		{poller.Failed | poller.Priority, r | w | stateBroken | stateUrgent, Readable | Writable | Exceptional},
		{1 << 20, 0, 0}, // a bit that the kernel may have one day
	} {
		require.Equal(t, c.bits, stateBits(c.event), "%v", c.event)
		require.Equal(t, c.want, wanted(c.event), "%v", c.event)
	}
}

func TestPollBits(t *testing.T) {
	require.EqualValues(t, unix.POLLIN|unix.POLLHUP|unix.POLLERR, pollBits(Readable))
	require.EqualValues(t, unix.POLLOUT|unix.POLLERR, pollBits(Writable))
	require.EqualValues(t, unix.POLLPRI, pollBits(Exceptional))
}

func TestEarliestDeadline(t *testing.T) {
	for _, c := range [][3]int64{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {5, 6, 5}, {6, 5, 5}, {5, 5, 5}} {
		require.Equal(t, c[2], earliest(c[0], c[1]), "%v", c)
	}
}

// Times beyond the clock's range count as its ends.
func TestMomentsOfTheClock(t *testing.T) {
	l := &Loop{start: time.Now().Add(-time.Hour)}
	for _, d := range []time.Duration{math.MinInt64, -1, 0} {
		before := l.nanos()
		at := l.after(d)
		require.GreaterOrEqual(t, at, before)
		require.LessOrEqual(t, at, l.nanos())
	}
	for _, d := range []time.Duration{1, time.Hour} {
		before := l.nanos()
		at := l.after(d)
		require.GreaterOrEqual(t, at, before+int64(d))
		require.LessOrEqual(t, at, l.nanos()+int64(d))
	}
	require.EqualValues(t, farthest, l.after(math.MaxInt64))
	require.EqualValues(t, farthest, l.after(farthest))
	require.Less(t, l.after(farthest-2*time.Hour), int64(farthest))

	require.Zero(t, l.moment(time.Time{}))
	require.EqualValues(t, 1, l.moment(l.start.Add(-time.Hour)))
	require.EqualValues(t, 1, l.moment(l.start))
	require.EqualValues(t, 2, l.moment(l.start.Add(2)))
	require.EqualValues(t, farthest, l.moment(l.start.Add(math.MaxInt64)))
	wall := time.Now().Round(0).Add(time.Hour) // without a monotonic reading
	require.InDelta(t, 2*time.Hour, l.moment(wall), float64(time.Minute))
	require.InDelta(t, time.Hour, l.moment(wall.Add(-100*time.Hour)), float64(time.Minute), "now")
	l.start = time.Now().Add(time.Hour)
	require.EqualValues(t, 1, l.moment(time.Now().Round(0).Add(-2*time.Hour)))
}

func TestHistogramOfOneValue(t *testing.T) {
	for _, v := range []uint64{0, 1, 5, math.MaxUint64} {
		var h Histogram
		h.add(v)
		for _, q := range []float64{-1, 0, 0.5, 1} {
			require.Equal(t, v, h.Quantile(q), "%d, %v", v, q)
		}
		require.InEpsilon(t, float64(v)+1, h.Mean()+1, 1e-9)
	}
}

// The last buckets of a histogram count, too, and a q between two of them takes the later.
func TestQuantileOfFewValues(t *testing.T) {
	var h Histogram
	h.add(2)
	h.add(100)
	h.add(1000)
	for q, want := range map[float64]uint64{0: 2, 0.33: 2, 0.34: 128, 0.66: 128, 0.67: 1000, 1: 1000} {
		require.Equal(t, want, h.Quantile(q), "%v", q)
	}
}

// A way is hopeless if it has cost more than twice as much as another, in either cost.
func TestHopelessWays(t *testing.T) {
	for _, c := range []struct {
		mine, other bill
		want        bool
	}{
		{bill{}, bill{}, false},
		{bill{20, 20}, bill{}, false},
		{bill{20, 20}, bill{10, 10}, false},
		{bill{21, 20}, bill{10, 10}, true},
		{bill{20, 21}, bill{10, 10}, true},
		{bill{10, 10}, bill{21, 21}, false},
		{bill{20, 21}, bill{10, 11}, false},
	} {
		x := thrift{least: [ways]bill{c.mine, c.other}}
		require.Equal(t, c.want, x.hopeless(wayPark), "%+v", c)
	}
}

// A bill is better with 3 % less time for at most 10 % more processor time, or with 10 %
// less processor time for at most 3 % more time.
func TestBetterBills(t *testing.T) {
	than := bill{cpu: 1000, clock: 1000}
	for _, c := range []struct {
		b    bill
		want bool
	}{
		{bill{1000, 1000}, false},
		{bill{1000, 970}, false}, {bill{1000, 969}, true},
		{bill{1100, 969}, true}, {bill{1101, 969}, false},
		{bill{900, 1000}, false}, {bill{899, 1000}, true},
		{bill{899, 1030}, true}, {bill{899, 1031}, false},
		{bill{2000, 100}, false}, {bill{100, 2000}, false},
	} {
		require.Equal(t, c.want, c.b.better(than), "%+v", c.b)
	}
	require.Equal(t, bill{3, 5}, bill{10, 20}.minus(bill{7, 15}))
}

// note keeps the least of each cost.
func TestLeastBill(t *testing.T) {
	var x thrift
	for _, b := range []bill{{5, 9}, {7, 8}, {6, 10}} {
		x.note(wayPoll, b)
	}
	require.Equal(t, [ways]bill{wayPoll: {5, 8}}, x.least)
}

// Handle leaves the descriptor with the caller if it fails.
func TestHandleThatFails(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	h := newRecorder(func(poller.Readiness) {})
	require.ErrorIs(t, l.Handle(&h.reg, -1, h.handler()), unix.EBADF)
	file, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(file)
	h = newRecorder(func(poller.Readiness) {})
	require.ErrorIs(t, l.Handle(&h.reg, file, h.handler()), unix.EPERM, "epoll does not watch a regular file")
	_, err = unix.FcntlInt(uintptr(file), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.Zero(t, l.Registered())
	h = newRecorder(func(poller.Readiness) {})
	require.NoError(t, l.Handle(&h.reg, ours, h.handler()))
	require.ErrorContains(t, l.Handle(&h.reg, ours, h.handler()), "in use")
	require.NoError(t, h.reg.Close())
	require.NoError(t, l.Close())
	h = newRecorder(func(poller.Readiness) {})
	require.ErrorIs(t, l.Handle(&h.reg, file, h.handler()), ErrLoopClosed)
	require.Nil(t, h.reg.Loop(), "it may be put on another loop")
	require.True(t, errors.Is(l.Post(func() {}), ErrLoopClosed))
}

// Yield lets other goroutines run, and ends the sleep of a loop that sleeps over events.
func TestYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, asleep := range []bool{false, true} {
		p, err := poller.Open(poller.Parked)
		require.NoError(t, err)
		defer p.Close()
		require.NoError(t, p.Wake())
		l := &Loop{poller: p, start: time.Now()}
		l.asleep.Store(asleep)
		var ran atomic.Bool
		go ran.Store(true)
		for tries := 0; tries < 4 && !ran.Load(); tries++ { // one switch in 61 prefers the queue that this goroutine is in
			l.Yield()
		}
		require.True(t, ran.Load())
		require.Equal(t, !asleep, p.Rouse(), "it was roused already")
	}
}

// A handler's descriptor is watched for writing as long as WatchWrite says.
func TestWatchWriteTwice(t *testing.T) {
	l := handlerLoop(t)
	fd, _ := handlerPair(t)
	h := newRecorder(func(poller.Readiness) {})
	require.NoError(t, l.Handle(&h.reg, fd, h.handler()))
	interest := func() poller.Readiness {
		h.reg.mu.Lock()
		defer h.reg.mu.Unlock()
		return h.reg.interest
	}
	require.Equal(t, watchRead, interest())
	for range 2 {
		require.NoError(t, h.reg.WatchWrite(false))
		require.Equal(t, watchRead, interest())
		for range 2 {
			require.NoError(t, h.reg.WatchWrite(true))
			require.Equal(t, watchWrite, interest())
		}
	}
	require.Contains(t, h.reg.String(), fmt.Sprintf("fd %d ", fd))
	require.NoError(t, h.reg.Close())
	for _, on := range []bool{false, true} {
		require.ErrorIs(t, h.reg.WatchWrite(on), ErrClosed)
	}
	require.Zero(t, interest())
	h.reg.Poke()
	onLoop(t, l, func() {})
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.poked, "a closed one is not called")
}

func TestCancelErrorIsItsCause(t *testing.T) {
	why := errors.New("on purpose")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	err := cancelled(ctx)
	require.ErrorIs(t, err, why)
	require.EqualError(t, err, "on purpose")
}

// The group of all sockets is started as soon as there are descriptors for it.
func TestDefaultWithoutDescriptors(t *testing.T) {
	g, err := Default()
	require.NoError(t, err)
	require.NoError(t, g.Close())
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	failed, err := Default()
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	require.ErrorIs(t, err, unix.EMFILE)
	require.Nil(t, failed)
	g, err = Default()
	require.NoError(t, err)
	require.NoError(t, g.Close())
}

// Change asks the kernel for what the new interest needs, and keeps the old interest if
// that fails.
func TestChangeOfAHook(t *testing.T) {
	l := handlerLoop(t)
	fd, _ := handlerPair(t)
	r := new(Registration)
	require.NoError(t, l.Register(r, fd, KeepWritable))
	h := &Hook{To: deaf{}}
	require.NoError(t, h.Hang(r, Readable))
	require.Equal(t, watchRead, r.interest)
	require.NoError(t, h.Change(Writable))
	require.Equal(t, Writable, h.want)
	require.Equal(t, watchWrite, r.interest)
	h.Unhang()
	h.Unhang()
	require.Zero(t, r.state.Load()&stateObserved)

	file, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	f := new(Registration)
	require.NoError(t, l.Register(f, file, KeepWritable))
	for _, want := range []Interest{Readable, Writable, Exceptional} {
		h = &Hook{To: deaf{}}
		require.ErrorIs(t, h.Hang(f, want), unix.EPERM)
		require.Nil(t, f.hooks)
		h.reg, h.want = f, Readable
		require.ErrorIs(t, h.Change(want|Exceptional), unix.EPERM)
		require.Equal(t, Readable, h.want)
	}
	require.NoError(t, f.Close())
	require.ErrorIs(t, h.Change(Readable), ErrClosed)
	require.ErrorIs(t, h.Hang(f, Readable), ErrClosed)
}
