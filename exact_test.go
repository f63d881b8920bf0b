package weir_test

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// soon returns the result of a Select that must end without a timeout. It has no
// timeout, because a Select looks once more when its time is up.
func soon(t testing.TB, result chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(time.Minute):
		t.Fatal("nobody wakes it")
		return nil
	}
}

// If another goroutine reads input ahead while a Select waits, the socket becomes
// readable, even if the kernel reports no event: with SO_RCVLOWAT it reports none for
// less input.
func TestInputReadAheadWakesSelect(t *testing.T) {
	const text = "xyz"
	a, peer := weirtest.TCP(t)
	require.NoError(t, a.Setsockopt("socket", "SO_RCVLOWAT", 100))
	selector := newSelector(t)
	require.NoError(t, selector.Register(a, weir.Readable, nil))
	for range 20 {
		_, err := peer.Write([]byte(text))
		require.NoError(t, err)
		waitFor(t, func() bool {
			n, err := unix.IoctlGetInt(a.Fd(), unix.SIOCINQ)
			return err == nil && n == len(text)
		})
		require.Equal(t, "w", weirSelect(t, a).String())
		selected := parked(t, a, func() (set, error) { return weir.Select(list{a}, nil, nil, weir.Forever) })
		waited := waiting(t, selector, t.Context())
		settle(t, a) // now both have looked and sleep
		_, _, err = a.ReadRune()
		require.NoError(t, err)
		require.NoError(t, soon(t, selected))
		require.Len(t, (<-waited).ready, 1)
		_, err = a.ReadString()
		require.NoError(t, err)
	}
}

// A reader reads the kernel's input ahead, in the middle of a look.
type reader struct {
	*socket.Socket
	read func()
}

func (r *reader) Buffered() int {
	n := r.Socket.Buffered()
	if r.read != nil {
		r.read()
		r.read = nil
	}
	return n
}

// Input may move from the kernel to the buffer between the look at the buffer and
// the kernel's answer. Select does not miss it.
func TestInputReadAheadDuringTheLook(t *testing.T) {
	a, peer := weirtest.Pair(t, socket.Stream)
	for _, before := range []bool{false, true} {
		if before {
			watched(t, a)
		}
		_, err := peer.Write([]byte("ab"))
		require.NoError(t, err)
		r := &reader{Socket: a, read: func() { _, _, err = a.ReadRune() }}
		got, selectErr := weir.Select(list{r}, nil, nil, 0)
		require.NoError(t, selectErr)
		require.NoError(t, err)
		require.Equal(t, list{r}, got.Read)
		rest, err := a.ReadString()
		require.NoError(t, err)
		require.Equal(t, "b", rest)
	}
}

// A Select that does not wait is exact, and so is the last look of one whose time is
// up: they see events that no loop has taken in yet.
func TestLastLookIsExact(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	s, err := socket.Config{Address: "127.0.0.1", Group: g}.New(socket.Inet, socket.Dgram, 0)
	b := weirtest.Keep(t, s, err)
	watched(t, b)
	busy, free := make(chan struct{}), make(chan struct{})
	require.NoError(t, g.Loops()[0].Post(func() { close(busy); <-free }))
	defer close(free)
	<-busy
	_, err = udp(t).SendToAddr([]byte("x"), b.LocalAddr(), 0)
	require.NoError(t, err)
	waitFor(t, func() bool { return kernelPoll(t, b.Fd()).r })
	a, _ := weirtest.Pair(t, socket.Stream) // on a loop that can end the wait
	for _, d := range []time.Duration{0, time.Millisecond} {
		require.Equal(t, loop.Unready, b.Registration().Look(loop.Readable))
		got, err := weir.Select(list{a, b}, nil, nil, d)
		require.NoError(t, err)
		require.Equal(t, list{b}, got.Read)
	}
}
