//go:build linux

package poller

import (
	"os"
	"syscall"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// blocking sleeps in the kernel, and holds its thread meanwhile.
type blocking struct {
	epfd    int
	spinner *spinner
}

func (b *blocking) wait(events []Event, first bool) (int, error) {
	if first {
		if n, err := b.spinner.spin(b.epfd, events); n != 0 || err != nil {
			return n, err
		}
	}
	// Most waits of a busy loop find events at once. Those need not tell the
	// scheduler that the thread may block.
	if n, err := pollNow(b.epfd, events); n != 0 || err != nil {
		return n, err
	}
	b.spinner.counts.Sleeps++
	for {
		switch n, errno := block(b.epfd, events); errno {
		case 0:
			return n, nil
		case unix.EINTR:
		default:
			return 0, os.NewSyscallError("epoll_wait", errno)
		}
	}
}

func (b *blocking) close() error { return os.NewSyscallError("close", sys.Close(b.epfd)) }

// block is epoll_wait(2) without a timeout.
func block(epfd int, events []Event) (int, syscall.Errno) {
	if epfd >= sys.FirstSimulated {
		return sys.SimulatedEpollWait(epfd, raw(events), true)
	}
	forever := -1
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(forever), 0, 0)
	return int(n), errno
}

// pollNow takes the events that there are, without sleeping. The system call takes
// less than a microsecond and cannot block, so it is made without telling the
// scheduler.
func pollNow(epfd int, events []Event) (int, error) {
	if epfd >= sys.FirstSimulated {
		n, errno := sys.SimulatedEpollWait(epfd, raw(events), false)
		if errno != 0 {
			return 0, os.NewSyscallError("epoll_wait", errno)
		}
		return n, nil
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, os.NewSyscallError("epoll_wait", errno)
		}
	}
}

// raw returns the memory of events in the kernel's form.
func raw(events []Event) []unix.EpollEvent {
	return unsafe.Slice(&events[0].raw, len(events))
}
