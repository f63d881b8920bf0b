//go:build linux

package poller

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// spinning returns an epoll descriptor with one eventfd in it, and a function that
// makes the eventfd readable.
func spinning(t *testing.T) (epfd int, ring func(), calm func()) {
	t.Helper()
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(epfd); unix.Close(fd) })
	require.NoError(t, unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}))
	var word [8]byte
	word[0] = 1
	return epfd, func() { unix.Write(fd, word[:]) }, func() { unix.Read(fd, make([]byte, 8)) }
}

func TestSpinIsGivenUpInVain(t *testing.T) {
	epfd, _, _ := spinning(t)
	s := spinner{most: time.Microsecond}
	spins := 0
	const waits = 1 << 14
	for range waits {
		if s.skip == 0 {
			spins++
		}
		n, err := s.spin(epfd, make([]Event, 4))
		require.NoError(t, err)
		require.Zero(t, n)
	}
	require.LessOrEqual(t, spins, 8+waits>>maxDoubt)
	require.Greater(t, spins, waits>>maxDoubt-2, "it is tried again, for things change")
}

func TestSpinFindsWhatComesMeanwhile(t *testing.T) {
	epfd, ring, calm := spinning(t)
	s := spinner{most: time.Minute, yield: true, doubt: 2}
	for _, doubt := range []uint{1, 0, 0} {
		// On a busy machine it may ring before the spin begins. Then the test learns
		// nothing.
		for tries, before := 0, s.doubt; tries == 0 || s.doubt == before && doubt < before; tries++ {
			require.Less(t, tries, 1000)
			calm()
			time.AfterFunc(time.Millisecond, ring)
			start := time.Now()
			n, err := s.spin(epfd, make([]Event, 4))
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Less(t, time.Since(start), 30*time.Second)
		}
		require.Equal(t, doubt, s.doubt)
		require.Zero(t, s.skip)
	}
}

// If there is an event before the spin, the spinner's doubt does not change.
func TestSpinLearnsNothingFromWhatIsThere(t *testing.T) {
	epfd, ring, _ := spinning(t)
	ring()
	s := spinner{most: time.Microsecond, doubt: 3}
	n, err := s.spin(epfd, make([]Event, 4))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, spinner{most: time.Microsecond, doubt: 3}, s)
}

func TestNoSpin(t *testing.T) {
	epfd, ring, _ := spinning(t)
	ring()
	for _, s := range []spinner{{}, {most: time.Second, skip: 1}} {
		n, err := s.spin(epfd, make([]Event, 4))
		require.NoError(t, err)
		require.Zero(t, n, "the caller sleeps, and finds it")
		require.Zero(t, s.skip)
	}
}

// What the spin finds is what the wait returns. An edge is told once, so the wait would
// sleep for ever if it looked again.
func TestBlockingReturnsWhatTheSpinFinds(t *testing.T) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}))
	b := blocking{epfd, &spinner{most: time.Second}}
	found := make(chan int, 1)
	go func() {
		n, _ := b.wait(make([]Event, 4), true)
		found <- n
	}()
	select {
	case n := <-found:
		require.Equal(t, 1, n)
		require.NoError(t, b.close())
	case <-time.After(time.Minute):
		t.Fatal("the event is lost")
	}
}

// After a spin that finds nothing, the doubt is greater, and the next waits do not spin.
func TestDoubtGrows(t *testing.T) {
	epfd, _, _ := spinning(t)
	s := spinner{most: 1}
	for _, want := range []struct{ doubt, skip uint }{{2, 3}, {4, 15}, {6, 63}, {8, 255}, {10, 1023}, {10, 1023}} {
		n, err := s.spin(epfd, make([]Event, 4))
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, want.doubt, s.doubt)
		require.Equal(t, want.skip, s.skip)
		s.skip = 0
	}
	require.EqualValues(t, 6, s.counts.Polls)
	require.EqualValues(t, 6, s.counts.Vain)
}

// Other goroutines run while a parked Poller spins, even with one P. A blocking one may be
// locked to its thread, for which yielding costs thread switches.
func TestSpinYields(t *testing.T) {
	require.True(t, open(t, Parked).spinner.yield)
	require.False(t, open(t, Blocking).spinner.yield)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := spinner{most: time.Millisecond, yield: true}
	var ran atomic.Bool
	epfd, _, _ := spinning(t)
	go ran.Store(true)
	_, err := s.spin(epfd, make([]Event, 4))
	require.NoError(t, err)
	require.True(t, ran.Load(), "the scheduler takes a P away only after ten milliseconds")
}
