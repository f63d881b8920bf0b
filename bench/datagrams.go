package main

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Datagrams are memory for several, to receive and to send with one system call.
type datagrams struct {
	headers []mmsghdr
	names   []unix.RawSockaddrInet4
	parts   []unix.Iovec
	memory  []byte
	each    int // bytes of memory for one
}

// An mmsghdr is the kernel's: see recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	n      uint32
	_      [4]byte
}

// newDatagrams makes room for n of up to size bytes, with the peer's address if named.
func newDatagrams(n, size int, named bool) *datagrams {
	d := &datagrams{
		headers: make([]mmsghdr, n),
		names:   make([]unix.RawSockaddrInet4, n),
		parts:   make([]unix.Iovec, n),
		memory:  make([]byte, n*size),
		each:    size,
	}
	for i := range d.headers {
		h := &d.headers[i].header
		d.parts[i].Base = &d.memory[i*size]
		h.Iov = &d.parts[i]
		h.SetIovlen(1)
		if named {
			h.Name = (*byte)(unsafe.Pointer(&d.names[i]))
			h.Namelen = unix.SizeofSockaddrInet4
		}
	}
	return d
}

// receive takes what is there: recvmmsg(2) on a non-blocking socket.
func (d *datagrams) receive(fd int) (int, unix.Errno) {
	for i := range d.parts {
		d.parts[i].SetLen(d.each)
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&d.headers[0])), uintptr(len(d.headers)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// bytes are those that were received as the ith.
func (d *datagrams) bytes(i int) []byte { return d.memory[i*d.each:][:d.headers[i].n] }

// echo makes the first n received ones to send.
func (d *datagrams) echo(n int) {
	for i := range n {
		d.parts[i].SetLen(int(d.headers[i].n))
	}
}

// put copies p into the ith, to send.
func (d *datagrams) put(i int, p []byte) {
	copy(d.memory[i*d.each:], p)
	d.parts[i].SetLen(len(p))
}

// send sends the first n. A socket that cannot take them all at once is an error: so few
// always fit.
func (d *datagrams) send(fd, n int) unix.Errno {
	for done := 0; done < n; {
		sent, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&d.headers[done])), uintptr(n-done), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return errno
		}
		if errno == 0 {
			done += int(sent)
		}
	}
	return 0
}
