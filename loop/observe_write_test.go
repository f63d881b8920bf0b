package loop_test

import (
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An observer is told each time that a descriptor becomes writable, also with
// DropWritable. When nobody waits for writability, the kernel is not asked, and Look is
// in doubt.
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

// A call in progress has used the mark up, so only the kernel can tell what is left.
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
