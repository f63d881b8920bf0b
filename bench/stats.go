package main

import (
	"slices"
)

// A sample is what one run of one subject gave: a figure for each metric.
type sample map[string]float64

// A round has a sample of every subject, taken one right after the other.
type round map[string]sample

// An outcome is a trial with its rounds.
type outcome struct {
	trial  trial
	rounds []round
}

// A spread is the middle of some figures, with the least and the greatest.
type spread struct{ median, min, max float64 }

// spreadOf needs at least one value. The median of an even number is the mean of the middle two.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{
		median: (sorted[(n-1)/2] + sorted[n/2]) / 2,
		min:    sorted[0],
		max:    sorted[n-1],
	}
}

func (o outcome) figure(subject, metric string) spread {
	values := make([]float64, len(o.rounds))
	for i, r := range o.rounds {
		values[i] = r[subject][metric]
	}
	return spreadOf(values)
}

// ratio divides round by round, and only then takes the median: what slows the machine for a
// moment slows both, and cancels out.
func (o outcome) ratio(p pair, metric string) spread {
	values := make([]float64, len(o.rounds))
	for i, r := range o.rounds {
		values[i] = r[p.subject][metric] / r[p.peer][metric]
	}
	return spreadOf(values)
}
