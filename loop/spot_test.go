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

// repeating starts a call that makes a system call of its own. It is given the registered
// descriptor, also while the call is parked on a duplicate.
func repeating(t *testing.T, r *loop.Blocking) chan received {
	t.Helper()
	result := make(chan received, 1)
	blocked(t, r, func() error {
		var got received
		c := &loop.Call{Timeout: loop.Forever}
		if _, got.err = r.Begin(loop.Read, c); got.err == nil {
			got.err = r.Repeat(c, func(fd uintptr) bool {
				n, err := unix.Read(int(fd), make([]byte, 8))
				got.n, got.done = max(n, 0), err == nil && int(fd) == r.FD()
				return err != unix.EAGAIN
			})
			r.End(loop.Read, true)
		}
		result <- got
		return got.err
	})
	return result
}

// A program's own system call waits alone, too, and everything that ends a wait ends it.
func TestRepeatAlone(t *testing.T) {
	parksAlone(t, register, repeating, map[string]ending{"by the peer's end": {byEnd, received{done: true}}})
}

// parksAlone makes a call on the first socket of pair wait alone, for each ending. The call parks,
// also where a receive would block its thread.
func parksAlone(t *testing.T, pair func(*testing.T, *loop.Loop) (*loop.Blocking, int), call func(*testing.T, *loop.Blocking) chan received, endings map[string]ending) {
	severalPs(t)
	endings["by data"] = ending{byData, received{n: 4, done: true}}
	endings["by data that an observer wants, too"] = ending{byObserved, received{n: 4, done: true}}
	for name, test := range withEndings(endings) {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, loop.Options{})
			r, peer := pair(t, l)
			r.SetAlone(loop.WayBlock)
			result := call(t, r)
			require.True(t, r.Parked())
			require.Zero(t, loop.Seats())
			require.False(t, r.Watched())
			test.end(t, l, r, peer)
			require.Equal(t, test.want, soon(t, result))
			require.Zero(t, r.Waiters())
		})
	}
}

// A panic of the program's system call leaves the spot to the next call.
func TestRepeatPanics(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	r.SetAlone(loop.WayPark)
	c := &loop.Call{Timeout: loop.Forever}
	_, err := r.Begin(loop.Read, c)
	require.NoError(t, err)
	require.PanicsWithValue(t, "of the program", func() {
		_ = r.Repeat(c, func(uintptr) bool { panic("of the program") })
	})
	r.End(loop.Read, true)
	require.Zero(t, r.Waiters())
	result := alone(t, r, true)
	unix.Write(peer, []byte("data"))
	require.Equal(t, received{n: 4, done: true}, soon(t, result))
}

// A call that parks alone does not lose input which recv(2) does not give at once.
func TestSpotLosesNoInputThatRecvDoesNotGive(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	t.Cleanup(loop.ReceiveNothing(3)) // after the calls, before the loop ends
	for range 3 {
		result := alone(t, r, true)
		unix.Write(peer, []byte("data"))
		require.Equal(t, received{n: 4, done: true}, soon(t, result))
	}
}

// On a datagram socket whose read side is shut, ppoll(2) reports input for ever, and
// recv(2) gives nothing. The call parks until something else ends it.
func TestSpotParksAlthoughInputIsReportedForEver(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fds[1]) })
	r := new(loop.Blocking)
	require.NoError(t, l.Register(&r.Registration, fds[0], loop.KeepWritable))
	require.NoError(t, unix.Shutdown(fds[0], unix.SHUT_RD))
	result := alone(t, r, true)
	require.Empty(t, result)
	r.Interrupt()
	require.Equal(t, received{err: loop.ErrInterrupted}, soon(t, result))
}

// A system call that does not wait does not take the spot, which costs some system calls.
func TestRepeatThatDoesNotWaitTakesNoSpot(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, _ := register(t, l)
	r.SetAlone(loop.WayBlock)
	c := &loop.Call{Timeout: loop.Forever}
	_, err := r.Begin(loop.Read, c)
	require.NoError(t, err)
	require.NoError(t, r.Repeat(c, func(uintptr) bool { return true }))
	require.False(t, r.Parked())
	r.End(loop.Read, true)
}
