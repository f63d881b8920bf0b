// Package testenv stands for the standard library's package of that name, which
// no other module may import, as far as the tests of net and net/http use it.
package testenv

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-2334f180/weir/internal/race"
)

// Builder is the name of the Go project's machine that runs the tests: none.
func Builder() string { return "" }

// Command is exec.Command, whose process ends with the test.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(t.Context(), name, args...)
}

// Executable is the test's own binary.
func Executable(t testing.TB) string {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// HasExternalNetwork reports true: what the tests of net ask for by it, such as
// wildcard addresses, needs no more than this machine.
func HasExternalNetwork() bool { return true }

// MustHaveExternalNetwork skips a test that needs hosts of the Internet, unless
// WEIR_STDNET_INTERNET is set.
func MustHaveExternalNetwork(t testing.TB) {
	t.Helper()
	if os.Getenv("WEIR_STDNET_INTERNET") == "" {
		t.Skip("skipped: it needs hosts of the Internet; set WEIR_STDNET_INTERNET=1")
	}
}

// MustHaveExec does nothing: Linux has exec.
func MustHaveExec(testing.TB) {}

// SkipFlaky skips a test that the Go project knows to fail at times.
func SkipFlaky(t testing.TB, issue int) {
	t.Helper()
	t.Skipf("skipped: the Go project knows it as unreliable: go.dev/issue/%d", issue)
}

// SkipFlakyNet does nothing: the machines of the Go project need it.
func SkipFlakyNet(testing.TB) {}

// SkipIfOptimizationOff skips a test that counts allocations under the race
// detector, which makes some.
func SkipIfOptimizationOff(t testing.TB) {
	if race.Enabled {
		t.Helper()
		t.Skip("skipped: the race detector allocates")
	}
}

// CPUIsSlow reports whether the processor is one of the slow kinds.
func CPUIsSlow() bool { return strings.HasPrefix(runtime.GOARCH, "mips") }

// SyscallIsNotSupported reports whether an error says that the system refuses a
// system call altogether.
func SyscallIsNotSupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EROFS)
}
