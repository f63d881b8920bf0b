// Package suites has what bench measures. A Suite answers one question with one or more tables:
// it says which subjects take part, starts their processes, and turns what they measured into
// figures. Run runs suites and writes their tables.
package suites

import (
	"fmt"

	"github.com/seed-2334f180/weir/bench/machine"
	"github.com/seed-2334f180/weir/bench/report"
)

// A Suite answers one question with one or more tables.
type Suite struct {
	Name   string
	About  string // one line, for -h
	Conns  []int  // numbers of connections without -conns; none: it has no use for them
	Sizes  []int  // of messages in bytes, without -size; none: it has no use for them
	least  int    // bytes that a message may have
	most   int    // 0: maxSize
	tables func(env) []report.Table
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
	cores machine.Cores
}

// of fills in what the user left to the suite. The notices name what this machine does not
// allow, and so is left out.
func (e env) of(s Suite) (_ env, notices []string) {
	if len(e.Sizes) == 0 {
		e.Sizes = s.Sizes
	}
	if len(e.Conns) > 0 {
		return e, nil
	}
	for _, n := range s.Conns {
		if err := machine.FilesAllowed(n); err != nil {
			notices = append(notices, fmt.Sprintf("suite %s: %v: left out", s.Name, err))
			continue
		}
		e.Conns = append(e.Conns, n)
	}
	return e, notices
}

// peers are the subjects that the others are set beside.
var peers = []string{"raw", "net", "gnet"}
