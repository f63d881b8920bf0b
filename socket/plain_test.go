package socket

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// onePlace lets the test have one P, and returns a function that connects two sockets on a
// loop.
func onePlace(t *testing.T) (tcp func() (a, b *Socket)) {
	t.Helper()
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	g, err := loop.NewGroup(1, nil, loop.Options{Hold: poller.HoldNever}) // it parks, and does not block in epoll_wait(2)
	require.NoError(t, err)
	t.Cleanup(func() { g.Close() })
	cfg := Config{Group: g}
	return func() (a, b *Socket) {
		l := listening(t, Inet, 1, cfg)
		a, err := cfg.New(Inet, Stream, 0)
		require.NoError(t, err)
		t.Cleanup(func() { a.Close() })
		require.NoError(t, a.ConnectAddr(l.LocalAddr()))
		b, err = l.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { b.Close() })
		return a, b
	}
}

// With one P, a goroutine that sends or receives without end and never waits lets a call
// of another socket go on that has got input. Without Yield the call would go on after ten
// milliseconds, when the scheduler stops the goroutine: that is after some thousand calls.
func TestCallsWithoutEndYield(t *testing.T) {
	const calls, most = 20_000, 4 * mostSpree
	tcp := onePlace(t)
	byte1 := make([]byte, 1)
	for name, call := range map[string]func(s, peer *Socket) func() error{
		"Send": func(s, _ *Socket) func() error {
			return func() error { _, err := s.Send(byte1, 0); return err }
		},
		"Recv": func(s, peer *Socket) func() error {
			_, err := peer.WriteString(string(make([]byte, calls)))
			require.NoError(t, err)
			return func() error { _, err := s.Recv(byte1, 0); return err }
		},
	} {
		t.Run(name, func(t *testing.T) {
			var counts []int
			for range 5 { // the kernel may hold up the thread that the loop runs on
				s, peer := tcp()
				do := call(s, peer)
				other, otherPeer := tcp()
				var went atomic.Bool
				result := blocked(t, "Read", func() error {
					_, err := other.Read(make([]byte, 1))
					went.Store(true)
					return err
				})
				_, err := otherPeer.Write(byte1)
				require.NoError(t, err)
				n := 0
				for ; n < calls && !went.Load(); n++ {
					require.NoError(t, do())
				}
				require.NoError(t, soon(t, result))
				if counts = append(counts, n); n < most {
					return
				}
			}
			require.Fail(t, "others waited for too many calls", "%d, and at most %d are expected", counts, most)
		})
	}
}

// With one P, a Write of much lets a call of another socket go on that has got input, when it
// has sent a small part.
func TestLongWriteYields(t *testing.T) {
	const size, most = 64 << 20, 2 * mostAtOnce
	tcp := onePlace(t)
	long := make([]byte, size)
	runtime.GC() // a collection during the Write would let others run
	var counts []int
	for range 5 { // the kernel may hold up the thread that the loop runs on
		s, peer := tcp()
		other, otherPeer := tcp()
		require.NoError(t, s.SetSendTimeout(100*time.Millisecond)) // nobody reads
		sent := make(chan int, 1)
		result := blocked(t, "Read", func() error {
			_, err := other.Read(make([]byte, 1))
			unsent, _ := sys.IoctlGetInt(s.Fd(), unix.SIOCOUTQ)
			sent <- queued(peer.Fd()) + unsent
			return err
		})
		_, err := otherPeer.Write(make([]byte, 1))
		require.NoError(t, err)
		all, err := s.Write(long)
		requireTimeout(t, err)
		if all <= most {
			t.Skipf("the kernel's buffers have room for %d bytes", all)
		}
		require.NoError(t, soon(t, result))
		counts = append(counts, soon(t, sent))
	}
	slices.Sort(counts)
	require.Less(t, counts[len(counts)/2], most, "the other waited for too many bytes: %d", counts)
}
