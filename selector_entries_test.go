package weir_test

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSelectorRefuses(t *testing.T) {
	a, _ := weirtest.Pair(t, socket.Stream)
	closed, _ := weirtest.Pair(t, socket.Stream)
	s, ended := newSelector(t), weir.NewSelector()
	require.NoError(t, s.Register(closed, weir.Readable, nil))
	require.NoError(t, closed.Close()) // no Wait has reported it yet
	require.NoError(t, ended.Close())
	done, cancel := context.WithCancel(context.Background())
	cancel()
	wait := func(s *weir.Selector, ctx context.Context) error {
		_, err := s.Wait(ctx, 0, nil)
		return err
	}
	for _, c := range []struct {
		err   error
		errno error
		says  string
	}{
		{s.Register(a, 0, nil), unix.EINVAL, "selector register"},
		{s.Register((*weir.File)(nil), weir.Readable, nil), unix.EINVAL, "selector register"},
		{s.Register(a, 1<<7, nil), unix.EINVAL, "selector register"},
		{s.Modify(closed, weir.Writable, nil), unix.EBADF, "selector modify"},
		{s.Unregister(a), unix.ENOENT, "selector unregister"},
		{ended.Register(a, weir.Readable, nil), unix.EBADF, "selector register"},
		{wait(s, done), unix.EINTR, "selector wait"},
		{wait(ended, nil), unix.EBADF, "selector wait"},
	} {
		require.ErrorIs(t, c.err, c.errno)
		require.ErrorContains(t, c.err, c.says)
	}
	require.ErrorIs(t, s.Modify(closed, weir.Writable, nil), net.ErrClosed)
	require.Equal(t, 1, s.Len())
}

// Neither an unregistered entry nor what the caller's slice held is reported.
func TestSelectorForgetsWhatWasReady(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	b, _ := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	require.NoError(t, s.Register(b, weir.Writable, nil))
	peer.Write([]byte("x"))
	var ready []weir.Event
	waitFor(t, func() bool {
		var err error
		ready, err = s.Wait(context.Background(), weir.Forever, ready)
		require.NoError(t, err)
		return len(ready) == 2
	})
	require.NoError(t, s.Unregister(a))
	ready, err := s.Wait(context.Background(), 0, ready)
	require.NoError(t, err)
	require.Equal(t, []weir.Event{{What: b, Ready: weir.Writable}}, ready)
}

// Any number of events that no Wait takes uses no memory.
func TestSelectorQueueIsBounded(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	buf := make([]byte, 1)
	for range 100 {
		peer.Write(buf)
		_, err := a.Recv(buf, 0)
		require.NoError(t, err)
		settle(t, a)
	}
	require.Equal(t, 1, s.Queued())
}

// A Selector keeps no reference to an unregistered entry, whether or not a Wait has
// looked at the entry or found it ready.
func TestSelectorKeepsNothingBack(t *testing.T) {
	waits := func(n int) func(*testing.T, *weir.Selector, *socket.Socket) {
		return func(t *testing.T, s *weir.Selector, a *socket.Socket) {
			require.Len(t, poll(t, s), n)
			settle(t, a)
		}
	}
	for _, c := range []struct {
		name   string
		before func(t *testing.T, s *weir.Selector, a *socket.Socket)
		closes bool
	}{
		{"closed before a wait", func(*testing.T, *weir.Selector, *socket.Socket) {}, true},
		{"closed when ready", waits(1), true},
		{"unregistered when ready", func(t *testing.T, s *weir.Selector, a *socket.Socket) {
			waits(1)(t, s, a)
			require.NoError(t, s.Unregister(a))
			waits(0)(t, s, a)
		}, false},
		{"unregistered when unready", func(t *testing.T, s *weir.Selector, a *socket.Socket) {
			waits(1)(t, s, a)
			require.NoError(t, s.Modify(a, weir.Exceptional, nil))
			waits(0)(t, s, a)
			require.NoError(t, s.Unregister(a))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSelector(t)
			register := func() weak.Pointer[socket.Socket] {
				a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
				require.NoError(t, err)
				require.NoError(t, b.Close())
				require.NoError(t, s.Register(a, weir.Readable, nil))
				c.before(t, s, a)
				return weak.Make(a)
			}
			registered := register()
			if c.closes {
				require.NoError(t, s.Close())
			}
			waitFor(t, func() bool { runtime.GC(); return registered.Value() == nil })
			runtime.KeepAlive(s)
		})
	}
}

