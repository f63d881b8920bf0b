package loop_test

import (
	"sync/atomic"
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// datagrams returns a registered datagram socket and its peer.
func datagrams(t *testing.T, l *loop.Loop) (r *loop.Blocking, peer int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fds[1]) })
	r = new(loop.Blocking)
	require.NoError(t, l.Register(&r.Registration, fds[0], loop.DropWritable))
	return r, fds[1]
}

// messaging starts a call that receives a message as package socket does.
func messaging(t *testing.T, r *loop.Blocking) chan received {
	t.Helper()
	result := make(chan received, 1)
	blocked(t, r, func() error {
		var got received
		c := &loop.Call{Timeout: loop.Forever}
		if _, got.err = r.Begin(loop.Read, c); got.err == nil {
			for tried := false; got.err == nil && !got.done; tried = true {
				if got.err = r.WaitInput(c, tried); got.err != nil || r.Broken() {
					break
				}
				n, err := unix.Read(r.FD(), make([]byte, 8))
				got.n, got.done = max(n, 0), err == nil
			}
			r.End(loop.Read, true)
		}
		result <- got
		return got.err
	})
	return result
}

// A call that waits for a message parks alone, and everything that ends a wait ends it.
func TestWaitInputAlone(t *testing.T) {
	byShutdown := func(t *testing.T, _ *loop.Loop, r *loop.Blocking, _ int) {
		require.NoError(t, unix.Shutdown(r.FD(), unix.SHUT_RD))
	}
	parksAlone(t, datagrams, messaging, map[string]ending{"by the end of its read side": {byShutdown, received{}}})
}

// A read side that was shut before the call, of which no edge tells, ends the call.
func TestWaitInputAfterTheEnd(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, peer := datagrams(t, l)
	r.SetAlone(loop.WayPark)
	result := messaging(t, r)
	unix.Write(peer, []byte("data"))
	require.Equal(t, received{n: 4, done: true}, soon(t, result))
	require.True(t, r.Parked(), "for the next call")
	require.NoError(t, unix.Shutdown(r.FD(), unix.SHUT_RD))
	c := &loop.Call{Timeout: loop.Forever}
	_, err := r.Begin(loop.Read, c)
	require.NoError(t, err)
	require.NoError(t, r.WaitInput(c, true))
	require.True(t, r.Broken())
	r.End(loop.Read, true)
}

// The call looks for input before its system call only while it finds none at once.
func TestLooksFirst(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	r, peer := datagrams(t, l)
	r.SetAlone(loop.WayPark)
	require.False(t, r.LooksFirst())
	for range 2 {
		result := messaging(t, r)
		unix.Write(peer, []byte("data"))
		require.Equal(t, received{n: 4, done: true}, soon(t, result))
		require.True(t, r.LooksFirst())
	}
	unix.Write(peer, []byte("data"))
	c := &loop.Call{Timeout: loop.Forever}
	_, err := r.Begin(loop.Read, c)
	require.NoError(t, err)
	require.NoError(t, r.WaitInput(c, false))
	r.End(loop.Read, true)
	require.False(t, r.LooksFirst(), "there was input")
}

// An error that stays, as that of an error queue does, neither ends the wait of a call
// that has met EAGAIN nor keeps it awake.
func TestWaitInputBesideAnErrorQueue(t *testing.T) {
	severalPs(t)
	l := newLoop(t, loop.Options{})
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	r := new(loop.Blocking)
	require.NoError(t, l.Register(&r.Registration, fd, loop.DropWritable))
	local := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	require.NoError(t, unix.Bind(fd, local))
	require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1))
	require.NoError(t, unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Port: 9, Addr: local.Addr})) // the discard port: nobody listens
	_, err = unix.Read(fd, make([]byte, 8))
	if err != unix.ECONNREFUSED {
		t.Skip("something listens at port 9, or the error has not come")
	}
	r.SetAlone(loop.WayPark)
	result, waits := make(chan error, 1), atomic.Int32{}
	blocked(t, r, func() error {
		c := &loop.Call{Timeout: loop.Forever}
		_, err := r.Begin(loop.Read, c)
		if err == nil {
			for again := true; again && err == nil; { // the first edge may be that of the error
				waits.Add(1)
				err = r.WaitInput(c, true)
				_, errno := unix.Read(fd, make([]byte, 8))
				again = errno == unix.EAGAIN
			}
			r.End(loop.Read, true)
		}
		result <- err
		return err
	})
	settle(t, l)
	require.Empty(t, result)
	require.Less(t, waits.Load(), int32(4))
	self, err := unix.Getsockname(fd)
	require.NoError(t, err)
	require.NoError(t, unix.Sendto(fd, []byte("data"), 0, self))
	require.NoError(t, soon(t, result))
}
