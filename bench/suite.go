package main

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// suites are all there is to run, in the order of the help text. A new suite is a file of its
// own and a line here.
var suites = []suite{
	echoSuite,
	timeoutsSuite,
	selectSuite,
}

// A suite answers one question with one or more tables.
type suite struct {
	name   string
	about  string // one line, for -h
	tables func(env) []table
}

// An env is what the suites are given: the user's wishes and the machine's cores.
type env struct {
	options
	cores cores
}

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
