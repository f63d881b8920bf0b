//go:build linux

package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// SpareFiles is the number of descriptors that a process needs beside its connections.
const SpareFiles = 64

// HardFileLimit returns how many descriptors this process may have at most.
func HardFileLimit() (uint64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Max, os.NewSyscallError("getrlimit", err)
}

// RaiseFileLimit lets this process have as many descriptors as the hard limit allows.
func RaiseFileLimit() error {
	hard, err := HardFileLimit()
	if err != nil {
		return err
	}
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: hard, Max: hard}))
}

// OpenFiles returns how many descriptors a process has open.
func OpenFiles(pid int) (int, error) {
	dir, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return len(names), err
}

// FilesAllowed returns an error if this process may not have so many connections.
func FilesAllowed(conns int) error {
	if limit, err := HardFileLimit(); err == nil && limit < uint64(conns+SpareFiles) {
		return fmt.Errorf("%d connections need %d descriptors, and the hard limit (ulimit -Hn) is %d",
			conns, conns+SpareFiles, limit)
	}
	return nil
}
