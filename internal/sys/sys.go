//go:build linux

// Package sys makes system calls on non-blocking sockets, for the packages of
// this module that must not pay for more.
//
// A call returns within microseconds, so it is a raw system call, of which the Go
// scheduler does not know, unless the function's comment says otherwise. A function
// repeats a call that a signal has interrupted. In builds for the race detector, the
// functions tell the detector what the kernel reads and writes. None allocates. They use
// package syscall, because the functions of x/sys are two calls deeper, which costs an
// echo server measurable time.
package sys

import (
	"math"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Sockaddr is an address in the kernel's form. It has room for every family.
type Sockaddr struct {
	Raw unix.RawSockaddrAny // the address
	Len uint32              // how many bytes of Raw it has
}

// BigCopy is the size from which Recvfrom and Sendto tell the scheduler, because
// the copy takes long enough for another goroutine to use the processor.
const BigCopy = 256 << 10

// nowhere is the address that the kernel gets for an empty buffer.
var nowhere byte

// Pointer returns where a buffer is in memory. It is not nil for an empty one,
// because the kernel refuses nil even for no bytes.
func Pointer(buf []byte) unsafe.Pointer {
	if len(buf) == 0 {
		return unsafe.Pointer(&nowhere)
	}
	return unsafe.Pointer(unsafe.SliceData(buf))
}

// Recvfrom is recvfrom(2), or recv(2) if from is nil.
func Recvfrom(fd int, buf []byte, flags int, from *Sockaddr) (int, syscall.Errno) {
	if fd >= FirstSimulated {
		n, _, errno := simulatedRecv(fd, buf, flags, from)
		return n, errno
	}
	var name, size unsafe.Pointer
	var n uintptr
	var errno syscall.Errno
	for {
		if from != nil {
			from.Len = unix.SizeofSockaddrAny
			name, size = unsafe.Pointer(&from.Raw), unsafe.Pointer(&from.Len)
		}
		if len(buf) < BigCopy {
			n, _, errno = syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(Pointer(buf)), uintptr(len(buf)), uintptr(flags), uintptr(name), uintptr(size))
		} else {
			n, _, errno = unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(Pointer(buf)), uintptr(len(buf)), uintptr(flags), uintptr(name), uintptr(size))
		}
		if errno == 0 {
			RaceReceived(buf[:min(int(n), len(buf))]) // MSG_TRUNC counts beyond the buffer
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Sendto is sendto(2), or send(2) if to is nil. It never raises SIGPIPE.
func Sendto(fd int, buf []byte, flags int, to *Sockaddr) (int, syscall.Errno) {
	if fd >= FirstSimulated {
		return simulatedSend(fd, buf, flags, to)
	}
	flags |= unix.MSG_NOSIGNAL
	RaceSending()
	var name unsafe.Pointer
	var size uint32
	if to != nil {
		name, size = unsafe.Pointer(&to.Raw), to.Len
	}
	var n uintptr
	var errno syscall.Errno
	for {
		if len(buf) < BigCopy {
			n, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(Pointer(buf)), uintptr(len(buf)), uintptr(flags), uintptr(name), uintptr(size))
		} else {
			n, _, errno = unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(Pointer(buf)), uintptr(len(buf)), uintptr(flags), uintptr(name), uintptr(size))
		}
		if errno == 0 {
			RaceSent(buf[:n])
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Accept is accept4(2): the new descriptor is non-blocking and close-on-exec.
func Accept(fd int, from *Sockaddr) (int, syscall.Errno) {
	if fd >= FirstSimulated {
		return simulatedAccept(fd, from)
	}
	for {
		from.Len = unix.SizeofSockaddrAny
		n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&from.Raw)), uintptr(unsafe.Pointer(&from.Len)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

// Connect is connect(2). Over loopback it does the peer's work too, and so takes
// long enough to tell the scheduler.
func Connect(fd int, to *Sockaddr) syscall.Errno {
	if fd >= FirstSimulated {
		return simulatedConnect(fd, to)
	}
	for {
		_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to.Raw)), uintptr(to.Len))
		if errno != unix.EINTR {
			return errno
		}
	}
}

// Bind is bind(2). It tells the scheduler.
func Bind(fd int, to *Sockaddr) syscall.Errno {
	if fd >= FirstSimulated {
		return simulatedBind(fd, to)
	}
	_, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&to.Raw)), uintptr(to.Len))
	return errno
}

// Getsockname is getsockname(2).
func Getsockname(fd int, a *Sockaddr) syscall.Errno { return name(unix.SYS_GETSOCKNAME, fd, a) }

// Getpeername is getpeername(2).
func Getpeername(fd int, a *Sockaddr) syscall.Errno { return name(unix.SYS_GETPEERNAME, fd, a) }

func name(trap uintptr, fd int, a *Sockaddr) syscall.Errno {
	if fd >= FirstSimulated {
		return simulatedName(fd, a, trap == unix.SYS_GETPEERNAME)
	}
	a.Len = unix.SizeofSockaddrAny
	_, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&a.Raw)), uintptr(unsafe.Pointer(&a.Len)))
	return errno
}

// SetLinger sets SO_LINGER: with seconds > 0, close(2) waits that long for what
// is not sent yet; with 0 it drops that and resets the connection; with less it
// sends in the background, as by default.
func SetLinger(fd, seconds int) error {
	l := unix.Linger{Onoff: 1, Linger: int32(min(seconds, math.MaxInt32))}
	if seconds < 0 {
		l = unix.Linger{}
	}
	if fd >= FirstSimulated {
		return failure(simulatedSetsockopt(fd, unix.SOL_SOCKET, unix.SO_LINGER, bytesOf(&l)))
	}
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l)
}
