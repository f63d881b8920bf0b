//go:build linux

package wire

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Datagrams is memory for several datagrams that one system call receives or sends.
type Datagrams struct {
	headers []mmsghdr
	names   []unix.RawSockaddrInet4
	parts   []unix.Iovec
	memory  []byte
	each    int // bytes of memory for one
}

// An mmsghdr is the kernel's struct mmsghdr: see recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	n      uint32
	_      [4]byte
}

// NewDatagrams makes room for n datagrams of up to size bytes, and with named also for the
// addresses of the peers.
func NewDatagrams(n, size int, named bool) *Datagrams {
	d := &Datagrams{
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

// Receive takes what is there: recvmmsg(2) on a non-blocking socket. It returns the number of
// datagrams.
func (d *Datagrams) Receive(fd int) (int, unix.Errno) {
	for i := range d.parts {
		d.parts[i].SetLen(d.each)
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&d.headers[0])), uintptr(len(d.headers)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// Bytes returns the ith received datagram.
func (d *Datagrams) Bytes(i int) []byte { return d.memory[i*d.each:][:d.headers[i].n] }

// Echo makes the first n received datagrams the ones to send.
func (d *Datagrams) Echo(n int) {
	for i := range n {
		d.parts[i].SetLen(int(d.headers[i].n))
	}
}

// Put makes a copy of p the ith datagram to send.
func (d *Datagrams) Put(i int, p []byte) {
	copy(d.memory[i*d.each:], p)
	d.parts[i].SetLen(len(p))
}

// Send sends the first n datagrams. A socket that has no room for all of them is an error: there
// is always room for so few.
func (d *Datagrams) Send(fd, n int) unix.Errno {
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
