package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is one line about what the figures were taken on.
func machine() string {
	return fmt.Sprintf("Machine: %s, %s, Linux %s, %s.", cpuModel(), counted(runtime.NumCPU(), "core"), kernelRelease(), runtime.Version())
}

func cpuModel() string {
	file, err := os.Open("/proc/cpuinfo")
	if err == nil {
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH // arm64 kernels do not tell the model
}

func kernelRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "of unknown release"
	}
	return unix.ByteSliceToString(name.Release[:])
}

// anywhere is the core of a process that is not pinned.
const anywhere = -1

// cores are the two that the measured process and its load generator have to themselves.
type cores struct{ server, load int }

// chooseCores takes the first core that this process may use and the next that does not share
// its execution units. The notices say where the machine does not allow that.
func chooseCores() (cores, []string) {
	refused := cores{anywhere, anywhere}
	var allowed unix.CPUSet
	err := unix.SchedGetaffinity(0, &allowed)
	if err == nil {
		err = unix.SchedSetaffinity(0, &allowed) // changes nothing, but tells if it may
	}
	if err != nil {
		return refused, []string{fmt.Sprintf("processes cannot be pinned to cores (%v): expect more noise", err)}
	}
	var list []int
	for cpu := range len(allowed) * 64 {
		if allowed.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	if len(list) < 2 {
		return refused, []string{"there is one core only: server and load generator share it, " +
			"so req/s includes the generator's work; CPU per request does not"}
	}
	for _, cpu := range list[1:] {
		if !siblings(list[0], cpu) {
			return cores{list[0], cpu}, nil
		}
	}
	return cores{list[0], list[1]}, []string{fmt.Sprintf(
		"cores %d and %d are threads of one physical core: each slows the other", list[0], list[1])}
}

// siblings tells whether two processors are threads of the same physical core.
func siblings(a, b int) bool {
	of := func(cpu int) string {
		text, err := os.ReadFile(filepath.Join("/sys/devices/system/cpu", "cpu"+strconv.Itoa(cpu), "topology/thread_siblings_list"))
		if err != nil {
			return strconv.Itoa(cpu)
		}
		return string(text)
	}
	return of(a) == of(b)
}

// cpuTime is the processor time of a process and all its threads, those that have ended
// included, user and system. It is what getrusage tells the process itself,
// but without disturbing it: the server need not answer a question at the very moment that is
// measured. What a thread uses counts when it stops running, and with each tick of the kernel.
// The clock's number is made as in clock_getcpuclockid(3).
func cpuTime(pid int) (time.Duration, error) {
	const schedulerTime = 2 // CPUCLOCK_SCHED in the kernel
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|schedulerTime, &t); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, os.NewSyscallError("clock_gettime", err))
	}
	return time.Duration(t.Nano()), nil
}

// queueTime is how long the threads of a process were ready to run while somebody else had
// their core. It is 0 on a kernel that does not account it.
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

// hardFileLimit is the number of descriptors that a process may have at most.
func hardFileLimit() (uint64, error) {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return limit.Max, os.NewSyscallError("getrlimit", err)
}

// raiseFileLimit lets this process have as many descriptors as the hard limit allows.
func raiseFileLimit() error {
	hard, err := hardFileLimit()
	if err != nil {
		return err
	}
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: hard, Max: hard}))
}
