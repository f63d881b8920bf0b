package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the hot path. The descriptors are non-blocking, so these
// return within microseconds and are made raw, without telling the Go
// scheduler; copying a big buffer takes longer, and does tell it. They are package
// syscall's: those of x/sys are two more calls deep, which an echo server feels.

// bigCopy is where a copy takes long enough to let the scheduler know.
const bigCopy = 256 << 10

// nowhere is what the kernel is pointed at when a buffer is empty.
var nowhere byte

// start is where a buffer is in memory, as the kernel wants it.
func start(buf []byte) unsafe.Pointer {
	if len(buf) == 0 {
		return unsafe.Pointer(&nowhere)
	}
	return unsafe.Pointer(unsafe.SliceData(buf))
}

// recvfrom is recvfrom(2), or recv(2) if from is nil.
func recvfrom(fd int, buf []byte, flags int, from *sockaddr) (int, syscall.Errno) {
	var name, size unsafe.Pointer
	var n uintptr
	var errno syscall.Errno
	for {
		if from != nil {
			from.len = unix.SizeofSockaddrAny
			name, size = unsafe.Pointer(&from.raw), unsafe.Pointer(&from.len)
		}
		if len(buf) < bigCopy {
			n, _, errno = syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(start(buf)), uintptr(len(buf)), uintptr(flags), uintptr(name), uintptr(size))
		} else {
			n, _, errno = unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(start(buf)), uintptr(len(buf)), uintptr(flags), uintptr(name), uintptr(size))
		}
		if errno == 0 {
			raceReceived(buf[:min(int(n), len(buf))]) // MSG_TRUNC tells the length beyond the buffer
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// sendto is sendto(2), or send(2) if to is nil. A broken connection is an error
// and never a signal.
func sendto(fd int, buf []byte, flags int, to *sockaddr) (int, syscall.Errno) {
	flags |= unix.MSG_NOSIGNAL
	raceSending()
	var name unsafe.Pointer
	var size uint32
	if to != nil {
		name, size = unsafe.Pointer(&to.raw), to.len
	}
	var n uintptr
	var errno syscall.Errno
	for {
		if len(buf) < bigCopy {
			n, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(start(buf)), uintptr(len(buf)), uintptr(flags), uintptr(name), uintptr(size))
		} else {
			n, _, errno = unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(start(buf)), uintptr(len(buf)), uintptr(flags), uintptr(name), uintptr(size))
		}
		if errno == 0 {
			raceSent(buf[:n])
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// accept is accept4(2): the new descriptor is non-blocking and close-on-exec.
func accept(fd int, from *sockaddr) (int, syscall.Errno) {
	for {
		from.len = unix.SizeofSockaddrAny
		n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&from.raw)), uintptr(unsafe.Pointer(&from.len)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

// connect is connect(2). Over loopback it does the peer's work too, and so
// takes long enough to let the scheduler know.
func connect(fd int, to *sockaddr) syscall.Errno {
	for {
		_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to.raw)), uintptr(to.len))
		if errno != unix.EINTR {
			return errno
		}
	}
}

func bind(fd int, to *sockaddr) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&to.raw)), uintptr(to.len))
	return errno
}

// name is getsockname(2) or getpeername(2).
func sockname(trap uintptr, fd int) (Addr, syscall.Errno) {
	sa := sockaddr{len: unix.SizeofSockaddrAny}
	if _, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)), uintptr(unsafe.Pointer(&sa.len))); errno != 0 {
		return Addr{}, errno
	}
	return sa.decode(), 0
}
