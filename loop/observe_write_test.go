package loop_test

import (
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An observer gets a report each time that a descriptor becomes writable, even with
// DropWritable. If no observer waits for writability, the kernel does not watch it, and
// Look is in doubt.
func TestObserverOfWritability(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	seen := make(observer, 1000)
	h := &loop.Hook{To: seen}
	require.NoError(t, h.Hang(&r.Registration, loop.Writable))
	for range 3 {
		fill(t, r.FD())
		settle(t, l)
		for len(seen) > 0 {
			<-seen
		}
		drain(peer)
		waitFor(t, func() bool { return len(seen) > 0 })
	}
	h.Unhang()
	unix.Write(r.FD(), []byte("x"))
	drain(peer)
	waitFor(t, func() bool { return !r.WatchesWrite() })
	settle(t, l)
	call(t, r, loop.Write, false)
	require.Equal(t, loop.Doubtful, r.Look(loop.Writable))
}

// A call in progress has used up the mark, so only the kernel knows what is left.
func TestCallInProgressIsInDoubt(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	require.NoError(t, r.Watch())
	settle(t, l)
	_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	require.Equal(t, loop.Doubtful, r.Look(loop.Readable))
	r.End(loop.Read, false)
	require.Equal(t, loop.Unready, r.Look(loop.Readable))
	call(t, r, loop.Write, false)
	require.Equal(t, loop.Doubtful, r.Look(loop.Writable), "nobody listens for it")
}
