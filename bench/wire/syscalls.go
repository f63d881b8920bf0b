//go:build linux

package wire

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These system calls bypass Go's scheduler. That saves some tens of nanoseconds for each, and is
// right for a thread that has nothing else to run while it waits: that of the load generator and
// of the raw subject. A slice must not be empty.

// Recv and Send are recv(2) and send(2). They cost less than read(2) and write(2), which look at
// the position of the file first.

func Recv(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
	return int(n), errno
}

func Send(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// EpollWaitExact waits for at most the given time, which is exact to the timer slack of the
// thread. A kernel before 5.11 rounds it down to milliseconds.
func EpollWaitExact(fd int, events []unix.EpollEvent, timeout time.Duration) (int, unix.Errno) {
	limit := unix.NsecToTimespec(int64(timeout))
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(fd),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&limit)), 0, 0)
	if errno == unix.ENOSYS {
		return EpollWait(fd, events, int(timeout/time.Millisecond))
	}
	return int(n), errno
}

// EpollWait waits for the given milliseconds, or for ever if they are negative.
func EpollWait(fd int, events []unix.EpollEvent, timeout int) (int, unix.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(timeout), 0, 0)
	return int(n), errno
}
