package weir_test

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A loop counts the waits that its events end, so that it lets their goroutines run. It
// does not count those that another goroutine ends.
func TestLoopCountsTheWaitsThatItEnds(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	a, peer, err := socket.Config{Group: g}.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	weirtest.Keep(t, a, nil)
	weirtest.Keep(t, peer, nil)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	for name, begin := range map[string]func() chan error{
		"select": func() chan error {
			return parked(t, a, func() (set, error) { return weir.Select(list{a}, nil, nil, weir.Forever) })
		},
		"selector": func() chan error {
			before, ended := s.Waiters(), make(chan error, 1)
			go func() { _, err := s.Wait(t.Context(), weir.Forever, nil); ended <- err }()
			waitFor(t, func() bool { return s.Waiters() > before })
			return ended
		},
	} {
		t.Run(name, func(t *testing.T) {
			ended := begin()
			settle(t, a)
			waitFor(t, asleep) // both have looked
			before := g.Stats().Woken
			_, err := peer.Write([]byte("x"))
			require.NoError(t, err)
			require.NoError(t, soon(t, ended))
			require.Equal(t, before+1, g.Stats().Woken)
			_, err = a.Recv(make([]byte, 1), 0)
			require.NoError(t, err)

			ended = begin()
			settle(t, a)
			waitFor(t, asleep)
			before = g.Stats().Woken
			a.Interrupt()
			require.ErrorIs(t, soon(t, ended), unix.EINTR)
			require.Equal(t, before, g.Stats().Woken)
		})
	}
}

// A descriptor that is on a loop, but that the kernel does not watch: a regular file.
type unwatched struct{ reg loop.Registration }

func (u *unwatched) Registration() *loop.Registration { return &u.reg }
func (u *unwatched) Buffered() int                    { return 0 }

// Select does not sleep for what no event can end.
func TestSelectOfWhatCannotBeWatched(t *testing.T) {
	group, err := loop.Default()
	require.NoError(t, err)
	f, err := os.Open(os.Args[0])
	require.NoError(t, err)
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	u := new(unwatched)
	require.NoError(t, group.Loops()[0].Register(&u.reg, fd, loop.DropWritable))
	defer u.reg.Close()
	got, err := weir.Select(list{u}, nil, nil, weir.Forever)
	require.NoError(t, err)
	require.Equal(t, list{u}, got.Read, "a regular file is always ready")
	_, err = weir.Select(nil, nil, list{u}, time.Minute)
	require.ErrorIs(t, err, unix.EPERM)
	require.ErrorContains(t, err, "except list, index 0")
	s := newSelector(t)
	require.ErrorIs(t, s.Register(u, weir.Exceptional, nil), unix.EPERM)
	require.Zero(t, s.Len())
}

// A Watch that fails keeps no descriptor.
func TestFailedWatchKeepsNothing(t *testing.T) {
	free := func() int {
		fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		unix.Close(fd)
		return fd
	}
	group, err := loop.Default()
	require.NoError(t, err)

	// Epoll descriptors that watch each other may not be nested deeply.
	top, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(top)
	for deeper := error(nil); deeper == nil; {
		next, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		require.NoError(t, err)
		defer unix.Close(next)
		if deeper = unix.EpollCtl(next, unix.EPOLL_CTL_ADD, top, &unix.EpollEvent{Events: unix.EPOLLIN}); deeper == nil {
			top = next
		}
	}
	registered, before := group.Stats().Registered, free()
	_, err = weir.Watch(top)
	require.ErrorIs(t, err, unix.ELOOP)
	require.ErrorContains(t, err, "watch")
	require.Equal(t, before, free())
	require.Equal(t, registered, group.Stats().Registered)

	_, err = weir.Watch(-1)
	require.ErrorIs(t, err, unix.EBADF)

	// The loops of the group are closed one by one, so that the group is not closed.
	for _, l := range group.Loops() {
		require.NoError(t, l.Close())
	}
	before = free()
	_, err = weir.Watch(1)
	require.ErrorIs(t, err, unix.EBADF)
	require.ErrorIs(t, err, loop.ErrLoopClosed)
	require.Equal(t, before, free())
	_ = group.Close()
	f, err := weir.Watch(1)
	require.NoError(t, err, "there is another group")
	require.NoError(t, f.Close())
}

// asleep reports whether a goroutine is parked in a gate.
func asleep() bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("(*Gate).Sleep"))
}

