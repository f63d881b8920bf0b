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

// A column is a metric, or the ratios of one to the peers of the pairs with a heading.
type column struct {
	metric  Metric
	heading string
	pairs   string // heading of the pairs; "" for the metric itself
}

func (t Table) columns() []column {
	var columns []column
	for _, m := range t.Metrics {
		if m.Display == InTable {
			columns = append(columns, column{metric: m, heading: m.Heading})
		}
	}
	for _, m := range t.Metrics {
		if m.Compare != InTable {
			continue
		}
		for _, p := range t.Pairs {
			if m.Beside != nil && !slices.Contains(m.Beside, p.Peer) {
				continue
			}
			c := column{m, m.Ratio + p.Heading, p.Heading}
			if !slices.ContainsFunc(columns, func(d column) bool { return d.pairs != "" && d.heading == c.heading }) {
				columns = append(columns, c)
			}
		}
	}
	return columns
}

// Render writes the table for people: a block for each trial, a row for each subject.
func (t Table) Render(out io.Writer, outcomes []measure.Outcome, notes []string) {
	w := pretty.NewWriter()
	w.SetStyle(pretty.StyleLight)
	w.Style().Format.Header = text.FormatDefault // µs must not become ΜS
	columns := t.columns()
	w.AppendHeader(header(t.RowHead, columns))
	w.SetColumnConfigs(alignments(len(columns)))
	for _, o := range outcomes {
		for i, subject := range o.Trial.Subjects {
			label := o.Trial.Label
			if i > 0 {
				label = ""
			}
			row := pretty.Row{label, subject}
			for _, c := range columns {
				row = append(row, t.cell(o, subject, c))
			}
			w.AppendRow(row)
		}
		w.AppendSeparator()
	}
	fmt.Fprintf(out, "\n%s\n%s\n", t.Title, w.Render())
	for _, line := range slices.Concat(t.Legend, notes) {
		fmt.Fprintln(out, "  "+line)
	}
}

func header(rowHead string, columns []column) pretty.Row {
	row := pretty.Row{rowHead, "subject"}
	for _, c := range columns {
		row = append(row, c.heading)
	}
	return row
}

// alignments aligns all columns to the right, except the names of the subjects.
func alignments(columns int) []pretty.ColumnConfig {
	configs := []pretty.ColumnConfig{{Number: 1, Align: text.AlignRight, AlignHeader: text.AlignRight}}
	for i := range columns {
		configs = append(configs, pretty.ColumnConfig{Number: 3 + i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}

func (t Table) cell(o measure.Outcome, subject string, c column) string {
	if c.pairs == "" {
		return c.metric.Format(o.Figure(subject, c.metric.Name).Median)
	}
	for _, p := range t.Pairs {
		if p.Subject == subject && p.Heading == c.pairs {
			r := o.Ratio(p.Subject, p.Peer, c.metric.Name)
			return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Median, r.Min, r.Max)
		}
	}
	return ""
}
