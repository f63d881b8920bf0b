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

// Memory is what a Go program says about itself.
type Memory struct{ Heap, Stacks uint64 } // bytes in use

// Settle makes this process give back to the kernel what it does not use. Two collections
// empty its pools, too, and stacks shrink.
func Settle() Memory {
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Memory{Heap: m.HeapAlloc, Stacks: m.StackInuse}
}

// ResidentBytes is how much memory of the machine a process takes: exactly, where statm has
// counts of each processor that may not be summed up yet.
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
