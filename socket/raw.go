package socket

import (
	"runtime"
	"syscall"
	"unsafe"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// What follows is for those who drive a non-blocking descriptor themselves, as
// weir's Server does. It neither waits nor allocates, repeats what a signal has
// interrupted, and tells the race detector what the kernel does with the buffers.
// The Go scheduler is not told, however much is copied: on an event loop that is
// cheaper than to have another thread take over for some tens of microseconds.

// RawRecv is recv(2).
func RawRecv(fd int, buf []byte, flags int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(start(buf)), uintptr(len(buf)), uintptr(flags), 0, 0)
		if errno == 0 {
			raceReceived(buf[:min(int(n), len(buf))])
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// RawSend is send(2), which never raises SIGPIPE.
func RawSend(fd int, buf []byte, flags int) (int, syscall.Errno) {
	raceSending()
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(start(buf)), uintptr(len(buf)), uintptr(flags|unix.MSG_NOSIGNAL), 0, 0)
		if errno == 0 {
			raceSent(buf[:n])
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// RawWritev is sendmsg(2) of a stream's next bytes, which lie in several
// buffers. It sends the first 64 at most.
func RawWritev(fd int, bufs [][]byte) (int, syscall.Errno) {
	var iov [64]unix.Iovec
	n := 0
	for _, b := range bufs[:min(len(bufs), len(iov))] {
		if len(b) > 0 {
			iov[n].Base = unsafe.SliceData(b)
			iov[n].SetLen(len(b))
			n++
		}
	}
	return sendIovec(fd, bufs, iov[:n])
}

// sendIovec is sendmsg(2) of iov, which describes the beginning of bufs.
func sendIovec(fd int, bufs [][]byte, iov []unix.Iovec) (int, syscall.Errno) {
	hdr := unix.Msghdr{Iov: unsafe.SliceData(iov)}
	hdr.SetIovlen(len(iov))
	raceSending()
	for {
		sent, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&hdr)), unix.MSG_NOSIGNAL)
		runtime.KeepAlive(bufs)
		if errno == 0 {
			left := int(sent)
			for _, b := range bufs {
				k := min(left, len(b))
				raceSent(b[:k])
				left -= k
			}
			return int(sent), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// MaxIovec is how many buffers one writev(2) sends at most: IOV_MAX.
const MaxIovec = 1024

// RawWritevMany is RawWritev that sends the first MaxIovec buffers, by means of iov.
func RawWritevMany(fd int, bufs [][]byte, iov *[MaxIovec]unix.Iovec) (int, syscall.Errno) {
	n := 0
	for _, b := range bufs[:min(len(bufs), len(iov))] {
		if len(b) > 0 {
			iov[n].Base = unsafe.SliceData(b)
			iov[n].SetLen(len(b))
			n++
		}
	}
	defer clear(iov[:n]) // it may be pooled, and must not keep the buffers alive
	return sendIovec(fd, bufs, iov[:n])
}

// RawAccept is accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC.
func RawAccept(fd int) (conn int, from Addr, errno syscall.Errno) {
	var sa sockaddr
	if conn, errno = accept(fd, &sa); errno != 0 {
		return -1, Addr{}, errno
	}
	return conn, sa.decode(), 0
}

// RawLocalAddr is getsockname(2), or the zero Addr when that fails.
func RawLocalAddr(fd int) Addr {
	a, _ := sockname(unix.SYS_GETSOCKNAME, fd)
	return a
}

// Accepted makes a Socket of a stream that RawAccept has given, on a loop of the
// group. The Socket owns the descriptor from then on; on an error it is still the
// caller's. It takes as little memory as can be: it is a value, for the caller to
// embed, it is not closed when it is forgotten, and its remote address is not
// known any more when it is closed.
func Accepted(fd int, family Family, group *loop.Group, on *loop.Loop) (Socket, error) {
	c := &core{group: group, family: family, typ: Stream}
	if err := c.register(on, fd); err != nil {
		return Socket{}, fail("accept", "", err)
	}
	return Socket{core: c}, nil
}

// Resume is Adopt of a descriptor that nobody else has, such as Release gives,
// together with the input that was read ahead.
func Resume(fd int, input []byte, opts ...Option) (*Socket, error) {
	const op = "resume"
	c, o, err := examine(op, fd, opts)
	if err != nil {
		return nil, err
	}
	if err := o.prepare(fd, c.family); err != nil {
		return nil, err
	}
	if len(input) > 0 {
		c.needInput().put(input)
	}
	s, err := attach(fd, c)
	if err != nil {
		return nil, fail(op, "", err)
	}
	return s, nil
}

// put has the input begin with some bytes, before anybody reads.
func (in *input) put(p []byte) {
	in.reserve(len(p))
	in.w += int32(copy(in.memory()[in.w:], p))
	in.settle()
}

// Release closes the Socket, but gives its descriptor to the caller, open and
// non-blocking, with the input that was read ahead and not used. While a call is in
// progress it is EBUSY, and of a closed socket EBADF; nothing changes then.
func (s *Socket) Release() (fd int, input []byte, err error) {
	defer runtime.KeepAlive(s)
	fd, err = s.core.reg.Release()
	if err != nil {
		return -1, nil, fail("release", "", err)
	}
	input = make([]byte, s.core.buffered())
	input = input[:s.core.copyInput(input)]
	s.core.dropInput(0)
	return fd, input, nil
}
