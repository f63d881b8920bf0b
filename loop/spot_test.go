package loop_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// While a registration has a spot, two descriptors keep its connection open. Close and
// Release leave none behind, whether a call is parked or not.
func TestSpotKeepsNoConnectionOpen(t *testing.T) {
	severalPs(t)
	for name, c := range map[string]struct {
		waits bool
		end   func(*testing.T, *loop.Loop, *loop.Blocking)
	}{
		"Close while a call waits": {true, func(t *testing.T, _ *loop.Loop, r *loop.Blocking) {
			require.NoError(t, r.Close())
		}},
		"CloseWait while a call waits": {true, func(t *testing.T, _ *loop.Loop, r *loop.Blocking) {
			require.NoError(t, r.CloseWait())
		}},
		"Close between two calls": {false, func(t *testing.T, _ *loop.Loop, r *loop.Blocking) {
			require.NoError(t, r.Close())
		}},
		"Release between two calls": {false, func(t *testing.T, _ *loop.Loop, r *loop.Blocking) {
			fd, err := r.Release()
			require.NoError(t, err)
			require.NoError(t, unix.Close(fd))
		}},
		"the loop's Close": {false, func(t *testing.T, l *loop.Loop, _ *loop.Blocking) {
			require.NoError(t, l.Close())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, loop.Options{})
			r, peer := register(t, l)
			result := alone(t, r, true)
			if !c.waits {
				unix.Write(peer, []byte("data"))
				require.Equal(t, received{n: 4, done: true}, soon(t, result))
				require.True(t, r.Parked(), "for the next call")
			}
			c.end(t, l, r)
			if c.waits {
				require.Equal(t, received{err: loop.ErrClosed}, soon(t, result))
			}
			require.False(t, r.Parked())
			n, err := unix.Read(peer, make([]byte, 8))
			require.NoError(t, err, "the peer sees the end of the stream")
			require.Zero(t, n)
		})
	}
}

// A registration leaves its spot when it is in the epoll set again: for a call that waits
// by way of the loop, for a writer, for an observer.
func TestSpotIsVacated(t *testing.T) {
	severalPs(t)
	for name, wait := range map[string]func(*testing.T, *loop.Loop, *loop.Blocking, int){
		"by another way": func(t *testing.T, _ *loop.Loop, r *loop.Blocking, peer int) {
			blockFor(t, time.Hour)
			r.SetAlone(loop.WayBlock)
			result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
			require.Equal(t, 1, loop.Seats())
			unix.Write(peer, []byte("data"))
			soon(t, result)
		},
		"by a call with a context": func(t *testing.T, _ *loop.Loop, r *loop.Blocking, peer int) {
			result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever, Context: t.Context()})
			unix.Write(peer, []byte("data"))
			soon(t, result)
		},
		"by the loop's other events": func(t *testing.T, l *loop.Loop, r *loop.Blocking, peer int) {
			other, otherPeer := register(t, l)
			result := receiving(t, other, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
			unix.Write(otherPeer, []byte("data"))
			soon(t, result)
			waitFor(t, func() bool { return !r.MayWaitAlone() })
			result = receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
			unix.Write(peer, []byte("data"))
			soon(t, result)
		},
		"by an observer": func(t *testing.T, _ *loop.Loop, r *loop.Blocking, _ int) {
			hook := &loop.Hook{To: make(observer, 100)}
			require.NoError(t, hook.Hang(&r.Registration, loop.Readable))
			hook.Unhang()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, loop.Options{BusyPoll: loop.NoBusyPoll})
			r, peer := register(t, l)
			result := alone(t, r, true)
			unix.Write(peer, []byte("data"))
			require.Equal(t, received{n: 4, done: true}, soon(t, result))
			require.True(t, r.Parked())
			wait(t, l, r, peer)
			require.False(t, r.Parked())
		})
	}
}

// A ring that comes late, for a call that has ended, does not end the next call.
func TestLateRingIsIgnored(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	result := alone(t, r, true)
	for range 100 {
		r.RingSpot()
		runtime.Gosched()
	}
	require.Empty(t, result)
	unix.Write(peer, []byte("data"))
	require.Equal(t, received{n: 4, done: true}, soon(t, result))
}

// If there is no descriptor for a duplicate, calls wait by way of the loop.
func TestNoSpotWithoutDescriptors(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	r.SetAlone(loop.WayPark)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
	parked, watched := r.Parked(), r.Watched()
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	require.False(t, parked)
	require.True(t, watched)
	unix.Write(peer, []byte("data"))
	require.Equal(t, received{n: 4, done: true}, soon(t, result))
}

// A Linger ends in time after a call that has parked in the same spot, whatever either has
// left of the spot's deadline.
func TestLingerAfterReceive(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	for range 3 {
		r.SetAlone(loop.WayPark)
		lingering := make(chan bool, 1)
		go func() { lingering <- r.Linger(20 * time.Millisecond) }()
		require.False(t, soon(t, lingering))
		result := alone(t, r, true)
		r.RingSpot()
		waitFor(t, func() bool { return r.SpotDeadline().IsZero() })
		unix.Write(peer, []byte("data"))
		require.Equal(t, received{n: 4, done: true}, soon(t, result))
	}
}
