package loop_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A call finds that another has the turn. That one ends before the call takes the lock to
// queue. The call then takes the turn itself: nobody is left who would hand it over.
func TestTurnThatIsFreedBeforeQueueing(t *testing.T) {
	for _, d := range []loop.Direction{loop.Read, loop.Write} {
		r, peer := register(t, newLoop(t, loop.Options{}))
		first := &loop.Call{Timeout: loop.Forever}
		result := make(chan error, 1)
		for _, marked := range []bool{true, false} {
			ready, err := r.Begin(d, first)
			require.NoError(t, err)
			require.True(t, ready, "nothing is known yet, or the first call has left its mark")
			r.End(d, marked)
			go func() {
				ready, err := r.QueueUp(d, &loop.Call{Timeout: loop.Forever})
				if err == nil && ready != marked {
					err = unix.EINVAL
				}
				result <- err
			}()
			waitFor(t, func() bool { return len(result)+r.Waiters() > 0 })
			require.Zero(t, r.Waiters(), "it waits for a turn that is free")
			require.NoError(t, <-result)

			// It has the turn, and so the next one queues.
			_, err = r.Begin(d, &loop.Call{})
			require.ErrorIs(t, err, loop.ErrTimeout)
			r.End(d, true)
		}
		// It counts as one call. When it has ended, Close closes the descriptor.
		require.NoError(t, r.Close())
		n, err := unix.Read(peer, make([]byte, 1))
		require.NoError(t, err)
		require.Zero(t, n)
	}
}

// The registration closes before the call takes the lock to queue.
func TestCloseBeforeQueueing(t *testing.T) {
	r, peer := register(t, newLoop(t, loop.Options{}))
	_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	require.NoError(t, r.Close())
	for _, timeout := range []time.Duration{loop.Forever, loop.NoWait} {
		_, err = r.QueueUp(loop.Read, &loop.Call{Timeout: timeout})
		require.ErrorIs(t, err, loop.ErrClosed)
		_, err = unix.FcntlInt(uintptr(r.FD()), unix.F_GETFD, 0)
		require.NoError(t, err, "the call that has the turn uses it")
	}
	r.End(loop.Read, false)
	n, err := unix.Read(peer, make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n, "the last call has closed the descriptor")
}

// An error and a hang-up wake a writer, also when the kernel does not report room with
// them. A call that reads is woken by all that ends a stream.
func TestEndsWakeTheirDirections(t *testing.T) {
	for _, c := range []struct {
		event       poller.Readiness
		read, write bool
	}{
		{poller.HungUp, true, true},
		{poller.Failed, true, true},
		{poller.PeerClosed, true, false},
		{poller.Priority, true, false},
		{poller.Readable, true, false},
		{poller.Writable, false, true},
	} {
		for d, want := range map[loop.Direction]bool{loop.Read: c.read, loop.Write: c.write} {
			r, _ := register(t, newLoop(t, loop.Options{}))
			fill(t, r.FD())
			result := blocked(t, r, func() error { return waitOnce(r, d, &loop.Call{Timeout: loop.Forever}) })
			r.Arrive(c.event, 0)
			settle(t, r.Loop())
			if want {
				require.NoError(t, <-result)
				continue
			}
			require.Equal(t, 1, r.Waiters(), "%v wakes direction %v", c.event, d)
			require.NoError(t, r.Close())
			require.ErrorIs(t, <-result, loop.ErrClosed)
		}
	}
}

// A call that does not wait takes a turn that is free.
func TestCallThatDoesNotWaitTakesAFreeTurn(t *testing.T) {
	r, _ := register(t, newLoop(t, loop.Options{}))
	for _, d := range []loop.Direction{loop.Read, loop.Write} {
		ready, err := r.Begin(d, &loop.Call{Timeout: loop.NoWait})
		require.NoError(t, err)
		require.True(t, ready)
		r.End(d, false)
	}
}

// With Options.Crash, which lets a panic end the program, a task runs once, as without.
func TestCrashRunsTasksOnce(t *testing.T) {
	l := newLoop(t, loop.Options{Crash: true})
	ran := 0
	require.NoError(t, l.Post(func() { ran++ }))
	settle(t, l)
	require.NoError(t, l.Post(func() {}))
	settle(t, l)
	require.Equal(t, 1, ran)
}

