//go:build linux

package sys

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// FirstSimulated is the least number of a simulated descriptor. The real kernel gives no
// such number: /proc/sys/fs/nr_open is at most 2^30 - 64. Each function of this package
// compares its descriptor with it, and passes a simulated one to the Kernel that has made
// it. So a real call pays for one compare.
const FirstSimulated = 1 << 30

// A Kernel makes the system calls on simulated descriptors, such as those of package
// simnet. Its methods are the system calls of these names on non-blocking descriptors,
// except that EpollWait may wait. They keep no memory of the caller. A Kernel is
// concurrency-safe.
type Kernel interface {
	Socket(family, typ, protocol int) (fd int, errno syscall.Errno)
	Close(fd int) syscall.Errno
	Shutdown(fd, how int) syscall.Errno
	Bind(fd int, to *Sockaddr) syscall.Errno
	Listen(fd, backlog int) syscall.Errno
	Accept(fd int, from *Sockaddr) (int, syscall.Errno)
	Connect(fd int, to *Sockaddr) syscall.Errno
	// Name is getsockname(2), or getpeername(2) of the peer.
	Name(fd int, a *Sockaddr, peer bool) syscall.Errno
	// Recv is recvmsg(2) into one buffer. from may be nil. out are the flags of the message.
	Recv(fd int, buf []byte, flags int, from *Sockaddr) (n, out int, errno syscall.Errno)
	// Send is sendto(2). to may be nil.
	Send(fd int, buf []byte, flags int, to *Sockaddr) (int, syscall.Errno)
	Setsockopt(fd, level, option int, value []byte) syscall.Errno
	Getsockopt(fd, level, option int, value []byte) (n int, errno syscall.Errno)
	Ioctl(fd int, request uint) (int, syscall.Errno)
	// Handshakes returns the clients whose handshake with a listener is half done, which
	// the real kernel tells by sock_diag(7).
	Handshakes(fd int) []netip.AddrPort
	// Poll is poll(2) of one descriptor, without the conditions that were not asked for.
	Poll(fd int, events int16) int16

	EpollCreate() (fd int, errno syscall.Errno)
	EpollCtl(epfd, op, fd int, ev *unix.EpollEvent) syscall.Errno
	EpollWait(epfd int, events []unix.EpollEvent, forever bool) (int, syscall.Errno)
	Eventfd() (fd int, errno syscall.Errno)
	Timerfd() (fd int, errno syscall.Errno)
	TimerfdSettime(fd int, left time.Duration) syscall.Errno
	Write(fd int, buf []byte) (int, syscall.Errno)
}

// The bits of a simulated descriptor below FirstSimulated: which Kernel has made it, and
// its number there.
const (
	kernelShift = 20
	mostKernels = 1 << (30 - kernelShift)
)

var kernels [mostKernels]atomic.Pointer[Kernel]

// Attach registers a Kernel. Its descriptors are first, first+1 and so on, up to a
// million.
func Attach(k Kernel) (first int, err error) {
	for i := range kernels {
		if kernels[i].CompareAndSwap(nil, &k) {
			return FirstSimulated | i<<kernelShift, nil
		}
	}
	return 0, errors.New("sys: there are 1,024 simulated kernels already")
}

// Detach forgets the Kernel for which Attach returned first. Its descriptors are EBADF
// from then on.
func Detach(first int) { kernels[(first-FirstSimulated)>>kernelShift].Store(nil) }

// kernelOf returns the Kernel of a simulated descriptor, or nil.
func kernelOf(fd int) Kernel {
	if k := kernels[(fd-FirstSimulated)>>kernelShift&(mostKernels-1)].Load(); k != nil {
		return *k
	}
	return nil
}

// hidden and hiddenAddr return their argument, but the compiler does not see that. Otherwise
// it would move each buffer that is passed to a Kernel to the heap, also those of real calls.
// A Kernel keeps none of them.
func hidden(buf []byte) []byte {
	if len(buf) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(hide(unsafe.Pointer(unsafe.SliceData(buf)))), len(buf))
}

func hiddenAddr(a *Sockaddr) *Sockaddr { return (*Sockaddr)(hide(unsafe.Pointer(a))) }

func hide(p unsafe.Pointer) unsafe.Pointer { return unsafe.Add(nil, uintptr(p)) }

//go:noinline
func simulatedRecv(fd int, buf []byte, flags int, from *Sockaddr) (n, out int, errno syscall.Errno) {
	k := kernelOf(fd)
	if k == nil {
		return 0, 0, unix.EBADF
	}
	n, out, errno = k.Recv(fd, hidden(buf), flags, hiddenAddr(from))
	RaceReceived(buf[:min(n, len(buf))])
	return n, out, errno
}

//go:noinline
func simulatedSend(fd int, buf []byte, flags int, to *Sockaddr) (int, syscall.Errno) {
	k := kernelOf(fd)
	if k == nil {
		return 0, unix.EBADF
	}
	return k.Send(fd, hidden(buf), flags, hiddenAddr(to))
}

//go:noinline
func simulatedAccept(fd int, from *Sockaddr) (int, syscall.Errno) {
	k := kernelOf(fd)
	if k == nil {
		return -1, unix.EBADF
	}
	return k.Accept(fd, hiddenAddr(from))
}

//go:noinline
func simulatedConnect(fd int, to *Sockaddr) syscall.Errno {
	k := kernelOf(fd)
	if k == nil {
		return unix.EBADF
	}
	return k.Connect(fd, hiddenAddr(to))
}

//go:noinline
func simulatedBind(fd int, to *Sockaddr) syscall.Errno {
	k := kernelOf(fd)
	if k == nil {
		return unix.EBADF
	}
	return k.Bind(fd, hiddenAddr(to))
}

