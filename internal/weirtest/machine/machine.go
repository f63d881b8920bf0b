//go:build linux

// Package machine tells tests what the machine has. A test that needs what is
// missing says so and is skipped. The package imports nothing of this module, so
// that the tests of every package can use it.
package machine

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// IPv6 returns why there is no IPv6 here, or nil. The kernel may lack it
// (EAFNOSUPPORT), or the loopback address may be missing (EADDRNOTAVAIL).
var IPv6 = sync.OnceValue(func() error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	return os.NewSyscallError("bind to ::1", unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}))
})

// NeedIPv6 skips the test if there is no IPv6 here.
func NeedIPv6(t testing.TB) {
	t.Helper()
	if err := IPv6(); err != nil {
		t.Skipf("skipped: there is no IPv6: %v", err)
	}
}

// NeedFiles skips the test if the process may not have n descriptors open. It
// raises the limit as far as it may.
func NeedFiles(t testing.TB, n uint64) {
	t.Helper()
	if err := files(n); err != nil {
		t.Skipf("skipped: %v", err)
	}
}

func files(n uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if limit.Cur >= n {
		return nil
	}
	limit.Cur = min(n, limit.Max)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("setrlimit", err)
	}
	if limit.Cur < n {
		return fmt.Errorf("%d descriptors are needed, and the limit is %d", n, limit.Max)
	}
	return nil
}
