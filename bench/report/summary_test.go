//go:build linux

package report

import (
	"bytes"
	"testing"

	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/stretchr/testify/require"
)

func TestSummaryListsTheCellsThatMissAMark(t *testing.T) {
	// The peer has 100 in each round, so the figures are ratios in hundredths.
	cell := func(name string, requests, cpu [3]float64) measure.Outcome {
		o := measure.Outcome{Trial: measure.Trial{Name: name, Subjects: []string{"mine", "peer"}}}
		for i := range requests {
			o.Rounds = append(o.Rounds, measure.Round{
				"mine": {"requests": requests[i], "cpu": cpu[i]},
				"peer": {"requests": 100, "cpu": 100},
			})
		}
		return o
	}
	results := []Result{{Outcomes: []measure.Outcome{
		cell("good", [3]float64{110, 120, 130}, [3]float64{90, 80, 70}),
		cell("exact", [3]float64{100, 100, 100}, [3]float64{100, 100, 100}),
		cell("slow", [3]float64{80, 70, 90}, [3]float64{90, 80, 70}),
		cell("costly", [3]float64{110, 120, 130}, [3]float64{120, 130, 110}),
		cell("unclear", [3]float64{90, 95, 105}, [3]float64{99, 104, 105}),
	}}}
	criteria := []Criterion{
		{Metric: "requests", Subjects: []string{"mine"}, Peer: "peer", Limit: 1, Heading: "fewer requests"},
		{Metric: "cpu", Subjects: []string{"mine"}, Peer: "peer", Limit: 1, AtMost: true, Heading: "more CPU"},
		{Metric: "requests", Subjects: []string{"mine"}, Peer: "peer", Limit: 1.5, Heading: "below 1.5", Counted: true},
	}
	var out bytes.Buffer
	Summarize(&out, "s", criteria, results)
	require.Contains(t, out.String(), "│ mine    │ 1 of 5, 1 in doubt │ 1 of 5, 1 in doubt │ 5 of 5    │")
	require.NotContains(t, out.String(), "mine, below 1.5")
	require.Contains(t, out.String(), "mine, fewer requests:\n    slow: 0.80 (0.70–0.90)\n")
	require.Contains(t, out.String(), "mine, more CPU:\n    costly: 1.20 (1.10–1.30)\n")
	require.NotContains(t, out.String(), "unclear")
	require.NotContains(t, out.String(), "│ peer")

	out.Reset()
	Summarize(&out, "s", criteria, nil)
	require.Empty(t, out.String())
}
