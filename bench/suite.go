package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// suites are all there is to run, in the order of the help text. A new suite is a file of its
// own and a line here.
var suites = []suite{
	echoSuite,
	pipelineSuite,
	bulkSuite,
	churnSuite,
	scaleSuite,
	idleSuite,
	udpSuite,
	timeoutsSuite,
	selectSuite,
	interpSuite,
}

// A suite answers one question with one or more tables.
type suite struct {
	name   string
	about  string // one line, for -h
	conns  []int  // numbers of connections without -conns; none: it has no use for them
	sizes  []int  // of messages in bytes, without -size; none: it has no use for them
	least  int    // bytes that a message may have
	most   int    // 0: maxSize
	tables func(env) []table
}

// sizeAllowed tells whether messages of that size make sense to the suite.
func (s suite) sizeAllowed(size int) error {
	if len(s.sizes) == 0 {
		return nil
	}
	most := s.most
	if most == 0 {
		most = maxSize
	}
	if err := within("size", size, max(s.least, 1), most); err != nil {
		return fmt.Errorf("%w (suite %s)", err, s.name)
	}
	return nil
}

// An env is what the suites are given: the user's wishes and the machine's cores.
type env struct {
	options
	cores cores
}

// of fills in what the user left to the suite. The notices name what this machine does not
// allow, and so is left out.
func (e env) of(s suite) (_ env, notices []string) {
	if len(e.sizes) == 0 {
		e.sizes = s.sizes
	}
	if len(e.conns) > 0 {
		return e, nil
	}
	for _, n := range s.conns {
		if err := filesAllowed(n); err != nil {
			notices = append(notices, fmt.Sprintf("suite %s: %v: left out", s.name, err))
			continue
		}
		e.conns = append(e.conns, n)
	}
	return e, notices
}

// peers are the subjects that the others are set beside.
var peers = []string{"raw", "net", "gnet"}

// A table puts trials that share their columns under each other.
type table struct {
	title   string
	rowHead string // what the trials' labels are: "connections"
	metrics []metric
	pairs   []pair
	trials  []trial
	legend  []string // how to read it, one sentence a line

	// review looks at the finished trials. Its notes are printed below the table; its error
	// makes the whole program fail, after the table has been shown. Nil means nothing to say.
	review func([]outcome) (notes []string, err error)
}

// A trial is one setting in which subjects are measured in turn.
type trial struct {
	name     string // the "case" of the JSON lines: "conns=50,size=128"
	label    string // in the table's first column: "50"
	subjects []string
	measure  measureFunc
}

// A measureFunc measures one round: every subject once, in the order given. It tells which it
// turns to, for whoever watches.
type measureFunc func(ctx context.Context, order []string, turnTo func(subject string)) (round, error)

// inTurn makes a round of a function that measures one subject.
func inTurn(measure func(ctx context.Context, subject string) (sample, error)) measureFunc {
	return func(ctx context.Context, order []string, turnTo func(string)) (round, error) {
		r := make(round, len(order))
		for _, name := range order {
			turnTo(name)
			s, err := measure(ctx, name)
			if err != nil {
				return nil, err
			}
			r[name] = s
		}
		return r, nil
	}
}

// A metric is one figure of a sample.
type metric struct {
	name    string // in samples and JSON lines
	heading string
	format  func(float64) string
	display display
	compare display // of its ratios
}

// A display says where a figure goes. A ratio to a figure that may be zero goes nowhere.
type display int

const (
	nowhere display = iota
	inJSON
	inTable // and in JSON
)

// A pair is two subjects whose ratio is worth showing: subject / peer. Pairs with the same
// heading share a column of the table.
type pair struct{ subject, peer, heading string }

// pairsWith sets every subject beside each of the peers.
func pairsWith(subjects []string, peers ...string) []pair {
	var pairs []pair
	for _, s := range subjects {
		for _, p := range peers {
			if s != p && slices.Contains(subjects, p) {
				pairs = append(pairs, pair{s, p, "vs " + p})
			}
		}
	}
	return pairs
}

func findSuite(name string) (suite, error) {
	for _, s := range suites {
		if s.name == name {
			return s, nil
		}
	}
	return suite{}, errors.New("no such suite; there are " + strings.Join(suiteNames(), ", "))
}

func suiteNames() []string {
	var names []string
	for _, s := range suites {
		names = append(names, s.name)
	}
	return names
}
