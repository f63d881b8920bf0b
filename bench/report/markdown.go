//go:build linux

package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Markdown writes the tables as a document, without the raw figures and the charts.
func (p Page) Markdown(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Results\n\nThis command writes this file:\n\n    %s\n\n", p.Command)
	fmt.Fprintf(&b, "- %s Begun on %s.\n", p.Machine, p.Begun.Format("2 January 2006, 15:04 MST"))
	fmt.Fprintf(&b, "- Versions: %s.\n\n", strings.Join(p.Versions, ", "))
	b.WriteString(`In a round the subjects take turns, so that what slows the machine for a moment slows all. "vs net 1.20 (1.10–1.30)" is a
ratio: in the median of the rounds this row has 1.2 times net's figure, in the least 1.1, in the greatest 1.3 times. Quote ratios.
Figures of one machine say little about another: run the command on yours. ` + "`go run ./bench -help`" + ` explains suites and
subjects; ` + "`-suite NAME`" + ` measures one alone.
`)
	for _, s := range p.Sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", s.Suite, sentence(s.About))
		for i, r := range s.Results {
			fmt.Fprintf(&b, "\n**%s**\n\n", escaped(r.Table.Title))
			r.markdown(&b)
			lines := r.Table.Legend
			if i < len(s.Notes) {
				lines = append(lines[:len(lines):len(lines)], s.Notes[i]...)
			}
			for j, line := range lines {
				if j == 0 {
					b.WriteByte('\n')
				}
				fmt.Fprintf(&b, "- %s\n", escaped(line))
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// markdown writes the table. The label of a trial stands in its first row.
func (r Result) markdown(b *bytes.Buffer) {
	head := r.Table.head()
	row(b, head)
	rule := []string{"---", "---"} // figures stand at the right
	for range head[2:] {
		rule = append(rule, "--:")
	}
	row(b, rule)
	for _, cells := range r.rows() {
		row(b, cells)
	}
}

func row(b *bytes.Buffer, cells []string) {
	for _, c := range cells {
		b.WriteString("| " + escaped(c) + " ")
	}
	b.WriteString("|\n")
}

// escaped keeps a text from being taken for markup.
func escaped(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;").Replace(text)
}

// sentence begins with a capital letter.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
