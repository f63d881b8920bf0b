package loop

import (
	"runtime"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The timer of a registration that was closed may be late. It does nothing, and leaves
// the lock free.
func TestExpiryOfAClosedRegistration(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	var r Blocking
	require.NoError(t, l.Register(&r.Registration, ours, DropWritable))
	require.NoError(t, r.Close())
	onLoop(t, l, func() { r.expire(int64(time.Hour)) })
	require.ErrorIs(t, r.Close(), ErrClosed)
}

// Gates may stop sleeping in any order.
func TestGatesLeaveInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		l := handlerLoop(t)
		gates, ended := make([]*Gate, 3), make([]chan error, 3)
		for i := range gates {
			gates[i], ended[i] = NewGate(), make(chan error, 1)
			gates[i].Arm()
			go func() { ended[i] <- gates[i].Sleep(l, time.Time{}) }()
			for l.Gates() != i+1 {
				runtime.Gosched()
			}
		}
		for left, i := range order {
			gates[i].Wake(nil)
			require.NoError(t, <-ended[i])
			require.Equal(t, len(order)-left-1, l.Gates(), "%v", order)
		}
	}
}

// Cancel ends the calls that the questions count as: the last one closes a descriptor
// that was closed meanwhile.
func TestCancelOfAnInquiry(t *testing.T) {
	l := handlerLoop(t)
	ours, theirs := handlerPair(t)
	var r Blocking
	require.NoError(t, l.Register(&r.Registration, ours, DropWritable))
	var q Inquiry
	require.NoError(t, q.Add(&r.Registration, Readable))
	require.NoError(t, q.Add(&r.Registration, Writable))
	require.NoError(t, r.Close())
	_, err := unix.Read(theirs, make([]byte, 1))
	require.Equal(t, unix.EAGAIN, err, "the questions keep it open")
	q.Cancel()
	require.Zero(t, q.Len())
	n, err := unix.Read(theirs, make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestUrgent(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	var r Blocking
	require.NoError(t, l.Register(&r.Registration, ours, DropWritable))
	defer r.Close()
	r.Arrive(poller.Readable, 1)
	require.False(t, r.Urgent())
	r.Arrive(poller.Priority, 1)
	require.True(t, r.Urgent())
	r.Arrive(poller.Readable, 1)
	require.True(t, r.Urgent(), "it stays true")
}

// Close of a descriptor that a Handler serves does not wait for SO_LINGER: the loop would
// wait.
func TestCloseOfAHandledDescriptorDoesNotLinger(t *testing.T) {
	l := handlerLoop(t)
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(listener)
	require.NoError(t, unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(listener, 1))
	to, err := unix.Getsockname(listener)
	require.NoError(t, err)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Connect(fd, to))
	peer, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(peer)
	require.NoError(t, unix.SetNonblock(fd, true))
	require.NoError(t, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 30}))
	for n := 0; err == nil; { // the peer does not read, so that close(2) would wait
		n, err = unix.Write(fd, make([]byte, 1<<16))
		_ = n
	}
	require.Equal(t, unix.EAGAIN, err)
	h := newRecorder(func(poller.Readiness) {})
	require.NoError(t, l.Handle(&h.reg, fd, h.handler()))
	require.NoError(t, h.reg.Close())
	onLoop(t, l, func() {})
	buf := make([]byte, 1<<20)
	for n := 1; n > 0; { // the rest arrives, and then the end
		n, err = unix.Read(peer, buf)
		require.NoError(t, err)
	}
}
