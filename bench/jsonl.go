package main

import (
	"encoding/json"
	"io"
)

// A figureLine is one metric of one subject, over the rounds.
type figureLine struct {
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

// writeLines writes the outcomes for programs: one JSON object a line.
func writeLines(out io.Writer, suite string, t table, outcomes []outcome) error {
	lines := json.NewEncoder(out)
	for _, o := range outcomes {
		for _, m := range t.metrics {
			if m.display == nowhere {
				continue
			}
			for _, subject := range o.trial.subjects {
				s := o.figure(subject, m.name)
				line := figureLine{suite, o.trial.name, subject, m.name, s.median, s.min, s.max, len(o.rounds)}
				if err := lines.Encode(line); err != nil {
					return err
				}
			}
		}
		for _, m := range t.metrics {
			if m.compare == nowhere {
				continue
			}
			for _, p := range t.pairs {
				r := o.ratio(p, m.name)
				line := ratioLine{suite, o.trial.name, p.subject, p.peer, m.name, r.median, r.min, r.max, len(o.rounds)}
				if err := lines.Encode(line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
