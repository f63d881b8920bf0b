package loop

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// registered returns a Blocking on a loop of its own, and the other end of its stream.
func registered(t *testing.T) (r *Blocking, peer int) {
	t.Helper()
	l, err := New(Options{})
	require.NoError(t, err)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	r = new(Blocking)
	require.NoError(t, l.Register(&r.Registration, fds[0], DropWritable))
	t.Cleanup(func() {
		l.Close()
		unix.Close(fds[1])
	})
	return r, fds[1]
}

// lockedIn waits until a goroutine waits for a lock in the function.
func lockedIn(t *testing.T, function string) {
	t.Helper()
	buf := make([]byte, 1<<20)
	require.Eventually(t, func() bool {
		for g := range bytes.SplitSeq(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
			if bytes.Contains(g, []byte("[sync.Mutex.Lock")) && bytes.Contains(g, []byte("(*Blocking)."+function+"(")) {
				return true
			}
		}
		return false
	}, time.Minute, time.Millisecond)
}

// A call ends, and sees that another queues. Before it takes the lock, something else ends
// the wait of the other. The turn is then free.
func TestQueueEmptiesBeforeTheTurnIsHandedOver(t *testing.T) {
	r, _ := registered(t)
	_, err := r.Begin(Read, &Call{Timeout: Forever})
	require.NoError(t, err)
	second := make(chan error, 1)
	go func() {
		_, err := r.Begin(Read, &Call{Timeout: Forever})
		second <- err
	}()
	require.Eventually(t, func() bool { return r.Waiters() == 1 }, time.Minute, time.Millisecond)

	r.mu.Lock()
	ended := make(chan struct{})
	go func() { r.End(Read, true); close(ended) }()
	lockedIn(t, "End")
	list := r.takeAll(ErrTimeout)
	r.mu.Unlock()
	list.wake(nil)
	require.ErrorIs(t, <-second, ErrTimeout)
	<-ended
	_, err = r.Begin(Read, &Call{Timeout: NoWait})
	require.NoError(t, err, "the turn is free")
	r.End(Read, true)
}

// The registration closes while a call is about to queue. The call ends, and no longer keeps
// the descriptor open.
func TestCloseWhileACallIsAboutToQueue(t *testing.T) {
	r, peer := registered(t)
	_, err := r.Begin(Read, &Call{Timeout: Forever})
	require.NoError(t, err)
	r.mu.Lock()
	second := make(chan error, 1)
	go func() {
		_, err := r.Begin(Read, &Call{Timeout: Forever})
		second <- err
	}()
	lockedIn(t, "queueUp")
	r.state.Or(stateClosed) // as shut does, which takes the lock itself
	r.finish(ErrClosed, false)
	require.ErrorIs(t, <-second, ErrClosed)
	r.End(Read, false)
	n, err := unix.Read(peer, make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n, "the last call has closed the descriptor")
}
