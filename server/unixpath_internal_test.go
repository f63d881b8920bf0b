package server

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// lockDirectory gives up after longestLock, and leaves no descriptor.
func TestLockDirectoryGivesUp(t *testing.T) {
	defer func(d time.Duration) { longestLock = d }(longestLock)
	longestLock = 2 * time.Millisecond
	name := t.TempDir()
	unlock, err := lockDirectory(name)
	require.NoError(t, err)
	count := func() (n int) {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		for _, e := range entries {
			if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to == name {
				n++
			}
		}
		return n
	}
	require.Equal(t, 1, count())
	_, err = lockDirectory(name)
	require.ErrorIs(t, err, unix.EWOULDBLOCK)
	require.Equal(t, 1, count())
	unlock()
	require.Zero(t, count())
	unlock, err = lockDirectory(name)
	require.NoError(t, err)
	unlock()
}
