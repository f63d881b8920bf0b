package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// System calls that Go's scheduler does not learn of. They save its bookkeeping, some tens of
// nanoseconds each, and are right for a thread that has nothing else to run while it waits:
// the load generator and the raw subject. A slice must not be empty.

func rawRead(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

func rawWrite(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

// rawEpollWait waits for the given milliseconds, or for ever if they are negative.
func rawEpollWait(fd int, events []unix.EpollEvent, timeout int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(timeout), 0, 0)
	return int(n), errno
}
