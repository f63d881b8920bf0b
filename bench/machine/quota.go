//go:build linux

package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Quota is a control group whose processes together get a share of the processor time, as a
// container with a limit does. See cgroups(7).
type Quota struct {
	dir string
}

// quotaPeriod is the kernel's usual period: within it, the group gets its share and then waits.
const quotaPeriod = 100 * time.Millisecond

// NewQuota makes a control group that may use this many cores: 0.5 is half the time of one. It
// fails where this process may not write to the control groups. The caller must call Close.
func NewQuota(cores float64) (*Quota, error) {
	parent, second, err := cpuGroup()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "weir-bench-")
	if err != nil {
		return nil, err
	}
	q := &Quota{dir}
	period := quotaPeriod.Microseconds()
	quota := strconv.FormatInt(int64(cores*float64(period)), 10)
	if second {
		err = q.write("cpu.max", quota+" "+strconv.FormatInt(period, 10))
	} else {
		err = errors.Join(
			q.write("cpu.cfs_period_us", strconv.FormatInt(period, 10)),
			q.write("cpu.cfs_quota_us", quota))
	}
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

// Add moves a process into the group, with all its threads.
func (q *Quota) Add(pid int) error { return q.write("cgroup.procs", strconv.Itoa(pid)) }

// Close removes the group. Its processes must have ended.
func (q *Quota) Close() error {
	var err error
	for range 100 { // an ended process leaves the group a moment after its parent has waited for it
		if err = os.Remove(q.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return err
}

func (q *Quota) write(file, value string) error {
	return os.WriteFile(filepath.Join(q.dir, file), []byte(value), 0)
}

// cpuGroup returns the directory of this process's control group for processor time, and
// whether that is of version 2.
func cpuGroup() (dir string, second bool, err error) {
	const root = "/sys/fs/cgroup"
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", false, err
	}
	for line := range strings.Lines(string(text)) { // "4:cpu,cpuacct:/path", or "0::/path"
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if fields[1] == "" {
			dir := filepath.Join(root, fields[2])
			if controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers")); err == nil &&
				strings.Contains(" "+strings.TrimSpace(string(controllers))+" ", " cpu ") {
				// The group's children have the controller only when the group says so.
				if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+cpu"), 0); err != nil {
					return "", true, err
				}
				return dir, true, nil
			}
			continue
		}
		for _, controller := range strings.Split(fields[1], ",") {
			if controller == "cpu" {
				return filepath.Join(root, fields[1], fields[2]), false, nil
			}
		}
	}
	return "", false, fmt.Errorf("%s has no group for processor time", root)
}