//go:noinline
func simulatedName(fd int, a *Sockaddr, peer bool) syscall.Errno {
	k := kernelOf(fd)
	if k == nil {
		return unix.EBADF
	}
	return k.Name(fd, hiddenAddr(a), peer)
}

// simulatedSendIovec is sendmsg(2) of buffers without an address.
//
//go:noinline
func simulatedSendIovec(fd int, iov []unix.Iovec) (int, syscall.Errno) {
	return simulatedSend(fd, joined(iov), 0, nil)
}

// joined returns a copy of the bytes in buffers.
func joined(iov []unix.Iovec) []byte {
	p := []byte{}
	for _, v := range iov {
		p = append(p, unsafe.Slice(v.Base, v.Len)...)
	}
	return p
}

// simulatedMessage is recvmsg(2) or sendmsg(2), as trap says, of a header as package socket
// makes it. Control messages are not simulated: with any, sendmsg is EOPNOTSUPP, and recvmsg
// returns none.
//
//go:noinline
func simulatedMessage(trap uintptr, fd int, hdr *unix.Msghdr, flags int) (int, syscall.Errno) {
	iov := unsafe.Slice(hdr.Iov, hdr.Iovlen)
	if trap == unix.SYS_SENDMSG {
		if hdr.Controllen > 0 {
			return 0, unix.EOPNOTSUPP
		}
		var to *Sockaddr
		if hdr.Name != nil && hdr.Namelen > 0 {
			to = &Sockaddr{Len: hdr.Namelen}
			copy(to.bytes(), unsafe.Slice(hdr.Name, hdr.Namelen))
		}
		return simulatedSend(fd, joined(iov), flags, to)
	}
	size := 0
	for _, v := range iov {
		size += int(v.Len)
	}
	buf, from := make([]byte, size), &Sockaddr{}
	n, out, errno := simulatedRecv(fd, buf, flags, from)
	if errno != 0 {
		return 0, errno
	}
	got := buf[:min(n, size)]
	for _, v := range iov {
		got = got[copy(unsafe.Slice(v.Base, v.Len), got):]
	}
	if hdr.Name != nil {
		hdr.Namelen = min(from.Len, hdr.Namelen)
		copy(unsafe.Slice(hdr.Name, hdr.Namelen), from.bytes())
	}
	hdr.SetControllen(0)
	hdr.Flags = int32(out)
	return n, 0
}

func (a *Sockaddr) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&a.Raw)), unix.SizeofSockaddrAny)
}

// simulatedBatch is recvmmsg(2) or sendmmsg(2).
func simulatedBatch(trap uintptr, fd int, msgs []unix.Mmsghdr, flags int) (int, syscall.Errno) {
	one := uintptr(unix.SYS_SENDMSG)
	if trap == unix.SYS_RECVMMSG {
		one = unix.SYS_RECVMSG
	}
	for i := range msgs {
		n, errno := simulatedMessage(one, fd, &msgs[i].Hdr, flags&^unix.MSG_WAITFORONE)
		if errno != 0 {
			if i > 0 {
				errno = 0
			}
			return i, errno
		}
		msgs[i].Len = uint32(n)
	}
	return len(msgs), 0
}

// simulatedPoll is poll(2) with no timeout of descriptors the first of which is simulated.
func simulatedPoll(fds []unix.PollFd) {
	for i := range fds {
		p := &fds[i]
		p.Revents = unix.POLLNVAL
		if fd := int(p.Fd); fd >= FirstSimulated {
			if k := kernelOf(fd); k != nil {
				p.Revents = k.Poll(fd, p.Events)
			}
		}
	}
}

func simulatedSetsockopt(fd, level, option int, value []byte) syscall.Errno {
	k := kernelOf(fd)
	if k == nil {
		return unix.EBADF
	}
	return k.Setsockopt(fd, level, option, hidden(value))
}

func simulatedGetsockopt(fd, level, option int, value []byte) (int, syscall.Errno) {
	k := kernelOf(fd)
	if k == nil {
		return 0, unix.EBADF
	}
	return k.Getsockopt(fd, level, option, hidden(value))
}

// SetInet stores an IP address, in the form that a socket of the family has, for a Kernel.
func (a *Sockaddr) SetInet(family int, at netip.AddrPort) {
	swapped := at.Port()<<8 | at.Port()>>8
	if family == unix.AF_INET {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&a.Raw)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swapped, Addr: at.Addr().Unmap().As4()}
		a.Len = unix.SizeofSockaddrInet4
		return
	}
	*(*unix.RawSockaddrInet6)(unsafe.Pointer(&a.Raw)) = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swapped, Addr: at.Addr().As16()}
	a.Len = unix.SizeofSockaddrInet6
}

// Inet returns the IP address; an invalid one for another family. An IPv4 address that is
// mapped to IPv6 is unmapped.
func (a *Sockaddr) Inet() netip.AddrPort {
	swapped := func(p uint16) uint16 { return p<<8 | p>>8 }
	switch p := unsafe.Pointer(&a.Raw); a.Raw.Addr.Family {
	case unix.AF_INET:
		raw := (*unix.RawSockaddrInet4)(p)
		return netip.AddrPortFrom(netip.AddrFrom4(raw.Addr), swapped(raw.Port))
	case unix.AF_INET6:
		raw := (*unix.RawSockaddrInet6)(p)
		return netip.AddrPortFrom(netip.AddrFrom16(raw.Addr).Unmap(), swapped(raw.Port))
	}
	return netip.AddrPort{}
}

// Handshakes returns the clients whose handshake with a simulated listener is half done.
func Handshakes(fd int) []netip.AddrPort {
	if k := kernelOf(fd); k != nil {
		return k.Handshakes(fd)
	}
	return nil
}
