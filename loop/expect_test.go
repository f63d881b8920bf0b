package loop_test

import (
	"net/netip"
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
)

// Descriptors that are on their way to a loop count as registered.
func TestLeastRegisteredCountsWhatIsExpected(t *testing.T) {
	g, err := loop.NewGroup(2, loop.LeastRegistered(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	first, second := g.Loops()[0], g.Loops()[1]
	require.Same(t, first, g.Pick(netip.Addr{}))
	first.Expect(1)
	require.Same(t, second, g.Pick(netip.Addr{}))
	first.Expect(-1)
	require.Same(t, first, g.Pick(netip.Addr{}))
}
