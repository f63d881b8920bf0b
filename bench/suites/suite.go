// Package suites has what bench measures. A Suite answers one question with one or more tables:
// it says which subjects take part, starts their processes, and turns what they measured into
// figures. Run runs suites and writes their tables.
package suites

import (
	"fmt"

	"github.com/seed-2334f180/weir/bench/report"
)

// A Suite answers one question with one or more tables.
type Suite struct {
	Name  string
	About string // one line, for -h

	Settings          // what the suite goes through unless the user says otherwise
	Brief    Settings // the same for a brief run; what is empty is as in a full one

	once     bool // one round, whatever the user says
	least    int  // bytes that a message may have
	most     int  // 0: MaxSize
	tables   func(env) ([]report.Table, error)
	criteria func(env) []report.Criterion // for a summary below the tables; nil: no summary
}

// SizeAllowed returns an error if the suite cannot use messages of that size, in bytes.
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

// fill fills in what the user left to the suite. It leaves out, and says so, what this machine
// does not allow.
func (s Suite) fill(e env) env {
	own := s.Settings
	if e.Brief {
		own = s.Brief.or(s.Settings)
	}
	e.Settings = e.Options.Settings.or(own)
	if s.once {
		e.Reps = 1
	}
	if len(e.Options.Settings.Conns) > 0 {
		return e // the flag was checked
	}
	e.Conns = e.fitting(s.Name, e.Conns)
	return e
}

// peers lists the subjects that the others are compared with.
var peers = []string{"raw", "net", "gnet"}
