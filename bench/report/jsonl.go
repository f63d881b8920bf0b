//go:build linux

package report

import (
	"encoding/json"
	"io"

	"github.com/seed-2334f180/weir/bench/measure"
)

// A FigureLine is one metric of one subject, over the rounds.
type FigureLine struct {
	Suite   string  `json:"suite"`
	Case    string  `json:"case"`
	Subject string  `json:"subject"`
	Metric  string  `json:"metric"`
	Median  float64 `json:"median"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Reps    int     `json:"reps"`
}

// A ratioLine is subject / peer, taken within each round.
type ratioLine struct {
	Suite   string  `json:"suite"`
	Case    string  `json:"case"`
	Subject string  `json:"subject"`
	Peer    string  `json:"peer"`
	Metric  string  `json:"metric"`
	Median  float64 `json:"ratio_median"`
	Min     float64 `json:"ratio_min"`
	Max     float64 `json:"ratio_max"`
	Reps    int     `json:"reps"`
}

// WriteLines writes the outcomes for programs: one JSON object a line.
func WriteLines(out io.Writer, suite string, t Table, outcomes []measure.Outcome) error {
	lines := json.NewEncoder(out)
	for _, o := range outcomes {
		for _, m := range t.Metrics {
			if m.Display == Nowhere {
				continue
			}
			for _, subject := range o.Trial.Subjects {
				if !o.Has(subject, m.Name) {
					continue
				}
				s := o.Figure(subject, m.Name)
				line := FigureLine{suite, o.Trial.Name, subject, m.Name, s.Median, s.Min, s.Max, len(o.Rounds)}
				if err := lines.Encode(line); err != nil {
					return err
				}
			}
		}
		for _, m := range t.Metrics {
			if m.Compare == Nowhere {
				continue
			}
			for _, p := range t.Pairs {
				if !o.Has(p.Subject, m.Name) || !o.Has(p.Peer, m.Name) {
					continue
				}
				r := o.Ratio(p.Subject, p.Peer, m.Name)
				line := ratioLine{suite, o.Trial.Name, p.Subject, p.Peer, m.Name, r.Median, r.Min, r.Max, len(o.Rounds)}
				if err := lines.Encode(line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
