package subjects

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/seed-2334f180/weir/bench/wire"
	"golang.org/x/sys/unix"
)

var rawBatchSubject = Subject{
	Name:     "raw-batch",
	About:    "raw, but with recvmmsg and sendmmsg (udp)",
	ServeUDP: serveUDPRawBatch,
}

// UDPBatch is how many datagrams the subjects with batches take at once.
const UDPBatch = 64

func serveUDPRaw(size int, ready func(addr string) error) error {
	buf := make([]byte, max(size, 2048))
	var from unix.RawSockaddrInet4
	return rawDatagrams(ready, func(fd int) error {
		for {
			n, errno := rawRecvfrom(fd, buf, &from)
			switch errno {
			case 0:
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return nil
			default:
				return os.NewSyscallError("recvfrom", errno)
			}
			if errno := rawSendto(fd, buf[:n], &from); errno != 0 {
				return os.NewSyscallError("sendto", errno)
			}
		}
	})
}

func serveUDPRawBatch(size int, ready func(addr string) error) error {
	batch := wire.NewDatagrams(UDPBatch, max(size, 2048), true)
	return rawDatagrams(ready, func(fd int) error {
		for {
			n, errno := batch.Receive(fd)
			switch errno {
			case 0:
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return nil
			default:
				return os.NewSyscallError("recvmmsg", errno)
			}
			batch.Echo(n)
			if errno := batch.Send(fd, n); errno != 0 {
				return os.NewSyscallError("sendmmsg", errno)
			}
			if n < UDPBatch {
				return nil // the socket is drained
			}
		}
	})
}

// rawDatagrams calls echo whenever its socket has something to receive.
func rawDatagrams(ready func(addr string) error, echo func(fd int) error) error {
	runtime.LockOSThread()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	addr, err := localAddr(fd)
	if err != nil {
		return err
	}
	if err := ready(addr); err != nil {
		return err
	}
	for events := make([]unix.EpollEvent, 1); ; {
		_, errno := wire.EpollWait(epoll, events, -1)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return os.NewSyscallError("epoll_pwait", errno)
		}
		if err := echo(fd); err != nil {
			return err
		}
	}
}

func rawRecvfrom(fd int, p []byte, from *unix.RawSockaddrInet4) (int, unix.Errno) {
	length := uint32(unix.SizeofSockaddrInet4)
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
		0, uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(&length)))
	return int(n), errno
}

// rawSendto sends p, which may be empty if it has a capacity.
func rawSendto(fd int, p []byte, to *unix.RawSockaddrInet4) unix.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		0, uintptr(unsafe.Pointer(to)), unix.SizeofSockaddrInet4)
	return errno
}
