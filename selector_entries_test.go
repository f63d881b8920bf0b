package weir_test

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSelectorRefuses(t *testing.T) {
	a, _ := pair(t, socket.Stream)
	closed, _ := pair(t, socket.Stream)
	s, ended := newSelector(t), weir.NewSelector()
	require.NoError(t, s.Register(closed, weir.Readable, nil))
	require.NoError(t, closed.Close()) // of which no Wait has told yet
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

// What was ready before is not reported again: not what is unregistered, nor
// what the caller's slice held.
func TestSelectorForgetsWhatWasReady(t *testing.T) {
	a, peer := pair(t, socket.Stream)
	b, _ := pair(t, socket.Stream)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	require.NoError(t, s.Register(b, weir.Writable, nil))
	peer.Write([]byte("x"))
	var ready []weir.Ready
	waitFor(t, func() bool {
		var err error
		ready, err = s.Wait(context.Background(), weir.Forever, ready)
		require.NoError(t, err)
		return len(ready) == 2
	})
	require.NoError(t, s.Unregister(a))
	ready, err := s.Wait(context.Background(), 0, ready)
	require.NoError(t, err)
	require.Equal(t, []weir.Ready{{What: b, Is: weir.Writable}}, ready)
}

// Events that nobody asks for take no memory, however many there are.
func TestSelectorQueueIsBounded(t *testing.T) {
	a, peer := pair(t, socket.Stream)
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

// A Selector that is closed, but not forgotten, keeps nothing: neither what a
// Wait has found ready, nor what no Wait has looked at.
func TestClosedSelectorKeepsNothing(t *testing.T) {
	for _, waits := range []bool{false, true} {
		s := weir.NewSelector()
		register := func() weak.Pointer[socket.Socket] {
			a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
			require.NoError(t, err)
			require.NoError(t, b.Close())
			require.NoError(t, s.Register(a, weir.Readable, nil))
			if waits {
				require.Len(t, poll(t, s), 1)
				settle(t, a)
			}
			return weak.Make(a)
		}
		registered := register()
		require.NoError(t, s.Close())
		waitFor(t, func() bool { runtime.GC(); return registered.Value() == nil })
		runtime.KeepAlive(s)
	}
}

// The time of a Wait ends by a loop that something is registered on.
func TestSelectorTimerIsOnTheLoopOfAnEntry(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin())
	require.NoError(t, err)
	defer g.Close()
	a, err := socket.New(socket.Inet, socket.Dgram, 0, socket.Address("127.0.0.1"), socket.Group(g))
	keep(t, a, err)
	s := newSelector(t)
	require.NoError(t, s.Register(a, weir.Readable, nil))
	require.Empty(t, poll(t, s))
	settle(t, a)
	before := g.Loops()[0].Turns()
	ready, err := s.Wait(context.Background(), time.Millisecond, nil)
	require.NoError(t, err)
	require.Empty(t, ready)
	require.Greater(t, g.Loops()[0].Turns(), before)

	// When that loop is closed, another one does.
	require.NoError(t, s.Unregister(a))
	require.NoError(t, g.Close())
	for range 2 {
		ready, err = s.Wait(context.Background(), time.Millisecond, nil)
		require.NoError(t, err)
		require.Empty(t, ready)
	}
}
