//go:build linux

package report

import (
	"fmt"
	"io"
	"slices"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/seed-2334f180/weir/bench/measure"
)

// A Result is a table with the outcomes of its trials.
type Result struct {
	Table    Table
	Outcomes []measure.Outcome
}

// A Criterion is what some subjects should reach beside a peer: the ratio of a metric is at
// least, or at most, a limit.
type Criterion struct {
	Metric   string
	Subjects []string
	Peer     string
	Limit    float64
	AtMost   bool   // the ratio should be at most Limit; else at least
	Heading  string // what a cell that misses it has: "fewer requests than net"
	Counted  bool   // cells that miss it are counted, and not listed
}

// A verdict says what a cell is beside a criterion.
type verdict int

const (
	met verdict = iota
	doubtful
	missed
)

// judge compares the ratio with the limit. A median on the wrong side is doubtful when some
// rounds are on the right side: the ratio cannot be told from the limit then.
func (c Criterion) judge(ratio measure.Spread) verdict {
	wrong := func(v float64) bool { return v < c.Limit }
	best := ratio.Max
	if c.AtMost {
		wrong = func(v float64) bool { return v > c.Limit }
		best = ratio.Min
	}
	switch {
	case !wrong(ratio.Median):
		return met
	case wrong(best):
		return missed
	}
	return doubtful
}

// Summarize writes, for each subject, how many cells miss each criterion, and then each of
// these cells.
func Summarize(out io.Writer, suite string, criteria []Criterion, results []Result) {
	w := pretty.NewWriter()
	w.SetStyle(pretty.StyleLight)
	w.Style().Format.Header = text.FormatDefault
	head := pretty.Row{"subject"}
	for _, c := range criteria {
		head = append(head, c.Heading)
	}
	w.AppendHeader(head)

	var lists []string
	for _, subject := range subjectsOf(criteria, results) {
		row := pretty.Row{subject}
		for _, c := range criteria {
			count, lines := c.tally(subject, results)
			row = append(row, count)
			if len(lines) > 0 && !c.Counted {
				lists = append(append(lists, subject+", "+c.Heading+":"), lines...)
			}
		}
		w.AppendRow(row)
	}
	if w.Length() == 0 {
		return
	}
	fmt.Fprintf(out, "\nSummary of %s: cells that miss a mark, of all cells\n%s\n", suite, w.Render())
	fmt.Fprintln(out, "  In doubt: the median misses the mark, but some rounds do not. Such cells do not count as missing it.")
	for _, line := range lists {
		fmt.Fprintln(out, "  "+line)
	}
}

// tally counts the cells in which the subject misses the criterion, and lists them. A criterion
// that says nothing of the subject has no count.
func (c Criterion) tally(subject string, results []Result) (count string, lines []string) {
	if !slices.Contains(c.Subjects, subject) {
		return "", nil
	}
	var cells, doubts int
	for _, r := range results {
		for _, o := range r.Outcomes {
			if !o.Has(subject, c.Metric) || !o.Has(c.Peer, c.Metric) {
				continue
			}
			cells++
			ratio := o.Ratio(subject, c.Peer, c.Metric)
			switch c.judge(ratio) {
			case doubtful:
				doubts++
			case missed:
				lines = append(lines, fmt.Sprintf("  %s: %.2f (%.2f–%.2f)", o.Trial.Name, ratio.Median, ratio.Min, ratio.Max))
			}
		}
	}
	if cells == 0 {
		return "", nil
	}
	count = fmt.Sprintf("%d of %d", len(lines), cells)
	if doubts > 0 {
		count += fmt.Sprintf(", %d in doubt", doubts)
	}
	return count, lines
}

// subjectsOf lists the subjects that took part and that a criterion is about, in the order of
// the tables.
func subjectsOf(criteria []Criterion, results []Result) (names []string) {
	for _, r := range results {
		for _, o := range r.Outcomes {
			for _, s := range o.Trial.Subjects {
				about := func(c Criterion) bool { return slices.Contains(c.Subjects, s) }
				if !slices.Contains(names, s) && slices.ContainsFunc(criteria, about) {
					names = append(names, s)
				}
			}
		}
	}
	return names
}
