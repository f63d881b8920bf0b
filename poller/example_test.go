//go:build linux

package poller_test

import (
	"fmt"
	"time"

	"github.com/seed-2334f180/weir/poller"
	"golang.org/x/sys/unix"
)

// One end of a pair of sockets becomes readable. The key tells which descriptor the
// event is about.
func Example() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	p, err := poller.Open(poller.Automatic)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	if err := p.Add(fds[0], 42, poller.Readable|poller.PeerClosed); err != nil {
		fmt.Println(err)
		return
	}

	unix.Write(fds[1], []byte("hello"))
	events := make([]poller.Event, 16)
	n, err := p.Wait(events, time.Now().Add(time.Minute))
	for i := range events[:n] {
		fmt.Println(events[i].Key(), events[i].Ready())
	}
	// The Poller has reported the edge. No other write comes, so this Wait ends by its
	// deadline.
	n, err = p.Wait(events, time.Now().Add(time.Millisecond))
	fmt.Println(n, err)
	// Output:
	// 42 IN
	// 0 <nil>
}
