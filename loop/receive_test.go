package loop_test

import (
	"maps"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

type received struct {
	n     int
	errno syscall.Errno
	done  bool
	err   error
}

// receiving starts a call that waits in Receive, and returns a channel for its result.
func receiving(t *testing.T, r *loop.Blocking, buf []byte, c *loop.Call) chan received {
	t.Helper()
	result := make(chan received, 1)
	blocked(t, r, func() error {
		var got received
		ready, err := r.Begin(loop.Read, c)
		if got.err = err; err == nil {
			if ready {
				_, _ = unix.Read(r.FD(), buf) // the read finds nothing
			}
			got.n, got.errno, got.done, got.err = r.Receive(c, buf)
			r.End(loop.Read, got.n == len(buf) || r.Broken())
		}
		result <- got
		return got.err
	})
	return result
}

func TestReceiveIsDoneByTheLoop(t *testing.T) {
	onBoth(t, func(t *testing.T, l *loop.Loop) {
		r, peer := register(t, l)
		buf := make([]byte, 8)
		result := receiving(t, r, buf, &loop.Call{Timeout: loop.Forever})
		unix.Write(peer, []byte("hello, world"))
		require.Equal(t, received{n: 8, done: true}, <-result)
		require.Equal(t, "hello, w", string(buf))
		n, err := read(r, buf, &loop.Call{Timeout: loop.Forever})
		require.NoError(t, err)
		require.Equal(t, "orld", string(buf[:n]), "the rest is still there")
		result = receiving(t, r, buf, &loop.Call{Timeout: loop.Forever})
		require.NoError(t, unix.Shutdown(peer, unix.SHUT_WR))
		require.Equal(t, received{done: true}, <-result, "the end")
	})
}

// The loop receives nothing for a call in Wait, even if its waiter comes from a call in
// Receive.
func TestWaitReceivesNothing(t *testing.T) {
	l := newLoop(t, loop.Options{NoAlone: true})
	r, peer := register(t, l)
	buf := make([]byte, 8)
	for range 20 {
		result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
		unix.Write(peer, []byte("first"))
		require.Equal(t, received{n: 5, done: true}, <-result)
		second := blocked(t, r, func() error { _, err := read(r, buf, &loop.Call{Timeout: time.Minute}); return err })
		unix.Write(peer, []byte("second"))
		require.NoError(t, <-second)
		require.Equal(t, "second", string(buf[:6]))
	}
}

func TestReceiveTellsOfAnError(t *testing.T) {
	l := newLoop(t, loop.Options{})
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	r := new(loop.Blocking)
	require.NoError(t, l.Register(&r.Registration, fds[0], loop.DropWritable))
	defer r.Close()
	_, err = unix.Write(fds[0], []byte("unread"))
	require.NoError(t, err)
	result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
	require.NoError(t, unix.Close(fds[1])) // with data unread, which resets a unix stream
	require.Equal(t, received{errno: unix.ECONNRESET, done: true}, <-result)
}

// The loop gets events of two descriptors of one socket in one turn. It finds no data for
// the second descriptor. Then that call tries for itself.
func TestReceiveFindsNothing(t *testing.T) {
	l := newLoop(t, loop.Options{})
	fd, peer := pair(t)
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	var results []chan received
	for _, fd := range []int{fd, dup} {
		r := new(loop.Blocking)
		r.Share()
		require.NoError(t, l.Register(&r.Registration, fd, loop.DropWritable))
		defer r.Close()
		results = append(results, receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever}))
	}
	held, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-release }))
	<-held
	unix.Write(peer, []byte("once"))
	close(release)
	got := []received{<-results[0], <-results[1]}
	require.ElementsMatch(t, []received{{n: 4, done: true}, {}}, got)
}

// The loop leaves the system call to the caller if the buffer is large, or the call has
// a context.
func TestReceiveIsLeftToTheCaller(t *testing.T) {
	l := newLoop(t, loop.Options{})
	for _, c := range []struct {
		size int
		call loop.Call
		done bool
	}{
		{size: 16 << 10, call: loop.Call{Timeout: loop.Forever}, done: true},
		{size: 16<<10 + 1, call: loop.Call{Timeout: loop.Forever}},
		{size: 0, call: loop.Call{Timeout: loop.Forever}},
		{size: 8, call: loop.Call{Timeout: loop.Forever, Context: t.Context()}},
	} {
		r, peer := register(t, l)
		result := receiving(t, r, make([]byte, c.size), &c.call)
		unix.Write(peer, []byte("x"))
		got := <-result
		require.NoError(t, got.err)
		require.Equal(t, c.done, got.done, c.size)
	}
	r, _ := register(t, l)
	_, _, done, err := r.Receive(&loop.Call{Timeout: loop.NoWait}, make([]byte, 8))
	require.False(t, done)
	require.Equal(t, loop.ErrTimeout, err)
}

func TestReceiveEndsOtherwise(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	result := receiving(t, r, make([]byte, 8), &loop.Call{Timeout: 5 * time.Millisecond})
	require.Equal(t, received{err: loop.ErrTimeout}, <-result)
	result = receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
	require.Equal(t, 1, r.Interrupt())
	require.Equal(t, received{err: loop.ErrInterrupted}, <-result)
	result = receiving(t, r, make([]byte, 8), &loop.Call{Timeout: loop.Forever})
	require.NoError(t, r.Close())
	require.Equal(t, received{err: loop.ErrClosed}, <-result)
	_, err := unix.Write(peer, []byte("x"))
	require.Equal(t, unix.EPIPE, err, "the descriptor is closed")
}

// An ending ends a call that waits in Receive. want is the call's result.
type ending struct {
	end  func(t *testing.T, l *loop.Loop, r *loop.Blocking, peer int)
	want received
}

// withEndings adds to all the endings that give the same result for every Receive.
func withEndings(all map[string]ending) map[string]ending {
	maps.Copy(all, map[string]ending{
		"by Interrupt": {func(t *testing.T, _ *loop.Loop, r *loop.Blocking, _ int) {
			require.Equal(t, 1, r.Interrupt())
		}, received{err: loop.ErrInterrupted}},
		"by Close": {func(t *testing.T, _ *loop.Loop, r *loop.Blocking, _ int) {
			require.NoError(t, r.Close())
		}, received{err: loop.ErrClosed}},
		"by the loop's Close": {func(t *testing.T, l *loop.Loop, _ *loop.Blocking, _ int) {
			require.NoError(t, l.Close())
		}, received{err: loop.ErrLoopClosed}},
		"by a deadline that is set": {func(t *testing.T, _ *loop.Loop, r *loop.Blocking, _ int) {
			require.NoError(t, r.SetDeadline(loop.Read, time.Now().Add(5*time.Millisecond)))
		}, received{err: loop.ErrTimeout}},
		"by a deadline that has passed": {func(t *testing.T, _ *loop.Loop, r *loop.Blocking, _ int) {
			require.NoError(t, r.SetDeadline(loop.Read, time.Now().Add(-time.Second)))
		}, received{err: loop.ErrTimeout}},
	})
	return all
}
