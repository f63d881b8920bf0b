package socket

import (
	"runtime"
	"testing"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An idle stream socket uses at most 400 bytes of heap. A socket that has read a line and
// returned its buffer to the pool uses no more.
func TestIdleSocketsAreSmall(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector's memory counts too")
	}
	const most, wanted = 400, 10_000
	pairs := wanted
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if need := uint64(2*wanted + 200); limit.Cur < need {
		raised := unix.Rlimit{Cur: need, Max: max(limit.Max, need)}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) })
		} else {
			pairs = int(min(limit.Cur, limit.Max)-200) / 2
			t.Logf("only %d pairs, for want of descriptors", pairs)
		}
	}
	heap := func() int64 {
		for range 3 { // two collections empty a pool
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	sockets := make([]*Socket, 0, 2*pairs)
	warm, _ := inputPair(t, Stream)
	require.Zero(t, warm.Buffered())
	before := heap()
	each := func() int64 { return (heap() - before) / int64(2*pairs) }
	for range pairs {
		a, b, err := Pair(Unix, Stream, 0)
		require.NoError(t, err)
		sockets = append(sockets, a, b)
	}
	defer func() {
		for _, s := range sockets {
			s.Close()
		}
	}()
	fresh := each()
	for i := range sockets {
		_, err := sockets[i].WriteLine("a line")
		require.NoError(t, err)
		_, err = sockets[i^1].ReadLine()
		require.NoError(t, err)
		require.Zero(t, sockets[i^1].Buffered())
	}
	used := each()
	t.Logf("%d sockets: %d bytes each when new, %d after reading", len(sockets), fresh, used)
	require.LessOrEqual(t, fresh, int64(most))
	require.LessOrEqual(t, used, int64(most))
	runtime.KeepAlive(sockets)
}
