package weir_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/race"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func newSelector(t testing.TB) *weir.Selector {
	s := weir.NewSelector()
	t.Cleanup(func() { s.Close() })
	return s
}

// poll returns what a Selector says when the loops have taken in all events.
func poll(t testing.TB, s *weir.Selector) []weir.Event {
	t.Helper()
	got, err := s.Wait(context.Background(), 0, nil)
	require.NoError(t, err)
	return got
}

func TestSelectorIsLevelTriggered(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	idle, _ := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, "a"))
	require.NoError(t, s.Register(idle, weir.Readable|weir.Exceptional, "idle"))
	require.Empty(t, poll(t, s))
	peer.Write([]byte("xy"))
	for range 3 {
		got, err := s.Wait(context.Background(), time.Minute, nil)
		require.NoError(t, err)
		require.Equal(t, []weir.Event{{What: a, Data: "a", Ready: weir.Readable}}, got)
	}
	buf := make([]byte, 1)
	for left := range 2 {
		require.Len(t, poll(t, s), 1, left)
		_, err := a.Recv(buf, 0)
		require.NoError(t, err)
	}
	require.Empty(t, poll(t, s))
	peer.Write([]byte("z"))
	got, err := s.Wait(context.Background(), weir.Forever, nil)
	require.NoError(t, err)
	require.Len(t, got, 1)
}

func TestSelectorModifyAndUnregister(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, 1))
	require.ErrorIs(t, s.Register(a, weir.Readable, 1), unix.EEXIST)
	require.Empty(t, poll(t, s))
	require.NoError(t, s.Modify(a, weir.Writable|weir.Readable, 2))
	require.Equal(t, []weir.Event{{What: a, Data: 2, Ready: weir.Writable}}, poll(t, s))
	peer.Write([]byte("x"))
	settle(t, a)
	require.Equal(t, []weir.Event{{What: a, Data: 2, Ready: weir.Writable | weir.Readable}}, poll(t, s))
	require.NoError(t, s.Modify(a, weir.Exceptional, 3))
	require.Empty(t, poll(t, s))
	require.Equal(t, 1, s.Len())
	require.NoError(t, s.Unregister(a))
	require.ErrorIs(t, s.Unregister(a), unix.ENOENT)
	require.ErrorIs(t, s.Modify(a, weir.Readable, nil), unix.ENOENT)
	require.ErrorIs(t, s.Modify(a, 0, nil), unix.EINVAL)
	require.ErrorIs(t, s.Register(nil, weir.Readable, nil), unix.EINVAL)
	require.ErrorIs(t, s.Register((*socket.Socket)(nil), weir.Readable, nil), unix.EINVAL)
	require.Zero(t, len(a.Registration().Observers()))
	require.NoError(t, s.Register(a, weir.Readable, 4))
	require.Equal(t, []weir.Event{{What: a, Data: 4, Ready: weir.Readable}}, poll(t, s))
}

func TestSelectorReportsClosedOnce(t *testing.T) {
	a, _ := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, "a"))
	result := waiting(t, s, context.Background())
	require.NoError(t, a.Close())
	require.Equal(t, answer{[]weir.Event{{What: a, Data: "a", Closed: true}}, nil}, <-result)
	require.Empty(t, poll(t, s))
	require.Zero(t, s.Len())
	require.ErrorIs(t, s.Register(a, weir.Readable, nil), unix.EBADF)
}

type answer struct {
	ready []weir.Event
	err   error
}

// waiting starts a Wait, and returns when it sleeps.
func waiting(t testing.TB, s *weir.Selector, ctx context.Context) chan answer {
	before := s.Waiters()
	result := make(chan answer, 1)
	go func() {
		ready, err := s.Wait(ctx, time.Minute, nil)
		if len(ready) == 0 {
			ready = nil
		}
		result <- answer{ready, err}
	}()
	waitFor(t, func() bool { return s.Waiters() > before })
	return result
}

