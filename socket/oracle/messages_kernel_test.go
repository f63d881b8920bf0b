package oracle

import (
	"fmt"
	"syscall"
	"unsafe"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// These calls of the kernel's sockets take or return addresses.

func (b *blocking) recvFrom(buf []byte, flags int) (int, string, syscall.Errno) {
	n, from, err := unix.Recvfrom(b.fd(), buf, flags)
	if err != nil {
		return 0, "", err.(syscall.Errno)
	}
	return n, addrOf(from).String(), 0
}

// sendTo uses sendmsg(2), because sendto(2) of package unix does not return the count.
func (b *blocking) sendTo(buf []byte, to target, flags int) (int, syscall.Errno) {
	n, err := unix.SendmsgN(b.fd(), buf, nil, to.sa, flags|unix.MSG_NOSIGNAL)
	if err != nil {
		return 0, err.(syscall.Errno)
	}
	return n, 0
}

func (b *blocking) recvMsg(m *message, flags int) syscall.Errno {
	n, controlLen, got, from, err := unix.RecvmsgBuffers(b.fd(), m.parts, m.control, flags|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return err.(syscall.Errno)
	}
	m.n, m.controlLen, m.flags, m.from = n, controlLen, got&^unix.MSG_CMSG_CLOEXEC, addrOf(from).String()
	return 0
}

func (b *blocking) sendMsg(m *message, flags int) syscall.Errno {
	var to unix.Sockaddr
	if m.to != nil {
		to = m.to.sa
	}
	n, err := unix.SendmsgBuffers(b.fd(), m.parts, m.control, to, flags|unix.MSG_NOSIGNAL)
	if err != nil {
		return err.(syscall.Errno)
	}
	m.n = n
	return 0
}

// recvBatch does not request addresses.
func (b *blocking) recvBatch(ms []message, flags int) (int, syscall.Errno) {
	hdrs := headersOf(ms)
	n, errno := b.batch(unix.SYS_RECVMMSG, hdrs, flags)
	for i := range n {
		ms[i].n, ms[i].flags = int(hdrs[i].Len), int(hdrs[i].Hdr.Flags)
	}
	return n, errno
}

// sendBatch sends to the connected peer.
func (b *blocking) sendBatch(ms []message, flags int) (int, syscall.Errno) {
	hdrs := headersOf(ms)
	n, errno := b.batch(unix.SYS_SENDMMSG, hdrs, flags|unix.MSG_NOSIGNAL)
	for i := range n {
		ms[i].n = int(hdrs[i].Len)
	}
	return n, errno
}

func (b *blocking) batch(trap uintptr, hdrs []unix.Mmsghdr, flags int) (int, syscall.Errno) {
	n, _, errno := unix.Syscall6(trap, uintptr(b.fd()), uintptr(unsafe.Pointer(unsafe.SliceData(hdrs))), uintptr(len(hdrs)), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func headersOf(ms []message) []unix.Mmsghdr {
	hdrs := make([]unix.Mmsghdr, len(ms))
	for i, m := range ms {
		iovs := make([]unix.Iovec, len(m.parts))
		for j, p := range m.parts {
			iovs[j].Base = unsafe.SliceData(p)
			iovs[j].SetLen(len(p))
		}
		hdrs[i].Hdr.Iov = unsafe.SliceData(iovs)
		hdrs[i].Hdr.SetIovlen(len(iovs))
	}
	return hdrs
}

// addrOf returns an address of the kernel in the form whose text the test compares.
func addrOf(sa unix.Sockaddr) socket.Addr {
	switch sa := sa.(type) {
	case nil:
		return socket.Addr{}
	case *unix.SockaddrInet4:
		return socket.AddrFrom(ipPort(sa.Addr[:], sa.Port))
	case *unix.SockaddrInet6:
		return socket.AddrFrom(ipPort(sa.Addr[:], sa.Port))
	case *unix.SockaddrUnix:
		return socket.UnixAddr(sa.Name)
	case *unix.SockaddrNetlink:
		return socket.NetlinkAddr(sa.Pid, sa.Groups)
	case *unix.SockaddrLinklayer:
		return socket.PacketAddr(socket.PacketInfo{
			Protocol: htons(sa.Protocol), Interface: sa.Ifindex, Kind: sa.Pkttype, Hardware: sa.Hatype, Address: sa.Addr[:min(sa.Halen, 8)],
		})
	}
	panic(fmt.Sprintf("an address of type %T", sa))
}
