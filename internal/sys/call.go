//go:build linux

package sys

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The functions in this file are those of x/sys with these names. They serve simulated
// descriptors, too. k, where it is an argument, is the Kernel that makes the descriptor; nil
// is the real one.

// failure returns errno as an error, or nil.
func failure(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// Socket is socket(2).
func Socket(k Kernel, family, typ, protocol int) (int, error) {
	if k == nil {
		return unix.Socket(family, typ, protocol)
	}
	fd, errno := k.Socket(family, typ, protocol)
	return fd, failure(errno)
}

// Socketpair is socketpair(2). It is not simulated: EOPNOTSUPP.
func Socketpair(k Kernel, family, typ, protocol int) ([2]int, error) {
	if k == nil {
		return unix.Socketpair(family, typ, protocol)
	}
	return [2]int{-1, -1}, unix.EOPNOTSUPP
}

// Close is close(2).
func Close(fd int) error {
	if fd >= FirstSimulated {
		if k := kernelOf(fd); k != nil {
			return failure(k.Close(fd))
		}
		return unix.EBADF
	}
	return unix.Close(fd)
}

// Shutdown is shutdown(2).
func Shutdown(fd, how int) error {
	if fd >= FirstSimulated {
		if k := kernelOf(fd); k != nil {
			return failure(k.Shutdown(fd, how))
		}
		return unix.EBADF
	}
	return unix.Shutdown(fd, how)
}

// Listen is listen(2).
func Listen(fd, backlog int) error {
	if fd >= FirstSimulated {
		if k := kernelOf(fd); k != nil {
			return failure(k.Listen(fd, backlog))
		}
		return unix.EBADF
	}
	return unix.Listen(fd, backlog)
}

// SetsockoptInt is setsockopt(2) of an int.
func SetsockoptInt(fd, level, option, value int) error {
	if fd >= FirstSimulated {
		v := int32(value)
		return failure(simulatedSetsockopt(fd, level, option, bytesOf(&v)))
	}
	return unix.SetsockoptInt(fd, level, option, value)
}

// GetsockoptInt is getsockopt(2) of an int.
func GetsockoptInt(fd, level, option int) (int, error) {
	if fd >= FirstSimulated {
		var v int32
		_, errno := simulatedGetsockopt(fd, level, option, bytesOf(&v))
		return int(v), failure(errno)
	}
	return unix.GetsockoptInt(fd, level, option)
}

// GetsockoptTimeval is getsockopt(2) of a struct timeval.
func GetsockoptTimeval(fd, level, option int) (*unix.Timeval, error) {
	if fd >= FirstSimulated {
		v := new(unix.Timeval)
		_, errno := simulatedGetsockopt(fd, level, option, bytesOf(v))
		return v, failure(errno)
	}
	return unix.GetsockoptTimeval(fd, level, option)
}

// GetsockoptLinger is getsockopt(2) of a struct linger.
func GetsockoptLinger(fd, level, option int) (*unix.Linger, error) {
	if fd >= FirstSimulated {
		v := new(unix.Linger)
		_, errno := simulatedGetsockopt(fd, level, option, bytesOf(v))
		return v, failure(errno)
	}
	return unix.GetsockoptLinger(fd, level, option)
}

// GetsockoptTCPInfo is getsockopt(2) of a struct tcp_info.
func GetsockoptTCPInfo(fd, level, option int) (*unix.TCPInfo, error) {
	if fd >= FirstSimulated {
		v := new(unix.TCPInfo)
		_, errno := simulatedGetsockopt(fd, level, option, bytesOf(v))
		return v, failure(errno)
	}
	return unix.GetsockoptTCPInfo(fd, level, option)
}

// SetsockoptSockFprog is setsockopt(2) of a filter. A simulated socket takes any filter on a
// listener for the one that drops the requests of new clients.
func SetsockoptSockFprog(fd, level, option int, fprog *unix.SockFprog) error {
	if fd >= FirstSimulated {
		return failure(simulatedSetsockopt(fd, level, option, bytesOf(fprog)))
	}
	return unix.SetsockoptSockFprog(fd, level, option, fprog)
}

// Setsockopt is setsockopt(2).
func Setsockopt(fd, level, option int, value []byte) syscall.Errno {
	if fd >= FirstSimulated {
		return simulatedSetsockopt(fd, level, option, value)
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(Pointer(value)), uintptr(len(value)), 0)
	return errno
}

// Getsockopt is getsockopt(2). It asks for n bytes (for a filter: n instructions), for which
// buf must have room. It returns how many there are.
func Getsockopt(fd, level, option int, buf []byte, n uint32) (int, syscall.Errno) {
	if fd >= FirstSimulated {
		return simulatedGetsockopt(fd, level, option, buf[:n])
	}
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(Pointer(buf)), uintptr(unsafe.Pointer(&n)), 0)
	return int(n), errno
}

