package socket

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A program may rely on the garbage collector to close the sockets that it has
// forgotten. The collector counts memory, not descriptors, so these may run out
// first. Then a call that needs one collects the garbage and tries again.

const (
	// collectTime bounds how long a call waits after a collection for forgotten
	// sockets to be closed.
	collectTime = 50 * time.Millisecond
	// collections is how many collections a call makes at most: one that was under
	// way keeps what was forgotten in the meantime.
	collections = 2
	// After a collection that did not help, calls fail at once for a while:
	// a server at its limit must not collect all the time. The pause doubles with
	// each such collection.
	firstCollectPause = 100 * time.Millisecond
	lastCollectPause  = 10 * time.Second
)

// forgotten closes the sockets that the program has forgotten.
var forgotten collector

type collector struct {
	closed atomic.Int64 // how many sockets were closed because they were forgotten

	mu    sync.Mutex    // held while collecting
	pause time.Duration // the last pause; 0 if the last collection helped
	until time.Time     // when the pause ends
}

// abandon closes a socket that is forgotten.
func (c *collector) abandon(r *loop.Blocking) {
	if r.Abandon() == nil { // else the program has closed it
		c.closed.Add(1)
	}
}

// withDescriptor makes a system call that needs a new descriptor. If there is
// none, it collects forgotten sockets and tries again.
func withDescriptor(call func() syscall.Errno) syscall.Errno {
	errno := call()
	if !exhausted(errno) {
		return errno
	}
	return forgotten.retry(call)
}

// WithDescriptor calls open, which opens a descriptor: a file or a pipe, for example.
// If open fails because the process or the system has no descriptor left (EMFILE,
// ENFILE), WithDescriptor collects the sockets and files that the program has
// forgotten, and calls open again. It returns open's last error. New, Pair and Accept do
// the same by themselves. A call waits for 100 ms at most, and for the collections.
func WithDescriptor(open func() error) (err error) {
	withDescriptor(func() (errno syscall.Errno) {
		if err = open(); !errors.As(err, &errno) {
			return 0
		}
		return errno
	})
	return err
}

// exhausted reports whether the process or the system has no descriptor left.
func exhausted(errno syscall.Errno) bool { return errno == unix.EMFILE || errno == unix.ENFILE }

// retry collects, and makes the call until it finds a descriptor, or until the
// collection is over.
func (c *collector) retry(call func() syscall.Errno) syscall.Errno {
	c.mu.Lock()
	defer c.mu.Unlock()
	errno := call() // another goroutine may have collected in the meantime
	if !exhausted(errno) || time.Now().Before(c.until) {
		return errno
	}
	before := c.closed.Load()
	for i := 0; i < collections && exhausted(errno); i++ {
		runtime.GC()
		// The runtime runs the cleanups at its leisure, on several goroutines.
		for deadline := time.Now().Add(collectTime); exhausted(errno) && time.Now().Before(deadline); errno = call() {
			time.Sleep(time.Millisecond)
		}
	}
	if c.closed.Load() != before || !exhausted(errno) { // files may have been closed
		c.pause = 0
		return errno
	}
	c.pause = min(max(2*c.pause, firstCollectPause), lastCollectPause)
	c.until = time.Now().Add(c.pause)
	return errno
}