// A list of sockets, of files or of a mix: each form tells of its bad entries, and returns
// nothing beside an error.
func TestBadEntriesOfEachForm(t *testing.T) {
	ready, peer := weirtest.Pair(t, socket.Stream)
	_, err := peer.Write([]byte("x"))
	require.NoError(t, err)
	closed, _ := weirtest.Pair(t, socket.Stream)
	require.NoError(t, closed.Close())
	zero, err := os.Open("/dev/zero")
	require.NoError(t, err)
	defer zero.Close()
	file, err := weir.Watch(int(zero.Fd()))
	require.NoError(t, err)
	defer file.Close()
	gone, err := weir.Watch(int(zero.Fd()))
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	require.ErrorContains(t, gone.Close(), "close: ")
	for _, timeout := range []time.Duration{weir.NoWait, time.Minute} {
		badEntries(t, timeout, ready, nil, closed)
		badEntries(t, timeout, file, nil, gone)
		badEntries[weir.Selectable](t, timeout, ready, nil, closed)
		badEntries[weir.Selectable](t, timeout, file, (*socket.Socket)(nil), gone)
		badEntries[weir.Selectable](t, timeout, file, (*weir.File)(nil), closed)
	}
}

func badEntries[S weir.Selectable](t *testing.T, timeout time.Duration, good, none, closed S) {
	t.Helper()
	for _, c := range []struct {
		want  weir.Set[S]
		errno error
		says  string
	}{
		{weir.Set[S]{Read: []S{good, none}}, unix.EINVAL, "read list, index 1"},
		{weir.Set[S]{Read: []S{none, good}}, unix.EINVAL, "read list, index 0"},
		{weir.Set[S]{Read: []S{good}, Write: []S{none}}, unix.EINVAL, "write list, index 0"},
		{weir.Set[S]{Read: []S{good}, Except: []S{good, none}}, unix.EINVAL, "except list, index 1"},
		{weir.Set[S]{Read: []S{closed}}, unix.EBADF, "read list, index 0"},
		{weir.Set[S]{Read: []S{good, closed}}, unix.EBADF, "read list, index 1"},
		{weir.Set[S]{Write: []S{closed}, Read: []S{good}}, unix.EBADF, "write list, index 0"},
		{weir.Set[S]{Except: []S{closed}}, unix.EBADF, "except list, index 0"},
	} {
		got := weir.Set[S]{Read: []S{good}} // from the last call
		n, err := weir.SelectInto(t.Context(), &got, c.want, timeout)
		require.ErrorIs(t, err, c.errno)
		require.ErrorContains(t, err, "select "+c.says)
		require.Zero(t, n)
		require.Empty(t, got.Read)
	}
	got, err := weir.Select([]S{good}, nil, []S{good}, timeout)
	require.NoError(t, err)
	require.Equal(t, weir.Set[S]{Read: []S{good}}, got)
}

// In a simulation, calls park on channels of it: a goroutine that parked in another way
// would stop the simulation's clock. Each way to wait has gates that were used before.
func TestWaitsInASimulation(t *testing.T) {
	for range 2 {
		real, _ := weirtest.Pair(t, socket.Stream)
		_, err := weir.Select(list{real}, nil, nil, time.Millisecond)
		require.NoError(t, err)
		synctest.Test(t, func(t *testing.T) {
			n := simnet.New(t, simnet.Options{})
			s, err := socket.Config{Group: n.Host("10.0.0.1").Group(1)}.New(socket.Inet, socket.Dgram, 0)
			require.NoError(t, err)
			defer s.Close()
			begin := time.Now()
			got, err := weir.Select(list{s}, nil, nil, time.Hour)
			require.NoError(t, err)
			require.Empty(t, got.Read)
			require.GreaterOrEqual(t, time.Since(begin), time.Hour)
			all := weir.NewSelector()
			defer all.Close()
			require.NoError(t, all.Register(s, weir.Readable, nil))
			begin = time.Now()
			events, err := all.Wait(t.Context(), time.Hour, nil)
			require.NoError(t, err)
			require.Empty(t, events)
			require.GreaterOrEqual(t, time.Since(begin), time.Hour)
		})
	}
}

// A counting context counts the functions that are to be called when it is done.
type counting struct {
	context.Context
	n atomic.Int32
}

func (c *counting) AfterFunc(func()) (stop func() bool) {
	c.n.Add(1)
	return func() bool { c.n.Add(-1); return true }
}

// A wait that is over leaves nothing in its context.
func TestWaitsLeaveTheirContext(t *testing.T) {
	base, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := &counting{Context: base}
	a, _ := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	for range 3 {
		_, err := s.Wait(c, time.Microsecond, nil)
		require.NoError(t, err)
		require.Zero(t, c.n.Load())
		_, err = weir.SelectContext(c, list{a}, nil, nil, time.Microsecond)
		require.NoError(t, err)
		require.Zero(t, c.n.Load())
	}
}
