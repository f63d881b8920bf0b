package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// A column is a metric, or the ratios of one under a heading.
type column struct {
	metric  metric
	heading string
	ratio   bool
}

func (t table) columns() []column {
	var columns []column
	for _, m := range t.metrics {
		if m.display == inTable {
			columns = append(columns, column{m, m.heading, false})
		}
	}
	for _, m := range t.metrics {
		if m.compare != inTable {
			continue
		}
		for _, p := range t.pairs {
			c := column{m, p.heading, true}
			if !slices.ContainsFunc(columns, func(d column) bool { return d.ratio && d.heading == c.heading }) {
				columns = append(columns, c)
			}
		}
	}
	return columns
}

// render writes the table for people: a block for each trial, a row for each subject.
func (t table) render(out io.Writer, outcomes []outcome, notes []string) {
	w := pretty.NewWriter()
	w.SetStyle(pretty.StyleLight)
	w.Style().Format.Header = text.FormatDefault // µs must not become ΜS
	columns := t.columns()
	w.AppendHeader(header(t.rowHead, columns))
	w.SetColumnConfigs(alignments(len(columns)))
	for _, o := range outcomes {
		for i, subject := range o.trial.subjects {
			label := o.trial.label
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
	fmt.Fprintf(out, "\n%s\n%s\n", t.title, w.Render())
	for _, line := range slices.Concat(t.legend, notes) {
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

// alignments puts everything but the subjects' names to the right.
func alignments(columns int) []pretty.ColumnConfig {
	configs := []pretty.ColumnConfig{{Number: 1, Align: text.AlignRight, AlignHeader: text.AlignRight}}
	for i := range columns {
		configs = append(configs, pretty.ColumnConfig{Number: 3 + i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}

func (t table) cell(o outcome, subject string, c column) string {
	if !c.ratio {
		return c.metric.format(o.figure(subject, c.metric.name).median)
	}
	for _, p := range t.pairs {
		if p.subject == subject && p.heading == c.heading {
			r := o.ratio(p, c.metric.name)
			return fmt.Sprintf("%.2f (%.2f–%.2f)", r.median, r.min, r.max)
		}
	}
	return ""
}

// Formats

// decimals shows n digits behind the point, but no more than three digits that say something:
// nobody can compare 1234.56 with 1198.03 at a glance.
func decimals(n int) func(float64) string {
	return func(v float64) string {
		digits := n
		switch {
		case v >= 100:
			return grouped(v)
		case v < 10:
			digits = max(n, 1)
		}
		return strconv.FormatFloat(v, 'f', digits, 64)
	}
}

// grouped shows a whole number with commas between the thousands.
func grouped(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func percent(v float64) string { return strconv.FormatFloat(100*v, 'f', 0, 64) + " %" }

func whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// bytesOf shows a size as people say it.
func bytesOf(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return counted(n, "byte")
}
