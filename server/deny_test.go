package server_test

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inChild runs the calling test again in a child process, which may then change
// properties of the whole process. It returns true in the child. In the parent it returns
// false when the child has passed.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv("WEIR_TEST_CHILD") == t.Name() {
		return true
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run="+pattern)
	cmd.Env = append(os.Environ(), "WEIR_TEST_CHILD="+t.Name(), noDelay)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("%s", out)
	}
	require.Contains(t, string(out), "--- PASS")
	return false
}

// deny makes a system call fail with an errno in all threads of the process, until the
// process ends: seccomp(2).
func deny(t *testing.T, call int, errno syscall.Errno) {
	t.Helper()
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(call), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x0005_0000 | uint32(errno)}, // SECCOMP_RET_ERRNO
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff_0000},                 // SECCOMP_RET_ALLOW
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread() // a thread has no_new_privs for itself; the filter is synchronised
	defer runtime.UnlockOSThread()
	require.NoError(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	const setModeFilter, syncThreads = 1, 1
	_, _, failed := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, syncThreads, uintptr(unsafe.Pointer(&prog)))
	if failed != 0 {
		machine.Missing(t, "this machine does not allow seccomp: %v", failed)
	}
}
