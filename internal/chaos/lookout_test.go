package chaos

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// stallAfter is how long nothing may happen to a transfer until a lookout describes it.
const stallAfter = 8 * time.Second

// A lookout watches services, and transfers over a bridge. When a transfer moves no byte for
// stallAfter, or when connections are left for so long after the transfers, it logs what the
// kernel and Weir know of every TCP socket. A wake-up that Weir has lost fails the test at
// once. So a person can tell it from TCP's own waiting, which the line causes.
type lookout struct {
	t        *testing.T
	bridge   *Bridge // or nil
	services []*service
	reported bool // a lost wake-up; the first says it all

	mu      sync.Mutex
	running map[*transfer]*watched
	ended   time.Time // when the last transfer ended
}

// A watched is a transfer that is in progress.
type watched struct {
	name string
	c    wire
	told bool // it was described
}

// watch starts a lookout. It ends with the test.
func watch(t *testing.T, b *Bridge, services []*service) *lookout {
	o := &lookout{t: t, bridge: b, services: services, running: make(map[*transfer]*watched)}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(stallAfter / 8)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				o.look()
			}
		}
	}()
	t.Cleanup(func() {
		close(over)
		<-ended
	})
	return o
}

// run runs a transfer and watches it.
func (o *lookout) run(name string, x *transfer, c wire) error {
	x.moved = new(atomic.Int64)
	x.moved.Store(time.Now().UnixNano())
	o.mu.Lock()
	o.running[x] = &watched{name: name, c: c}
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		delete(o.running, x)
		o.ended = time.Now()
		o.mu.Unlock()
	}()
	return x.run(c)
}

// look describes all sockets, if something stalls or a wake-up is lost.
func (o *lookout) look() {
	if lost := o.lost(); lost != "" && !o.reported {
		o.reported = true
		o.t.Errorf("a wake-up is lost:\n%s\nall sockets:\n%s", lost, o.describe())
	}
	if stalled := o.stalled(); stalled != "" {
		o.t.Logf("%sall sockets:\n%s", stalled, o.describe())
	}
}

// stalled describes what stalls and was not described before.
func (o *lookout) stalled() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	for x, w := range o.running {
		if idle := time.Since(time.Unix(0, x.moved.Load())); idle > stallAfter && !w.told {
			w.told = true
			fmt.Fprintf(&b, "%s from %v moves nothing for %v\n", w.name, w.c.LocalAddr(), idle.Round(time.Millisecond))
		}
	}
	if len(o.running) == 0 && !o.ended.IsZero() && time.Since(o.ended) > stallAfter {
		for _, s := range o.services {
			if n := s.open(); n > 0 {
				o.ended = time.Time{}
				fmt.Fprintf(&b, "%s has %d connections left\n", s.name, n)
			}
		}
	}
	return b.String()
}

// A lookout finds a call that waits for what the kernel has. The test takes the socket's
// descriptor out of the loop's epoll set, so that the wake-up is lost for sure.
func TestLookoutFindsALostWakeUp(t *testing.T) {
	s, c := weirtest.TCP(t)
	o := &lookout{t: t}
	got := make(chan error, 1)
	go func() {
		_, err := s.Recv(make([]byte, 10), 0)
		got <- err
	}()
	weirtest.Eventually(t, func() bool { return s.Registration().Waits(loop.Read) }, "the call waits")
	require.Empty(t, o.lost(), "there is nothing to read yet")

	forget(t, s.Fd())
	_, err := c.Send([]byte("hello"), 0)
	require.NoError(t, err)
	require.Contains(t, o.lost(), "in 5, out 0, a read gives 5 bytes")

	s.Interrupt()
	require.ErrorIs(t, <-got, unix.EINTR)
	require.Empty(t, o.lost(), "nobody waits any more")
}

// forget takes a descriptor out of every epoll set of the process.
func forget(t *testing.T, fd int) {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, e := range entries {
		var epfd int
		fmt.Sscan(e.Name(), &epfd)
		if what, _ := os.Readlink("/proc/self/fd/" + e.Name()); what == "anon_inode:[eventpoll]" {
			_ = unix.EpollCtl(epfd, unix.EPOLL_CTL_DEL, fd, nil) // ENOENT in the sets that do not have it
		}
	}
}
