package loop_test

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"golang.org/x/sys/unix"
)

// readOnce reads once from b, as read(2) does on a blocking descriptor, for at most the
// given time.
func readOnce(b *loop.Blocking, buf []byte, limit time.Duration) (n int, err error) {
	call := loop.Call{Timeout: limit}
	ready, err := b.Begin(loop.Read, &call)
	if err != nil {
		return 0, err // without End
	}
	err = unix.EAGAIN
	for err == unix.EAGAIN {
		if !ready {
			if err = b.Wait(loop.Read, &call); err != nil {
				break
			}
		}
		n, err = unix.Read(b.FD(), buf)
		ready = false
	}
	b.End(loop.Read, n == len(buf)) // if the buffer is full, there may be more
	return n, err
}

// The read blocks its goroutine, and no thread.
func ExampleBlocking() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[1])
	l, err := loop.New(loop.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	var b loop.Blocking
	if err := l.Register(&b.Registration, fds[0], loop.DropWritable); err != nil {
		fmt.Println(err)
		return
	}
	_, err = l.AfterFunc(time.Millisecond, func() { unix.Write(fds[1], []byte("hello")) })
	if err != nil {
		fmt.Println(err)
		return
	}
	buf := make([]byte, 16)
	n, err := readOnce(&b, buf, loop.Forever)
	fmt.Printf("%s %v\n", buf[:n], err)
	_, err = readOnce(&b, buf, loop.NoWait)
	fmt.Println(errors.Is(err, loop.ErrTimeout), err)
	// Output:
	// hello <nil>
	// true loop: the time is up
}

// A timer and a posted task run on the loop's goroutine, so they share variables
// without a lock.
func ExampleLoop() {
	l, err := loop.New(loop.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	done := make(chan struct{})
	count := 0
	var tick *loop.Timer
	tick = l.NewTimer(func() {
		if count++; count < 3 {
			tick.Reset(time.Millisecond)
			return
		}
		close(done)
	})
	if err := l.Post(func() { count = 0; tick.Reset(time.Millisecond) }); err != nil {
		fmt.Println(err)
		return
	}
	<-done
	fmt.Println("the timer has fired", count, "times")
	// Output: the timer has fired 3 times
}

// A reader is a descriptor with callbacks.
type reader struct {
	loop.Handled
	got chan string
}

// Ready reads until nothing is left, because each event comes once.
func (r *reader) Ready(poller.Readiness) {
	buf := make([]byte, 64)
	for {
		n, err := unix.Read(r.FD(), buf)
		if err != nil || n == 0 {
			return
		}
		r.got <- string(buf[:n])
	}
}

func (r *reader) Expire() {} // the reader has set no time
func (r *reader) Closed() {} // the loop has closed the descriptor

// A Handler serves a descriptor on the loop, without a goroutine.
func ExampleHandler() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[1])
	g, err := loop.NewGroup(2, loop.RoundRobin(), loop.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	r := &reader{got: make(chan string, 1)}
	var h loop.Handler = r
	if err := g.Pick(netip.Addr{}).Handle(&r.Handled, fds[0], &h); err != nil {
		fmt.Println(err)
		return
	}
	unix.Write(fds[1], []byte("hello"))
	fmt.Println(<-r.got)
	// Output: hello
}