// An entry may be in doubt for several conditions. The Selector reports it for all that
// hold.
func TestSelectorTellsAllThatIsSo(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	f, err := weir.Watch(a.Fd()) // none of its marks is certain
	require.NoError(t, err)
	defer f.Close()
	b, _ := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(f, weir.Readable|weir.Writable|weir.Exceptional, nil))
	require.NoError(t, s.Register(b, weir.Readable|weir.Writable, nil))
	peer.Write([]byte("x"))
	settle(t, f)
	is := map[weir.Selectable]weir.Interest{}
	for _, r := range poll(t, s) {
		is[r.What] = r.Ready
	}
	require.Equal(t, map[weir.Selectable]weir.Interest{f: weir.Readable | weir.Writable, b: weir.Writable}, is)
}

// A Wait that has ended gets no notices, in whatever order the Waits end.
func TestSelectorForgetsItsWaits(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	var cancels []context.CancelFunc
	var results []chan answer
	for range 3 {
		ctx, cancel := context.WithCancel(context.Background())
		cancels = append(cancels, cancel)
		results = append(results, waiting(t, s, ctx))
	}
	for left, i := range []int{1, 0} {
		cancels[i]()
		require.ErrorIs(t, (<-results[i]).err, unix.EINTR)
		waitFor(t, func() bool { return s.Waiters() == 2-left })
	}
	peer.Write([]byte("x"))
	require.Len(t, (<-results[2]).ready, 1)
	cancels[2]()
	waitFor(t, func() bool { return s.Waiters() == 0 })
}

// The loop of an entry runs the timer of a Wait.
func TestSelectorTimerIsOnTheLoopOfAnEntry(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	a, err := socket.Config{Address: "127.0.0.1", Group: g}.New(socket.Inet, socket.Dgram, 0)
	weirtest.Keep(t, a, err)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	require.Empty(t, poll(t, s))
	settle(t, a)
	before := g.Loops()[0].Turns()
	ready, err := s.Wait(context.Background(), time.Millisecond, nil)
	require.NoError(t, err)
	require.Empty(t, ready)
	require.Greater(t, g.Loops()[0].Turns(), before)

	// If that loop is closed, another loop runs the timer.
	require.NoError(t, s.Unregister(a))
	require.NoError(t, g.Close())
	all, err := loop.Default()
	require.NoError(t, err)
	turns := func() (n uint64) {
		for _, l := range all.Loops() {
			n += l.Turns()
		}
		return n
	}
	for range 2 {
		before = turns()
		ready, err = s.Wait(context.Background(), time.Millisecond, nil)
		require.NoError(t, err)
		require.Empty(t, ready)
		require.Greater(t, turns(), before)
	}
}

// A socket and a view of it are two entries. Each is reported for its own interest.
func TestSelectorKeepsTwoHandlesOfASocketApart(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	view := a.WithContext(context.Background())
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, "reads"))
	require.NoError(t, s.Register(view, weir.Writable, "writes"))
	told := func() map[any]weir.Interest {
		is := make(map[any]weir.Interest)
		for _, r := range poll(t, s) {
			is[r.Data] = r.Ready
		}
		return is
	}
	require.Equal(t, map[any]weir.Interest{"writes": weir.Writable}, told())
	_, err := peer.WriteString("x")
	require.NoError(t, err)
	for {
		got, err := s.Wait(context.Background(), weirtest.Patience, nil)
		require.NoError(t, err)
		if len(got) == 2 {
			break
		}
	}
	require.Equal(t, map[any]weir.Interest{"reads": weir.Readable, "writes": weir.Writable}, told())
}
