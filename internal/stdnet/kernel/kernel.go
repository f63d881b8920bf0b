//go:build linux

// Package kernel stands for the standard library's internal/syscall/unix, as far
// as the tests of net use it.
package kernel

import "golang.org/x/sys/unix"

// IsNonblock reports whether a descriptor is non-blocking.
func IsNonblock(fd int) (bool, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return flags&unix.O_NONBLOCK != 0, err
}

// Fcntl is fcntl(2).
func Fcntl(fd, cmd, arg int) (int, error) { return unix.FcntlInt(uintptr(fd), cmd, arg) }
