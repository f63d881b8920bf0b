package loop_test

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// unbounded starts a call that waits in Receive without the Registration's lock: the
// kernel watches the descriptor already, and the call has no deadline.
func unbounded(t *testing.T, r *loop.Blocking) chan received {
	t.Helper()
	require.NoError(t, r.Watch())
	result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
	require.True(t, r.Unbounded())
	return result
}

// Everything that ends a wait ends a Receive without a deadline.
func TestUnboundedReceiveEnds(t *testing.T) {
	for name, test := range withEndings(map[string]ending{
		"by data": {func(_ *testing.T, _ *loop.Loop, _ *loop.Blocking, peer int) {
			unix.Write(peer, []byte("data"))
		}, received{n: 4, done: true}},
		"by data that an observer wants, too": {func(t *testing.T, _ *loop.Loop, r *loop.Blocking, peer int) {
			hook := &loop.Hook{To: make(observer, 100)}
			require.NoError(t, hook.Hang(&r.Registration, loop.Readable))
			t.Cleanup(hook.Unhang)
			unix.Write(peer, []byte("data"))
		}, received{n: 4, done: true}},
		"by data while another call waits for room": {func(t *testing.T, _ *loop.Loop, r *loop.Blocking, peer int) {
			ready, err := r.Begin(loop.Write, &loop.Call{Timeout: loop.Forever})
			require.NoError(t, err)
			require.True(t, ready)
			fill(t, r.FD())
			writer := blocked(t, r, func() error { return r.Wait(loop.Write, &loop.Call{Timeout: loop.Forever}) })
			t.Cleanup(func() {
				require.Equal(t, 1, r.Interrupt())
				require.Equal(t, loop.ErrInterrupted, soon(t, writer))
				r.End(loop.Write, false)
			})
			unix.Write(peer, []byte("data"))
		}, received{n: 4, done: true}},
		"by the peer's end": {func(_ *testing.T, _ *loop.Loop, _ *loop.Blocking, peer int) {
			unix.Shutdown(peer, unix.SHUT_WR)
		}, received{done: true}},
	}) {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, l *loop.Loop) {
				r, peer := register(t, l)
				result := unbounded(t, r)
				require.Equal(t, loop.Unready, r.Look(loop.Readable))
				test.end(t, l, r, peer)
				require.Equal(t, test.want, soon(t, result))
				require.False(t, r.Unbounded())
			})
		})
	}
}

// A deadline of the other direction, or one far ahead, does not end Receive.
func TestUnboundedReceiveGoesOn(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	result := unbounded(t, r)
	require.NoError(t, r.SetDeadline(loop.Write, time.Now().Add(-time.Second)))
	require.NoError(t, r.SetDeadline(loop.Read, time.Now().Add(time.Hour)))
	settle(t, l)
	require.True(t, r.Unbounded())
	unix.Write(peer, []byte("data"))
	require.Equal(t, received{n: 4, done: true}, <-result)
}

// The next call, which has the same waiter, does not get the cause of the call before.
func TestUnboundedReceiveAfterAnother(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	result := unbounded(t, r)
	require.Equal(t, 1, r.Interrupt())
	require.Equal(t, received{err: loop.ErrInterrupted}, soon(t, result))
	result = unbounded(t, r)
	unix.Write(peer, []byte("data"))
	require.Equal(t, received{n: 4, done: true}, soon(t, result))
}

// An ending that comes just as the call begins to wait still ends the call.
func TestNothingIsLostAsReceiveBegins(t *testing.T) {
	l := newLoop(t, loop.Options{})
	for name, test := range map[string]struct {
		end  func(r *loop.Blocking)
		want error
	}{
		"Interrupt":        {func(r *loop.Blocking) { r.Interrupt() }, loop.ErrInterrupted},
		"a deadline":       {func(r *loop.Blocking) { r.SetDeadline(loop.Read, time.Now().Add(time.Millisecond)) }, loop.ErrTimeout},
		"a past deadline":  {func(r *loop.Blocking) { r.SetDeadline(loop.Read, time.Now().Add(-time.Second)) }, loop.ErrTimeout},
		"Close":            {func(r *loop.Blocking) { r.Close() }, loop.ErrClosed},
		"data and its end": {func(r *loop.Blocking) { unix.Shutdown(r.FD(), unix.SHUT_RD) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for range 300 {
				fd, peer := stream(t)
				r := new(loop.Blocking)
				require.NoError(t, l.Register(&r.Registration, fd, loop.DropWritable))
				require.NoError(t, r.Watch())
				began, result := make(chan struct{}), make(chan error, 1)
				go func() {
					buf := make([]byte, 8)
					_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
					if err == nil {
						close(began)
						for done := false; !done && err == nil; {
							if _, _, done, err = r.Receive(&loop.Call{Timeout: loop.Forever}, buf); !done && err == nil {
								_, errno := unix.Read(r.FD(), buf) // as a call does after Wait
								done = errno != unix.EAGAIN
							}
						}
						r.End(loop.Read, false)
					}
					result <- err
				}()
				<-began
				test.end(r)
				require.Equal(t, test.want, soon(t, result))
				r.Close()
				unix.Close(peer)
			}
		})
	}
}

// If the ending comes before the wait, the call does not park.
func TestReceiveLooksBeforeItWaits(t *testing.T) {
	for name, test := range map[string]struct {
		before func(t *testing.T, l *loop.Loop, r *loop.Blocking, peer int)
		want   error
	}{
		"interrupted": {func(t *testing.T, _ *loop.Loop, r *loop.Blocking, _ int) {
			require.Zero(t, r.Interrupt(), "no wait is in progress")
		}, loop.ErrInterrupted},
		"closed": {func(t *testing.T, _ *loop.Loop, r *loop.Blocking, _ int) {
			require.NoError(t, r.Close())
		}, loop.ErrClosed},
		"ready": {func(t *testing.T, _ *loop.Loop, r *loop.Blocking, peer int) {
			unix.Write(peer, []byte("data"))
			waitFor(t, r.Marked)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, loop.Options{})
			r, peer := register(t, l)
			require.NoError(t, r.Watch())
			_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
			require.NoError(t, err)
			test.before(t, l, r, peer)
			result := make(chan error, 1)
			go func() {
				_, _, _, err := r.Receive(&loop.Call{Timeout: loop.Forever}, make([]byte, 8))
				r.End(loop.Read, true)
				result <- err
			}()
			require.Equal(t, test.want, soon(t, result))
		})
	}
}