// A panic that nobody has asked to be told of is logged.
func TestPanicIsLogged(t *testing.T) {
	var text bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	l := newLoop(t, loop.Options{})
	require.NoError(t, l.Post(func() { panic("on purpose") }))
	settle(t, l)
	require.NoError(t, l.Close())
	require.Contains(t, text.String(), "on purpose")
}

// A wait with a context returns at once if an event has come, and if the registration is
// closed.
func TestWaitWithAContextReturnsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, peer := register(t, newLoop(t, loop.Options{}))
	c := &loop.Call{Timeout: loop.Forever, Context: ctx}
	_, err := r.Begin(loop.Read, c)
	require.NoError(t, err)
	require.NoError(t, r.Watch())
	unix.Write(peer, []byte("x"))
	waitFor(t, r.Marked)
	result := make(chan error, 1)
	go func() { result <- r.Wait(loop.Read, c) }()
	waitFor(t, func() bool { return len(result)+r.Waiters() > 0 })
	require.NoError(t, <-result)
	require.NoError(t, r.Close())
	require.ErrorIs(t, r.Wait(loop.Read, c), loop.ErrClosed)
	r.End(loop.Read, false)
}

// An Inquiry says what its questions are about, and ends its use of the registrations when
// it has asked. It takes a mark away that the kernel disproves.
func TestInquiryEndsItsUse(t *testing.T) {
	l := newLoop(t, loop.Options{})
	ready, readyPeer := register(t, l)
	idle, idlePeer := register(t, l)
	unix.Write(readyPeer, []byte("x"))
	var q loop.Inquiry
	require.NoError(t, idle.Watch())
	settle(t, l)
	require.Equal(t, loop.Doubtful, idle.Look(loop.Readable))
	require.NoError(t, q.Add(&ready.Registration, loop.Readable))
	require.NoError(t, q.Add(&idle.Registration, loop.Readable))
	about, want := q.About(1)
	require.Same(t, &idle.Registration, about)
	require.Equal(t, loop.Readable, want)
	require.NoError(t, q.Ask())
	require.Equal(t, []bool{true, false}, []bool{q.Holds(0), q.Holds(1)})
	require.Equal(t, loop.Unready, idle.Look(loop.Readable))
	for r, peer := range map[*loop.Blocking]int{ready: readyPeer, idle: idlePeer} {
		require.NoError(t, r.Close())
		n, err := unix.Read(peer, make([]byte, 1))
		if r == ready {
			require.Equal(t, unix.ECONNRESET, err, "it had unread input")
			continue
		}
		require.NoError(t, err)
		require.Zero(t, n, "the descriptor is closed")
	}
	q.Reset()
	require.ErrorIs(t, q.Add(&idle.Registration, loop.Readable), loop.ErrClosed)
}

func TestObserversOfALoop(t *testing.T) {
	l := newLoop(t, loop.Options{})
	a, _ := register(t, l)
	b, _ := register(t, l)
	require.Empty(t, l.Observers())
	first, second, third := make(observer, 100), make(observer, 100), make(observer, 100)
	for to, r := range map[*observer]*loop.Blocking{&first: a, &second: a, &third: b} {
		h := &loop.Hook{To: *to}
		require.NoError(t, h.Hang(&r.Registration, loop.Readable))
		defer h.Unhang()
	}
	require.ElementsMatch(t, []loop.Observer{first, second, third}, l.Observers())
}

// Linger tells of no end and no error, and leaves an error to the next call: the kernel
// tells it once.
func TestLingerLeavesTheError(t *testing.T) {
	severalPs(t)
	for _, way := range loop.Ways {
		for _, early := range []bool{false, true} {
			fd, peer := stream(t)
			r := new(loop.Blocking)
			require.NoError(t, newLoop(t, loop.Options{}).Register(&r.Registration, fd, loop.DropWritable))
			unix.Write(fd, []byte("unread"))
			reset := func() { unix.Close(peer) } // a unix stream with unread input breaks
			r.SetAlone(way)
			if early {
				reset()
			} else {
				time.AfterFunc(time.Millisecond, reset)
			}
			require.False(t, r.Linger(10*time.Second))
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} // Linger may end before the peer
			for n := 0; n != 1; {
				n, _ = unix.Poll(fds, -1)
			}
			_, err := unix.Read(fd, make([]byte, 1))
			require.NoError(t, r.Close())
			require.Equal(t, unix.ECONNRESET, err, "way %v, early %v", way, early)
		}
	}
}
