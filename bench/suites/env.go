package suites

import "github.com/seed-2334f180/weir/bench/machine"

// An env is what a suite gets: the wishes of the user, and the cores of the machine.
type env struct {
	Options
	Settings // the user's, and where they are empty the suite's
	cores    machine.Cores
	note     func(format string, args ...any) // tells the user what is left out, and why
}

// fitting lists those numbers of sockets that a process may have, and tells the user about the
// others.
func (e env) fitting(suite string, sockets []int) (fitting []int) {
	for _, n := range sockets {
		if err := machine.FilesAllowed(n); err != nil {
			e.note("suite %s: %v: left out", suite, err)
			continue
		}
		fitting = append(fitting, n)
	}
	return fitting
}
