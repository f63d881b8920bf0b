//go:build linux

// Package machine tells tests what the machine has. A test that needs what is
// missing says so and is skipped; with CI=true in the environment, where nothing
// may be missing, it fails. The package imports nothing of this module, so that
// the tests of every package can use it.
package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Missing ends a test that needs what the machine does not have. The arguments
// are as of fmt.Sprintf, and say what is missing.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	what := fmt.Sprintf(format, args...)
	if os.Getenv("CI") == "true" {
		t.Fatalf("with CI=true no test is skipped: %s", what)
	}
	t.Skipf("skipped: %s", what)
}

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

// Poll is poll(2), again and again until no signal interrupts it.
func Poll(fds []unix.PollFd, timeout int) (n int, err error) {
	for {
		if n, err = unix.Poll(fds, timeout); err != unix.EINTR {
			return n, err
		}
	}
}

// NeedIPv6 skips the test if there is no IPv6 here.
func NeedIPv6(t testing.TB) {
	t.Helper()
	if err := IPv6(); err != nil {
		Missing(t, "there is no IPv6: %v", err)
	}
}

// NeedFiles skips the test if the process may not have n descriptors open. It
// raises the limit as far as it may.
func NeedFiles(t testing.TB, n uint64) {
	t.Helper()
	if err := files(n); err != nil {
		Missing(t, "%v", err)
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

// NeedPermission skips the test if err says that the process may not do what.
func NeedPermission(t testing.TB, what string, err error) {
	t.Helper()
	if errors.Is(err, os.ErrPermission) { // EPERM, EACCES
		Missing(t, "no permission for %s: %v", what, err)
	}
}

// NeedFilters skips the test if the process may not attach a filter to a TCP socket.
// Some machines refuse that to ordinary users.
func NeedFilters(t testing.TB) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	all := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1}}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &all[0]})
	NeedPermission(t, "SO_ATTACH_FILTER", err)
}

// EndWithTest makes the kernel kill the command when the process of the test dies, by a
// timeout of go test for example. The caller starts the command afterwards.
func EndWithTest(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// WithTime calls try with a length of timeouts until it returns true. It returns false if the
// machine was so busy that a timeout ended before the test reached its check. The next
// attempt has twice the time. The attempts end when the length is over 10 seconds.
func WithTime(t testing.TB, length time.Duration, try func(length time.Duration) bool) {
	t.Helper()
	for ; length <= 10*time.Second; length *= 2 {
		if try(length) {
			return
		}
	}
	t.Fatalf("the test fails even with timeouts of %v", length/2)
}

// Stalls starts to measure how late a goroutine runs after a sleep. longest ends the
// measurement and returns the longest delay. The end of the test ends the measurement, too.
func Stalls(t testing.TB) (longest func() time.Duration) {
	stop, result := make(chan struct{}), make(chan time.Duration)
	go func() {
		const tick = 2 * time.Millisecond
		most, last := time.Duration(0), time.Now()
		for {
			select {
			case <-stop:
				result <- max(most, time.Since(last)-tick)
				return
			case <-time.After(tick):
				most, last = max(most, time.Since(last)-tick), time.Now()
			}
		}
	}()
	longest = sync.OnceValue(func() time.Duration { close(stop); return <-result })
	t.Cleanup(func() { longest() })
	return longest
}

// The Debian packages of the programs that have another name.
var packages = map[string]string{
	"nc.openbsd":      "netcat-openbsd",
	"redis-benchmark": "redis-tools",
	"redis-cli":       "redis-tools",
}

// NeedTool returns the path of a program, and skips the test if there is none.
func NeedTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		pkg := packages[name]
		if pkg == "" {
			pkg = name
		}
		Missing(t, "%s is not installed: apt-get install %s", name, pkg)
	}
	return path
}