func TestSelectorWaitEnds(t *testing.T) {
	a, _ := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	why := errors.New("the user is gone")
	ctx, cancel := context.WithCancelCause(context.Background())
	result := waiting(t, s, ctx)
	cancel(why)
	got := weirtest.Take(t, result)
	require.ErrorIs(t, got.err, unix.EINTR)
	require.ErrorIs(t, got.err, why)

	result = waiting(t, s, context.Background())
	require.NoError(t, s.Register(a, weir.Writable, "late"))
	require.Equal(t, []weir.Event{{What: a, Data: "late", Ready: weir.Writable}}, weirtest.Take(t, result).ready)
	require.NoError(t, s.Modify(a, weir.Readable, nil))
	require.Empty(t, poll(t, s))

	result = waiting(t, s, context.Background())
	a.Interrupt()
	require.ErrorIs(t, weirtest.Take(t, result).err, unix.EINTR)

	for _, d := range []time.Duration{1, time.Millisecond, 20 * time.Millisecond} {
		start := time.Now()
		ready, err := s.Wait(context.Background(), d, nil)
		require.NoError(t, err)
		require.Empty(t, ready)
		require.GreaterOrEqual(t, time.Since(start), d)
	}
	result = waiting(t, s, context.Background())
	require.NoError(t, s.Close())
	require.ErrorIs(t, weirtest.Take(t, result).err, unix.EBADF)
	require.ErrorIs(t, s.Close(), unix.EBADF)
	require.ErrorIs(t, s.Register(a, weir.Readable, nil), unix.EBADF)
}

// If something is ready, a Wait does not report an interruption. The next Wait does
// not report it, either.
func TestInterruptionIsForWhoWaits(t *testing.T) {
	a, _ := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	for range 20 { // a pool need not return an item that it has got
		weir.LeaveInterruptions()
		_, err := s.Wait(context.Background(), time.Millisecond, nil)
		require.NoError(t, err)
		_, err = weir.Select(list{a}, nil, nil, time.Millisecond)
		require.NoError(t, err)
	}
}

// Input is read ahead or pushed back while the entry is no candidate.
func TestSelectorFindsBufferedInput(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	peer.Write([]byte("x"))
	_, _, err := a.ReadRune()
	require.NoError(t, err)
	settle(t, a)
	require.Empty(t, poll(t, s))
	require.NoError(t, a.UnreadRune())
	require.Len(t, poll(t, s), 1)
	_, _, err = a.ReadRune()
	require.NoError(t, err)
	require.Empty(t, poll(t, s))

	result := make(chan string, 1)
	before := len(a.Registration().Observers())
	require.Equal(t, 1, before)
	go func() { line, _ := a.ReadLine(); result <- line }()
	peer.Write([]byte("one\ntwo"))
	require.Equal(t, "one", <-result)
	settle(t, a)
	require.Len(t, poll(t, s), 1)
	_, err = a.ReadString()
	require.NoError(t, err)
	require.Empty(t, poll(t, s))
}

func TestSelectorDoesNotAllocate(t *testing.T) {
	if race.Enabled {
		t.Skip("a pool forgets at random under the race detector")
	}
	a, peer := weirtest.Pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	var ready []weir.Event
	buf := make([]byte, 1)
	ctx := context.Background()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		peer.Write(buf)
		ready, _ = s.Wait(ctx, weir.Forever, ready)
		a.Recv(buf, 0)
		ready, _ = s.Wait(ctx, time.Microsecond, ready)
	}))
}

// A Selector sleeps by the timers of a loop. When that loop is closed, it sleeps by those
// of another: a closed loop's sleep returns at once, and Wait would spin.
func TestSelectorLeavesAClosedLoop(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	s := newSelector(t)
	idle, peer := weirtest.Pair(t, socket.Stream)
	require.NoError(t, s.Register(idle, weir.Readable, "idle"))
	lost, _, err := socket.Config{Group: g}.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	require.NoError(t, s.Register(lost, weir.Readable, "lost"))
	require.Same(t, g.Loops()[0], s.Home())
	require.NoError(t, g.Close())
	got, err := s.Wait(t.Context(), time.Minute, nil)
	require.NoError(t, err)
	require.Equal(t, []weir.Event{{What: lost, Data: "lost", Closed: true}}, got)
	start := time.Now()
	got, err = s.Wait(t.Context(), 20*time.Millisecond, got)
	require.NoError(t, err)
	require.Empty(t, got)
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
	require.Nil(t, s.Home(), "it stays with the closed loop")
	peer.Write([]byte("x"))
	got, err = s.Wait(t.Context(), time.Minute, got)
	require.NoError(t, err)
	require.Len(t, got, 1)
}
