// Package suites has what bench measures. A Suite answers one question with one or more tables:
// it says which subjects take part, starts their processes, and turns what they measured into
// figures. Run runs suites and writes their tables.
package suites

import (
	"fmt"
	"slices"

	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/report"
)

// A Suite answers one question with one or more tables.
type Suite struct {
	Name  string
	About string // one line, for -h

	Settings          // what the suite goes through unless the user says otherwise
	Brief    Settings // the same for a brief run; what is empty is as in a full one

	least    int // bytes that a message may have
	most     int // 0: MaxSize
	tables   func(env) ([]report.Table, error)
	criteria []report.Criterion // for a summary below the tables; nil: no summary
}

// SizeAllowed tells whether messages of that size make sense to the suite.
func (s Suite) SizeAllowed(size int) error {
	if len(s.Sizes) == 0 {
		return nil
	}
	most := s.most
	if most == 0 {
		most = MaxSize
	}
	if err := Within("size", size, max(s.least, 1), most); err != nil {
		return fmt.Errorf("%w (suite %s)", err, s.Name)
	}
	return nil
}

// An env is what the suites are given: the user's wishes and the machine's cores.
type env struct {
	Options
	Settings // the user's, and where they are empty the suite's
	cores    machine.Cores
	note     func(format string, args ...any) // tells the user what is left out, and why
}

// of fills in what the user left to the suite. It leaves out, and says so, what this machine
// does not allow.
func (e env) of(s Suite) env {
	own := s.Settings
	if e.Brief {
		own = s.Brief.or(s.Settings)
	}
	e.Settings = e.Options.Settings.or(own)
	if len(e.Options.Settings.Conns) > 0 {
		return e // the flag was checked
	}
	e.Conns = slices.DeleteFunc(e.Conns, func(n int) bool {
		err := machine.FilesAllowed(n)
		if err != nil {
			e.note("suite %s: %v: left out", s.Name, err)
		}
		return err != nil
	})
	return e
}

// peers are the subjects that the others are set beside.
var peers = []string{"raw", "net", "gnet"}
