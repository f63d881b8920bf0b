package loop_test

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
)

func TestGroupPolicies(t *testing.T) {
	g, err := loop.NewGroup(3, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	seen := map[*loop.Loop]int{}
	for range 9 {
		seen[g.Pick(netip.Addr{})]++
	}
	require.Len(t, seen, 3)
	for _, n := range seen {
		require.Equal(t, 3, n)
	}
	require.NoError(t, g.Close())
	require.ErrorIs(t, g.Close(), loop.ErrLoopClosed)

	g, err = loop.NewGroup(2, loop.LeastRegistered(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	for i := range 6 {
		l := g.Pick(netip.Addr{})
		fd, _ := pair(t)
		require.NoError(t, l.Register(new(loop.Registration), fd, loop.DropWritable))
		require.LessOrEqual(t, l.Registered(), i/2+1)
	}

	_, err = loop.NewGroup(0, loop.RoundRobin(), loop.Options{})
	require.ErrorContains(t, err, "group of 0")
	_, err = loop.NewGroup(2, loop.RoundRobin(), loop.Options{Events: -1})
	require.ErrorContains(t, err, "Options.Events")
}

// A source hash assigns a peer to one loop, whatever the port and the form of its
// address. It spreads the peers over the loops. Descriptors without a peer go to the
// loops in turn.
func TestSourceHash(t *testing.T) {
	g, err := loop.NewGroup(2, loop.SourceHash(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	peer := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	seen := map[*loop.Loop]int{}
	for i := range 1000 {
		l := g.Pick(peer(i))
		require.Same(t, l, g.Pick(peer(i)))
		require.Same(t, l, g.Pick(netip.AddrFrom16(peer(i).As16())))
		seen[l]++
	}
	for _, l := range g.Loops() {
		require.Greater(t, seen[l], 250)
	}
	require.NotSame(t, g.Pick(netip.Addr{}), g.Pick(netip.Addr{}))
}

// A nil policy means RoundRobin. If a policy returns nil, the group uses the first loop.
func TestPolicyThatIsNil(t *testing.T) {
	g, err := loop.NewGroup(2, nil, loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	require.NotSame(t, g.Pick(netip.Addr{}), g.Pick(netip.Addr{}))
	undecided, err := loop.NewGroup(2, func([]*loop.Loop, netip.Addr) *loop.Loop { return nil }, loop.Options{})
	require.NoError(t, err)
	defer undecided.Close()
	require.Same(t, undecided.Loops()[0], undecided.Pick(netip.Addr{}))
}

func TestDefaultGroupStartsAgainAfterClose(t *testing.T) {
	g, err := loop.Default()
	require.NoError(t, err)
	again, err := loop.Default()
	require.NoError(t, err)
	require.Same(t, g, again)
	require.Len(t, g.Loops(), runtime.GOMAXPROCS(0))
	require.NoError(t, g.Close())
	fresh, err := loop.Default()
	require.NoError(t, err)
	require.NotSame(t, g, fresh)
	require.NoError(t, fresh.Close())
}
