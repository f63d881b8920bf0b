//go:build linux

package machine

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Memory is what Go's runtime has in use, in bytes.
type Memory struct{ Heap, Stacks uint64 }

// Settle returns unused memory to the kernel, and returns what is left in use. Two collections
// also empty each sync.Pool, and shrink stacks.
func Settle() Memory {
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Memory{Heap: m.HeapAlloc, Stacks: m.StackInuse}
}

// ResidentBytes returns how much physical memory a process has. smaps_rollup is exact; statm may
// lack the latest changes, which each processor counts by itself.
func ResidentBytes(pid int) (int64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "Rss:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no line Rss", file.Name())
}
