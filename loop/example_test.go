package loop_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// readOnce reads once from b, as read(2) does on a blocking descriptor, for at most the
// given time.
func readOnce(b *loop.Blocking, buf []byte, limit time.Duration) (n int, err error) {
	call := loop.Call{Timeout: limit}
	ready, err := b.Begin(loop.Read, &call)
	if err != nil {
		return 0, err // and no End
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
	b.End(loop.Read, n == len(buf)) // then there may be more
	return n, err
}

// A read that blocks its goroutine, and no thread.
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
