// Package measure takes subjects in turn, round by round, and computes medians and ratios of
// what they gave.
package measure

import (
	"context"
	"fmt"
	"slices"
)

// A Trial is one setting in which subjects are measured in turn.
type Trial struct {
	Name     string // the "case" of the JSON lines: "conns=50,size=128"
	Label    string // in the table's first column: "50"
	Subjects []string
	Measure  Func
}

// A Func measures one round: each subject once, in the given order. It calls turnTo before each
// subject, so that the bar can show it.
type Func func(ctx context.Context, order []string, turnTo func(subject string)) (Round, error)

// InTurn makes a Func of a function that measures one subject.
func InTurn(measure func(ctx context.Context, subject string) (Sample, error)) Func {
	return func(ctx context.Context, order []string, turnTo func(string)) (Round, error) {
		r := make(Round, len(order))
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

// Rounds measures reps rounds and shows each on the bar. The subjects take turns in going first.
func (tr Trial) Rounds(ctx context.Context, reps int, bar *Progress) (Outcome, error) {
	o := Outcome{Trial: tr}
	for i := range reps {
		r, err := tr.Measure(ctx, rotated(tr.Subjects, i), func(subject string) {
			bar.doing(fmt.Sprintf("%s, round %d of %d: %s", tr.Name, i+1, reps, subject))
		})
		if err != nil {
			return o, err
		}
		o.Rounds = append(o.Rounds, r)
		bar.step()
	}
	return o, nil
}

// rotated moves the start on by one in each round (A B C, B C A, C A B), so that a slow drift of
// the machine does not always favour the same subject.
func rotated(names []string, by int) []string {
	by %= len(names)
	return slices.Concat(names[by:], names[:by])
}

// An Outcome is a trial with its rounds.
type Outcome struct {
	Trial  Trial
	Rounds []Round
}

// Figure returns a metric of a subject over the rounds.
func (o Outcome) Figure(subject, metric string) Spread {
	values := make([]float64, len(o.Rounds))
	for i, r := range o.Rounds {
		values[i] = r[subject][metric]
	}
	return SpreadOf(values)
}

// Has tells whether each round has the figure.
func (o Outcome) Has(subject, metric string) bool {
	for _, r := range o.Rounds {
		if _, ok := r[subject][metric]; !ok {
			return false
		}
	}
	return len(o.Rounds) > 0
}

// Ratio divides in each round, and takes the median of the quotients: what slows the machine for
// a moment slows both subjects of a round, and cancels out.
func (o Outcome) Ratio(subject, peer, metric string) Spread {
	values := make([]float64, len(o.Rounds))
	for i, r := range o.Rounds {
		values[i] = r[subject][metric] / r[peer][metric]
	}
	return SpreadOf(values)
}
