package loop

import (
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir/internal/simkernel"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// simulated runs a test in simulated time, with a loop on a simulated kernel. Unless
// everything that waits parks on channels of the bubble, time stands still, and the test
// hangs.
func simulated(t *testing.T, test func(t *testing.T, l *Loop, k sys.Kernel)) {
	synctest.Test(t, func(t *testing.T) {
		w := simkernel.New(1, simkernel.Link{}, nil)
		defer w.Close()
		k, err := w.Host(netip.MustParseAddr("10.0.0.1"))
		require.NoError(t, err)
		l, err := New(Options{Kernel: k, BusyPoll: time.Second, LockThread: true})
		require.NoError(t, err)
		defer l.Close()
		test(t, l, k)
	})
}

// datagrams returns a socket of the simulated kernel that is on the loop, and a function
// that sends to it.
func datagrams(t *testing.T, l *Loop, k sys.Kernel) (r *Blocking, send func(string)) {
	var fds [2]int
	var at sys.Sockaddr
	for i := range fds {
		fd, err := sys.Socket(k, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		at.SetInet(unix.AF_INET, netip.MustParseAddrPort("10.0.0.1:0"))
		require.Zero(t, sys.Bind(fd, &at))
		require.Zero(t, sys.Getsockname(fd, &at))
		fds[i] = fd
	}
	t.Cleanup(func() { sys.Close(fds[0]) })
	r = new(Blocking)
	require.NoError(t, l.Register(&r.Registration, fds[1], DropWritable))
	return r, func(text string) {
		_, errno := sys.Sendto(fds[0], []byte(text), 0, &at)
		require.Zero(t, errno)
	}
}

// Calls, gates, workers and timers wait in simulated time.
func TestLoopOnASimulatedKernel(t *testing.T) {
	simulated(t, func(t *testing.T, l *Loop, k sys.Kernel) {
		r, send := datagrams(t, l, k)
		// With a deadline a call parks by way of the lock.
		for _, timeout := range []time.Duration{Forever, time.Hour} {
			time.AfterFunc(time.Minute, func() { send("hello") })
			start := time.Now()
			c := Call{Timeout: timeout}
			_, err := r.Begin(Read, &c)
			require.NoError(t, err)
			buf := make([]byte, 8)
			n, errno, done, err := r.Receive(&c, buf)
			require.NoError(t, err)
			if !done {
				n, errno = sys.Recv(r.FD(), buf, 0)
			}
			require.Zero(t, errno)
			require.Equal(t, "hello", string(buf[:n]))
			require.GreaterOrEqual(t, time.Since(start), time.Minute)
			r.End(Read, false)
		}
		c := Call{Timeout: time.Hour}
		_, err := r.Begin(Read, &c)
		require.NoError(t, err)
		start := time.Now()
		require.ErrorIs(t, r.Wait(Read, &c), ErrTimeout)
		require.GreaterOrEqual(t, time.Since(start), time.Hour)
		queued := make(chan error)
		go func() {
			c := Call{Timeout: Forever}
			_, err := r.Begin(Read, &c)
			queued <- err
		}()
		synctest.Wait()
		require.Equal(t, 1, r.Waiters())
		r.End(Read, false)
		require.NoError(t, <-queued)
		r.End(Read, false)

		g := NewGate()
		g.Adapt(l)
		g.Arm()
		start = time.Now()
		require.NoError(t, g.Sleep(l, start.Add(time.Hour)))
		require.GreaterOrEqual(t, time.Since(start), time.Hour)

		ran := make(chan struct{})
		for range 3 {
			l.Spawn(runs(func() { ran <- struct{}{} }))
			<-ran
			synctest.Wait()
		}
		require.EqualValues(t, 1, l.Started(), "the goroutine parks in between")
	})
}

// What the loop receives for a call on a simulated descriptor is what recv(2) returns.
func TestReceiveSimulated(t *testing.T) {
	simulated(t, func(t *testing.T, l *Loop, k sys.Kernel) {
		r, send := datagrams(t, l, k)
		buf := make([]byte, 3)
		receive := func() reception {
			c := reception{&buf[0], int32(len(buf)), unreceived}
			c.receive(int32(r.FD()))
			return c
		}
		require.EqualValues(t, unreceived, receive().result)
		send("abcdef")
		time.Sleep(time.Minute)
		require.EqualValues(t, 3, receive().result)
		require.Equal(t, "abc", string(buf))
		require.NoError(t, r.Close())
		require.EqualValues(t, -int32(unix.EBADF), receive().result)
	})
}

// A simulated loop neither polls nor looks at loops outside of the simulation, nor do
// these look at it.
func TestOptionsOfASimulatedKernel(t *testing.T) {
	simulated(t, func(t *testing.T, l *Loop, k sys.Kernel) {
		require.Equal(t, NoBusyPoll, l.options.BusyPoll)
		require.True(t, l.options.NoAlone)
		require.False(t, l.options.LockThread)
		if all := loops.all.Load(); all != nil {
			require.NotContains(t, *all, l)
		}
		require.Greater(t, l.lookout.left, math.MaxInt/2)
		g := Group{loops: []*Loop{l}}
		require.Same(t, k, g.Kernel())
		require.NotSame(t, l.takeWaiter(), l.takeWaiter())
		w := l.newWaiter()
		l.giveWaiter(w)
		require.NotSame(t, w, waiters.Get(), "it is of this simulation")
	})
	o, err := Options{}.withDefaults()
	require.NoError(t, err)
	require.False(t, o.NoAlone)
}

// A gate parks as its loop's goroutines do: on a channel if the loop is simulated.
func TestGateAdapts(t *testing.T) {
	simulated(t, func(t *testing.T, l *Loop, k sys.Kernel) {
		real := &Loop{}
		g := NewGate()
		before := g.token
		g.Adapt(nil)
		g.Adapt(real)
		require.Equal(t, before, g.token)
		require.False(t, g.simulated)
		g.Adapt(l)
		require.True(t, g.simulated)
		require.NotNil(t, g.token)
		first := g.token
		g.Adapt(l)
		require.NotEqual(t, first, g.token, "that of another simulation may not be used")
		g.Adapt(nil)
		require.False(t, g.simulated)
		fresh := NewGate()
		require.Equal(t, fresh.token == nil, g.token == nil)
		g.Adapt(l)
		g.Adapt(real)
		require.False(t, g.simulated)
	})
}
