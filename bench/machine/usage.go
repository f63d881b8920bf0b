//go:build linux

// Package machine reads what the kernel knows of processes: cores, processor time, memory and
// descriptors.
package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the processor time of a process, user and system, with all its threads, those
// that have ended included. getrusage would tell the same, but to the process itself only, which
// would have to answer in the middle of a measurement. The kernel counts the time of a thread
// when the thread stops running, and at each tick. clock_getcpuclockid(3) explains the number of
// the clock.
func cpuTime(pid int) (time.Duration, error) {
	const schedulerTime = 2 // CPUCLOCK_SCHED in the kernel
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|schedulerTime, &t); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, os.NewSyscallError("clock_gettime", err))
	}
	return time.Duration(t.Nano()), nil
}

// queueTime returns how long the threads of a process were ready to run while others had their
// core. It is 0 on a kernel that does not count that.
func queueTime(pid int) time.Duration {
	var sum time.Duration
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // errs on bad patterns only
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		if fields := strings.Fields(string(text)); len(fields) == 3 {
			ns, _ := strconv.ParseInt(fields[1], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// Usage is what a server and a generator used in a window.
type Usage struct {
	Elapsed   time.Duration // the window's true length
	ServerCPU time.Duration
	LoadCPU   time.Duration
	Queued    time.Duration // time for which the generator was ready to run and others had its core
}

// A Reading is taken at both ends of a window.
type Reading struct {
	At           time.Duration // since the epoch that the caller chose
	server, load time.Duration // processor time
	queued       time.Duration // time for which the generator waited for a processor
}

// Read takes the processor times of a server and of this process, and the time after them.
func Read(server int, epoch time.Time) (r Reading, err error) {
	if r.server, err = cpuTime(server); err != nil {
		return r, err
	}
	if r.load, err = cpuTime(os.Getpid()); err != nil {
		return r, err
	}
	// Only the generator's: a server's threads also wait for each other.
	r.queued = queueTime(os.Getpid())
	r.At = time.Since(epoch)
	return r, nil
}

// Until returns what was used between two readings.
func (r Reading) Until(end Reading) Usage {
	return Usage{
		Elapsed:   end.At - r.At,
		ServerCPU: end.server - r.server,
		LoadCPU:   end.load - r.load,
		Queued:    end.queued - r.queued,
	}
}
