package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Anywhere is the core of a process that is not pinned.
const Anywhere = -1

// Cores are the two that the measured process and its load generator have to themselves.
type Cores struct{ Server, Load int }

// ChooseCores takes the first core that this process may use and the next that does not share
// its execution units. The notices say where the machine does not allow that.
func ChooseCores() (Cores, []string) {
	refused := Cores{Anywhere, Anywhere}
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
			return Cores{list[0], cpu}, nil
		}
	}
	return Cores{list[0], list[1]}, []string{fmt.Sprintf(
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
