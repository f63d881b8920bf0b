package loop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A key finds its own registration. It finds nothing when another registration has the
// slot.
func TestKeysAreNotUsedTwice(t *testing.T) {
	var tab table
	seen := map[uint64]bool{}
	var last uint64
	for range 100 {
		r := new(Registration)
		key := tab.insert(r)
		require.False(t, seen[key])
		seen[key] = true
		require.Same(t, r, tab.find(key))
		require.Nil(t, tab.find(last+1<<40), "a slot that there is not, or not yet so often")
		tab.remove(key)
		for k := range seen {
			require.Nil(t, tab.find(k))
			tab.remove(k) // does nothing, because the key is no longer in the table
		}
		last = key
	}
	require.Len(t, tab.slots, 1)
	require.Zero(t, tab.len())
}
