//go:build linux

package poller

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// parkedWait returns a Poller whose Wait has parked, a descriptor whose write is an event
// of it, and the channel of the Wait's result.
func parkedWait(t *testing.T, p *Poller) (ring func(), found chan int) {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	require.NoError(t, p.Add(fd, 1, Readable))
	p.Hold(HoldNever) // the alarm that ends a hold is an event, too
	found = make(chan int, 1)
	go func() {
		n, _ := p.Wait(make([]Event, 4), time.Time{})
		found <- n
	}()
	runtime.Gosched() // with one P it runs until it parks
	return func() { unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }, found
}

// Look wakes a Wait that has events, and no other.
func TestLookoutWakesTheOneWithEvents(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that nothing else wakes it before Look
	var o Lookout
	for range 1000 { // the scheduler may interfere
		p, q := open(t, Parked), open(t, Parked)
		ring, found := parkedWait(t, p)
		_, other := parkedWait(t, q)
		require.True(t, o.Add(p))
		require.True(t, o.Add(q))
		require.Zero(t, o.Look())
		ring()
		require.True(t, o.Add(q))
		require.True(t, o.Add(p))
		woken := o.Look()
		require.Equal(t, 1, <-found)
		require.Empty(t, other)
		require.NoError(t, p.Close())
		require.NoError(t, q.Close())
		<-other
		if woken == 1 {
			return
		}
	}
	t.Fatal("Look has woken nobody")
}

// A Wait that was roused, but has no events, sleeps until its deadline, and so does the
// next one.
func TestRousedInVain(t *testing.T) {
	p := open(t, Parked)
	p.Hold(HoldNever) // a Wait that ends while it holds leaves rouse to the next one
	for range 3 {
		require.True(t, p.sleeper.(*parked).rouse())
		require.False(t, p.sleeper.(*parked).rouse(), "once is enough")
		start := time.Now()
		n, err := p.Wait(make([]Event, 1), start.Add(5*time.Millisecond))
		require.NoError(t, err)
		require.Zero(t, n)
		require.GreaterOrEqual(t, time.Since(start), 5*time.Millisecond)
	}
}

// Rouse ends one sleep of a Poller that has events, and tells whether it has done so.
func TestRouse(t *testing.T) {
	blocks := open(t, Blocking)
	require.NoError(t, blocks.Wake())
	require.False(t, blocks.Rouse(), "it needs none")
	parks := open(t, Parked)
	require.False(t, parks.Rouse(), "there are no events")
	require.False(t, parks.sleeper.(*parked).roused.Load())
	require.NoError(t, parks.Wake())
	require.True(t, parks.Rouse())
	require.False(t, parks.Rouse(), "once is enough")
	_, err := parks.Wait(make([]Event, 1), time.Time{})
	require.NoError(t, err)
	require.NoError(t, parks.Close())
	require.False(t, parks.Rouse())
}

// A Lookout forgets the Pollers: it keeps none of them in memory.
func TestLookoutForgets(t *testing.T) {
	var o Lookout
	require.Zero(t, o.Look())
	require.True(t, o.Add(open(t, Parked)))
	require.Zero(t, o.Look())
	require.Zero(t, o.n)
	require.Zero(t, o.pollers)
	require.Zero(t, o.Look())
}

func TestLookoutIsBounded(t *testing.T) {
	var o Lookout
	parks, blocks := open(t, Parked), open(t, Blocking)
	for range 2 * mostLooks {
		require.True(t, o.Add(blocks), "it needs no look")
	}
	for range mostLooks {
		require.True(t, o.Add(parks))
	}
	require.False(t, o.Add(parks))
	require.Zero(t, o.Look())
	require.True(t, o.Add(parks))
	require.NoError(t, parks.Close())
	o.Look() // a closed one does no harm
}

func open(t *testing.T, s Strategy) *Poller {
	t.Helper()
	p, err := Open(s)
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// Automatic opens the same as Parked here, and nothing else.
func TestAutomaticParks(t *testing.T) {
	require.IsType(t, &parked{}, open(t, Automatic).sleeper)
	require.IsType(t, &parked{}, open(t, Parked).sleeper)
	require.IsType(t, &blocking{}, open(t, Blocking).sleeper)
}
