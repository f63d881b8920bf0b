package weir

import (
	"context"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A turncoat is a Selectable whose registration changes after the first look.
type turncoat struct {
	first, later *loop.Registration
	looked       bool
	change       func() // is called when it has changed
}

func (x *turncoat) Buffered() int { return 0 }

func (x *turncoat) Registration() *loop.Registration {
	if !x.looked {
		x.looked = true
		return x.first
	}
	x.change()
	return x.later
}

// nothingLeft checks that no Wake is left in the gate for the next call that uses it.
func nothingLeft(t *testing.T, g *loop.Gate) {
	t.Helper()
	g.Wake(nil) // a Wake that comes late has no effect
	group, err := loop.Default()
	require.NoError(t, err)
	const pause = 10 * time.Millisecond
	g.Arm()
	end := time.Now().Add(pause)
	require.NoError(t, g.Sleep(group.Loops()[0], end))
	require.False(t, time.Now().Before(end), "the next call is woken without a reason")
}

func socketPair(t *testing.T) *socket.Socket {
	t.Helper()
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a
}

// An event comes while the hooks are hung, and then an entry turns out to be closed.
func TestSelectThatFailsLeavesNoWake(t *testing.T) {
	for _, wake := range []bool{true, false} {
		s, closed := socketPair(t), socketPair(t)
		require.NoError(t, closed.Close())
		c := &call{gate: loop.NewGate()}
		x := &turncoat{first: s.Registration(), later: closed.Registration(), change: func() {
			if wake {
				s.Interrupt()
			}
		}}
		hold(&c.want[readList], []Selectable{s, x})
		require.ErrorIs(t, c.run(context.Background(), Forever), unix.EBADF)
		require.Zero(t, len(s.Registration().Observers()))
		nothingLeft(t, c.gate)
	}
}

// A Select of nothing sleeps by a loop of the default group, for which there may be no
// descriptors.
func TestSelectThatCannotSleepLeavesNoWake(t *testing.T) {
	group, err := loop.Default()
	require.NoError(t, err)
	require.NoError(t, group.Close())
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	c := &call{gate: loop.NewGate()}
	err = c.run(context.Background(), Forever)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	require.ErrorIs(t, err, unix.EMFILE)
	nothingLeft(t, c.gate)
}

// An entry is closed between the look at it and the question to the kernel.
func TestSelectOfAnEntryThatIsJustClosed(t *testing.T) {
	s, closed := socketPair(t), socketPair(t)
	require.NoError(t, closed.Close())
	for range 2 { // the first asks the kernel, and has it watch
		ready, err := Select([]*socket.Socket{s}, nil, nil, NoWait)
		require.NoError(t, err)
		require.Empty(t, ready.Read)
	}
	require.Equal(t, loop.Unready, s.Registration().Look(loop.Readable))
	for _, before := range [][]Selectable{nil, {s}} {
		c := &call{gate: loop.NewGate()}
		x := &turncoat{first: s.Registration(), later: closed.Registration(), change: func() {}}
		hold(&c.want[readList], append(before, x))
		require.ErrorIs(t, c.run(context.Background(), NoWait), unix.EBADF)
		require.Empty(t, c.found)
		require.Zero(t, c.inquiry.Len())
		require.NoError(t, s.Registration().Use(), "no question holds it")
		s.Registration().Done()
	}
}
