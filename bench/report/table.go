//go:build linux

// Package report shows outcomes: as tables for people and as JSON lines for programs.
package report

import (
	"slices"

	"github.com/seed-2334f180/weir/bench/measure"
)

// A Table puts trials that share their columns under each other.
type Table struct {
	Title   string
	RowHead string // what the trials' labels are: "connections"
	Metrics []Metric
	Pairs   []Pair
	Trials  []measure.Trial
	Legend  []string // how to read it, one sentence a line

	// Review looks at the finished trials. Its notes are printed below the table. Its error makes
	// the program fail, after the table has been shown. Nil is no review.
	Review func([]measure.Outcome) (notes []string, err error)
}

// A Metric is one figure of a sample.
type Metric struct {
	Name    string // in samples and JSON lines
	Heading string
	Format  func(float64) string
	Display Display
	Compare Display // of its ratios

	Ratio  string   // before the heading of its ratios, where several metrics have some: "CPU "
	Beside []string // peers of the ratios in the table; nil: all
}

// A Display says where a figure goes. A ratio whose divisor may be zero goes nowhere.
type Display int

const (
	Nowhere Display = iota
	InJSON
	InTable // and in JSON
)

// A Pair is two subjects whose ratio is shown: Subject / Peer. Pairs with the same heading share
// a column of the table.
type Pair struct{ Subject, Peer, Heading string }

// PairsWith pairs each subject with each of the peers.
func PairsWith(subjects []string, peers ...string) []Pair {
	var pairs []Pair
	for _, s := range subjects {
		for _, p := range peers {
			if s != p && slices.Contains(subjects, p) {
				pairs = append(pairs, Pair{s, p, "vs " + p})
			}
		}
	}
	return pairs
}
