package poller

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// blocking sleeps in the kernel and holds its thread meanwhile.
type blocking struct {
	epfd int
	// coarse is set where the kernel has no epoll_pwait2 (before 5.11).
	coarse bool
}

func (b *blocking) wait(events []Event, deadline time.Time) (int, error) {
	// Most waits of a busy loop find something; those need not tell the
	// scheduler that the thread is about to block.
	if n, err := pollNow(b.epfd, events); n != 0 || err != nil {
		return n, err
	}
	for {
		left := time.Duration(-1)
		if !deadline.IsZero() {
			if left = time.Until(deadline); left <= 0 {
				return pollNow(b.epfd, events)
			}
		}
		n, errno := b.sleep(events, left)
		switch {
		case errno == unix.ENOSYS && !b.coarse:
			b.coarse = true
		case errno == unix.EINTR:
		case errno != 0:
			return 0, os.NewSyscallError("epoll_wait", errno)
		case n > 0:
			return n, nil
		}
	}
}

// sleep is one system call; a negative left is for ever.
func (b *blocking) sleep(events []Event, left time.Duration) (int, unix.Errno) {
	buf := unsafe.Pointer(&events[0])
	if b.coarse {
		ms := -1
		if left >= 0 {
			ms = int(min((left+time.Millisecond-1)/time.Millisecond, 1<<30)) // never early
		}
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(b.epfd), uintptr(buf), uintptr(len(events)), uintptr(ms), 0, 0)
		return int(n), errno
	}
	var timeout *unix.Timespec
	if left >= 0 {
		ts := unix.NsecToTimespec(int64(left))
		timeout = &ts
	}
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(b.epfd), uintptr(buf), uintptr(len(events)), uintptr(unsafe.Pointer(timeout)), 0, 0)
	return int(n), errno
}

func (b *blocking) close() error { return os.NewSyscallError("close", unix.Close(b.epfd)) }

// pollNow asks the kernel without sleeping. The call takes well under a
// microsecond and cannot block, so it is made raw: the scheduler need not know.
func pollNow(epfd int, events []Event) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, os.NewSyscallError("epoll_wait", errno)
		}
	}
}
