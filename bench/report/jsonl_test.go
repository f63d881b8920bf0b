//go:build linux

package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/stretchr/testify/require"
)

func TestLines(t *testing.T) {
	tab := Table{
		Metrics: []Metric{
			{Name: "speed", Heading: "speed", Format: Whole, Display: InTable, Compare: InJSON},
			{Name: "hidden", Heading: "", Format: Whole, Display: Nowhere, Compare: Nowhere},
			{Name: "plain", Heading: "", Format: Whole, Display: InJSON, Compare: Nowhere},
		},
		Pairs: []Pair{{"a", "b", "vs b"}},
	}
	o := measure.Outcome{
		Trial: measure.Trial{Name: "n=1", Subjects: []string{"a", "b"}},
		Rounds: []measure.Round{
			{"a": {"speed": 3, "plain": 1}, "b": {"speed": 2, "plain": 0}},
			{"a": {"speed": 4, "plain": 1}, "b": {"speed": 2, "plain": 0}},
			{"a": {"speed": 5, "plain": 1}, "b": {"speed": 2, "plain": 0}},
		},
	}
	var out bytes.Buffer
	require.NoError(t, WriteLines(&out, "s", tab, []measure.Outcome{o}))
	require.Equal(t, []string{
		`{"suite":"s","case":"n=1","subject":"a","metric":"speed","median":4,"min":3,"max":5,"reps":3}`,
		`{"suite":"s","case":"n=1","subject":"b","metric":"speed","median":2,"min":2,"max":2,"reps":3}`,
		`{"suite":"s","case":"n=1","subject":"a","metric":"plain","median":1,"min":1,"max":1,"reps":3}`,
		`{"suite":"s","case":"n=1","subject":"b","metric":"plain","median":0,"min":0,"max":0,"reps":3}`,
		`{"suite":"s","case":"n=1","subject":"a","peer":"b","metric":"speed","ratio_median":2,"ratio_min":1.5,"ratio_max":2.5,"reps":3}`,
	}, strings.Split(strings.TrimSpace(out.String()), "\n"))
}