func bytesOf[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// IoctlGetInt is ioctl(2) that returns an int.
func IoctlGetInt(fd int, request uint) (int, error) {
	if fd >= FirstSimulated {
		k := kernelOf(fd)
		if k == nil {
			return 0, unix.EBADF
		}
		n, errno := k.Ioctl(fd, request)
		return n, failure(errno)
	}
	return unix.IoctlGetInt(fd, request)
}

// FcntlInt is fcntl(2). A simulated descriptor has O_NONBLOCK and FD_CLOEXEC, and cannot be
// duplicated: EOPNOTSUPP.
func FcntlInt(fd uintptr, command, argument int) (int, error) {
	if int(fd) >= FirstSimulated {
		switch command {
		case unix.F_GETFL:
			return unix.O_RDWR | unix.O_NONBLOCK, nil
		case unix.F_GETFD:
			return unix.FD_CLOEXEC, nil
		case unix.F_SETFL, unix.F_SETFD:
			return 0, nil
		}
		return -1, unix.EOPNOTSUPP
	}
	return unix.FcntlInt(fd, command, argument)
}

// Polled returns which of the events poll(2) reports now. It does not wait.
func Polled(fd int, events int16) int16 {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	if fd >= FirstSimulated {
		simulatedPoll(fds)
	} else if n, err := unix.Poll(fds, 0); n <= 0 || err != nil {
		return 0
	}
	return fds[0].Revents & events
}

// bigPoll is the number of descriptors above which Poll takes so long that it tells the
// scheduler.
const bigPoll = 64

// Poll is poll(2) that does not wait. The descriptors are either all real or all simulated.
func Poll(fds []unix.PollFd) (errno syscall.Errno) {
	if int(fds[0].Fd) >= FirstSimulated {
		simulatedPoll(fds)
		return 0
	}
	var zero unix.Timespec
	for {
		if len(fds) <= bigPoll {
			_, _, errno = syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
		} else {
			_, _, errno = unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

// Message is recvmsg(2) or sendmsg(2), as trap says. raw says not to tell the scheduler.
func Message(trap uintptr, fd int, hdr *unix.Msghdr, flags int, raw bool) (int, syscall.Errno) {
	if fd >= FirstSimulated {
		return simulatedMessage(trap, fd, hdr, flags)
	}
	var n uintptr
	var errno syscall.Errno
	for {
		if raw {
			n, _, errno = unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(hdr)), uintptr(flags))
		} else {
			n, _, errno = unix.Syscall(trap, uintptr(fd), uintptr(unsafe.Pointer(hdr)), uintptr(flags))
		}
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Messages is recvmmsg(2) or sendmmsg(2), as trap says. It tells the scheduler, because
// many small messages take as long as a big one.
func Messages(trap uintptr, fd int, msgs []unix.Mmsghdr, flags int) (int, syscall.Errno) {
	if fd >= FirstSimulated {
		return simulatedBatch(trap, fd, msgs, flags)
	}
	for {
		n, _, errno := unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(msgs))), uintptr(len(msgs)), uintptr(flags), 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// EpollCreate is epoll_create1(2) with EPOLL_CLOEXEC.
func EpollCreate(k Kernel) (int, error) {
	if k == nil {
		return unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	}
	fd, errno := k.EpollCreate()
	return fd, failure(errno)
}

// EpollCtl is epoll_ctl(2). It takes little of the stack: it is the deepest call of a
// goroutine that waits for the first time, whose stack is to stay as small as it begins.
func EpollCtl(epfd, op, fd int, ev *unix.EpollEvent) error {
	if epfd >= FirstSimulated {
		return simulatedEpollCtl(epfd, op, fd, ev)
	}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(ev)), 0, 0)
	return failure(errno)
}

//go:noinline
func simulatedEpollCtl(epfd, op, fd int, ev *unix.EpollEvent) error {
	k := kernelOf(epfd)
	if k == nil {
		return unix.EBADF
	}
	copied := *ev
	return failure(k.EpollCtl(epfd, op, fd, &copied))
}

// SimulatedEpollWait is epoll_wait(2) on a simulated descriptor, which waits until there are
// events if forever is true, and otherwise does not wait.
func SimulatedEpollWait(epfd int, events []unix.EpollEvent, forever bool) (int, syscall.Errno) {
	k := kernelOf(epfd)
	if k == nil {
		return 0, unix.EBADF
	}
	return k.EpollWait(epfd, events, forever)
}

// Eventfd is eventfd(2), non-blocking and close-on-exec.
func Eventfd(k Kernel) (int, error) {
	if k == nil {
		return unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	}
	fd, errno := k.Eventfd()
	return fd, failure(errno)
}

// TimerfdCreate is timerfd_create(2) of the monotonic clock, non-blocking and close-on-exec.
func TimerfdCreate(k Kernel) (int, error) {
	if k == nil {
		return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	}
	fd, errno := k.Timerfd()
	return fd, failure(errno)
}

// TimerfdSettime has a timerfd expire once, when left has passed.
func TimerfdSettime(fd int, left time.Duration) error {
	if fd >= FirstSimulated {
		k := kernelOf(fd)
		if k == nil {
			return unix.EBADF
		}
		return failure(k.TimerfdSettime(fd, left))
	}
	return unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(left))}, nil)
}

// Write is write(2).
func Write(fd int, buf []byte) (int, error) {
	if fd >= FirstSimulated {
		k := kernelOf(fd)
		if k == nil {
			return 0, unix.EBADF
		}
		n, errno := k.Write(fd, hidden(buf))
		return n, failure(errno)
	}
	return unix.Write(fd, buf)
}
