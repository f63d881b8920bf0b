//go:build linux

package sys

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls here are for event loops. They are raw for any number of bytes: on a loop,
// that is cheaper than to let another thread take over the P for some tens of
// microseconds.

// Recv is recv(2).
func Recv(fd int, buf []byte, flags int) (int, syscall.Errno) {
	if fd >= FirstSimulated {
		n, _, errno := simulatedRecv(fd, buf, flags, nil)
		return n, errno
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(Pointer(buf)), uintptr(len(buf)), uintptr(flags), 0, 0)
		if errno == 0 {
			RaceReceived(buf[:min(int(n), len(buf))])
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Send is send(2). It never raises SIGPIPE.
func Send(fd int, buf []byte, flags int) (int, syscall.Errno) {
	if fd >= FirstSimulated {
		return simulatedSend(fd, buf, flags, nil)
	}
	RaceSending()
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(Pointer(buf)), uintptr(len(buf)), uintptr(flags|unix.MSG_NOSIGNAL), 0, 0)
		if errno == 0 {
			RaceSent(buf[:n])
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// MaxWritev is how many buffers one Writev sends at most.
const MaxWritev = 64

// Writev is sendmsg(2) of a stream's next bytes, which are in several buffers. It
// sends the first MaxWritev buffers at most, and never raises SIGPIPE.
func Writev(fd int, bufs [][]byte) (int, syscall.Errno) {
	var iov [MaxWritev]unix.Iovec
	bufs = bufs[:min(len(bufs), len(iov))]
	n := 0
	for _, b := range bufs {
		if len(b) > 0 {
			iov[n].Base = unsafe.SliceData(b)
			iov[n].SetLen(len(b))
			n++
		}
	}
	return sendIovec(fd, bufs, iov[:n])
}

// MaxIovec is how many buffers one writev(2) sends at most: IOV_MAX.
const MaxIovec = 1024

// WritevMany is Writev of up to MaxIovec buffers. iov is memory for it to use.
func WritevMany(fd int, bufs [][]byte, iov *[MaxIovec]unix.Iovec) (int, syscall.Errno) {
	n := 0
	for _, b := range bufs[:min(len(bufs), len(iov))] {
		if len(b) > 0 {
			iov[n].Base = unsafe.SliceData(b)
			iov[n].SetLen(len(b))
			n++
		}
	}
	defer clear(iov[:n]) // iov may be pooled, and must not keep the buffers alive
	return sendIovec(fd, bufs, iov[:n])
}

// sendIovec is sendmsg(2) of iov, which describes the beginning of bufs.
func sendIovec(fd int, bufs [][]byte, iov []unix.Iovec) (int, syscall.Errno) {
	if fd >= FirstSimulated {
		return simulatedSendIovec(fd, iov)
	}
	hdr := unix.Msghdr{Iov: unsafe.SliceData(iov)}
	hdr.SetIovlen(len(iov))
	RaceSending()
	for {
		sent, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&hdr)), unix.MSG_NOSIGNAL)
		runtime.KeepAlive(bufs)
		if errno == 0 {
			left := int(sent)
			for _, b := range bufs {
				k := min(left, len(b))
				RaceSent(b[:k])
				left -= k
			}
			return int(sent), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
