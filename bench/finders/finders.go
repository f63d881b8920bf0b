// Package finders has the ways to find the one socket that is ready among many: Weir's Select
// and Selector, and poll, select and epoll on the same descriptors. A child process with the
// role "select" measures them in turn.
package finders

import (
	"context"
	"errors"
	"slices"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// Roles has the process that times finders.
var Roles = map[string]child.Role{"select": child.Ordered(measureFinds)}

const (
	One      = "one"
	Doubtful = "doubtful"
	Woken    = "wake"
)

// selectLimit is FD_SETSIZE: select(2) takes only smaller descriptors.
const selectLimit = 1024

// finders lists the subjects of the select suite. The field subject is the subject of bench
// (-subjects) that chooses a finder.
var finders = []struct {
	name, subject string
	modes         []string
	most          int // sockets
	open          func([]*socket.Socket) (finder, error)
}{
	{"weir", "weir", []string{One, Doubtful, Woken}, 1 << 20, openSelect},
	{"selector", "weir", []string{One, Doubtful, Woken}, 1 << 20, openSelector},
	{"poll", "kernel", []string{One, Doubtful, Woken}, 1 << 20, openPoll},
	{"select", "kernel", []string{One, Woken}, selectLimit - 24, openKernelSelect},
	{"epoll", "kernel", []string{One, Woken}, 1 << 20, openEpoll},
}

// A finder makes one call that waits, and returns how many are ready.
type finder struct {
	find  func() (int, error)
	close func()
}

func For(chosen []string, mode string, n int) (names []string) {
	for _, f := range finders {
		if slices.Contains(chosen, f.subject) && slices.Contains(f.modes, mode) && n <= f.most {
			names = append(names, f.name)
		}
	}
	return names
}

func openSelect(sockets []*socket.Socket) (finder, error) {
	var ready weir.Set[*socket.Socket]
	want := weir.Set[*socket.Socket]{Read: sockets}
	return finder{
		find:  func() (int, error) { return weir.SelectInto(context.Background(), &ready, want, weir.Forever) },
		close: func() {},
	}, nil
}

func openSelector(sockets []*socket.Socket) (finder, error) {
	s := weir.NewSelector()
	for _, what := range sockets {
		if err := s.Register(what, weir.Readable, nil); err != nil {
			return finder{}, err
		}
	}
	var ready []weir.Event
	return finder{
		find: func() (n int, err error) {
			ready, err = s.Wait(context.Background(), weir.Forever, ready)
			return len(ready), err
		},
		close: func() { s.Close() },
	}, nil
}

func openPoll(sockets []*socket.Socket) (finder, error) {
	var fds []unix.PollFd
	for _, s := range sockets {
		fds = append(fds, unix.PollFd{Fd: int32(s.Fd()), Events: unix.POLLIN})
	}
	return finder{
		find: func() (int, error) {
			return restarted(func() (int, error) { return unix.Poll(fds, -1) })
		},
		close: func() {},
	}, nil
}

func openKernelSelect(sockets []*socket.Socket) (finder, error) {
	var all unix.FdSet
	most := 0
	for _, s := range sockets {
		if s.Fd() >= selectLimit {
			return finder{}, errors.New("a descriptor is too great for select")
		}
		all.Set(s.Fd())
		most = max(most, s.Fd())
	}
	return finder{
		find: func() (int, error) {
			return restarted(func() (int, error) {
				ready := all
				return unix.Select(most+1, &ready, nil, nil, nil)
			})
		},
		close: func() {},
	}, nil
}

func openEpoll(sockets []*socket.Socket) (finder, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return finder{}, err
	}
	for _, s := range sockets {
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, s.Fd(), &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
			return finder{}, err
		}
	}
	events := make([]unix.EpollEvent, 64)
	return finder{
		find: func() (int, error) {
			return restarted(func() (int, error) { return unix.EpollWait(epfd, events, -1) })
		},
		close: func() { unix.Close(epfd) },
	}, nil
}

// restarted makes a call again when a signal has ended it.
func restarted(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}
