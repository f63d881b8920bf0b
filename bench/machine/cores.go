//go:build linux

package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Cores says which cores a server and its load generator may use. Nil is any core.
type Cores struct{ Server, Load []int }

// ChooseCores gives the server one core and the load generator another. It takes the first core
// that this process may use, and the next that does not share the first one's execution units.
// The notices say where the machine does not allow that.
func ChooseCores() (Cores, []string) {
	list, err := allowedCores()
	if err != nil {
		return Cores{}, []string{fmt.Sprintf("processes cannot be pinned to cores (%v): expect more noise", err)}
	}
	if len(list) < 2 {
		return Cores{}, []string{"there is one core only: server and load generator share it, " +
			"so req/s includes the generator's work; CPU per request does not"}
	}
	for _, cpu := range list[1:] {
		if !siblings(list[0], cpu) {
			return Cores{list[:1], []int{cpu}}, nil
		}
	}
	return Cores{list[:1], list[1:2]}, []string{fmt.Sprintf(
		"cores %d and %d are threads of one physical core: each slows the other", list[0], list[1])}
}

// Apart gives the server up to n cores, and the load generator a core that the server does not
// use. Where that is impossible, both may use any core.
func Apart(n int) Cores {
	list, err := allowedCores()
	if err != nil || len(list) < 2 {
		return Cores{}
	}
	last := len(list) - 1
	return Cores{list[:min(n, last)], list[last:]}
}

// allowedCores lists the cores that this process may use. The error says why this process may
// not choose among them.
func allowedCores() ([]int, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, err
	}
	if err := unix.SchedSetaffinity(0, &allowed); err != nil { // this changes nothing; its error says whether a change is allowed
		return nil, err
	}
	var list []int
	for cpu := range len(allowed) * 64 {
		if allowed.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	return list, nil
}

// siblings reports whether two processors are threads of one physical core.
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
