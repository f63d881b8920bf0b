//go:build linux

package sys

import "golang.org/x/sys/unix"

// StoppedAtMark reports whether a TCP socket has input behind TCP urgent data that comes
// next. A receive there may have said EAGAIN all the same: at the urgent mark the kernel
// stops for a pending signal, such as those by which Go's scheduler interrupts a thread
// (tcp_recvmsg in net/ipv4/tcp.c). No event tells of that input any more. The signal is
// handled when the system call returns, so another receive takes the input.
func StoppedAtMark(fd int) bool {
	if at, err := unix.IoctlGetInt(fd, unix.SIOCATMARK); err != nil || at == 0 {
		return false
	}
	return Polled(fd, unix.POLLIN) != 0
}
