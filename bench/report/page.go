//go:build linux

package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A Page is what a run of the program has measured, for a browser: charts, tables, the raw
// figures, and what they are figures of. It needs no other file and no network.
type Page struct {
	Command  string // the command line
	Begun    time.Time
	Machine  string
	Versions []string // of the code and the peers
	Sections []Section
}

// A Section is a suite with its results.
type Section struct {
	Suite, About string
	Results      []Result
	Notes        [][]string // of each result's review
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"chart": chartHTML, "rows": Result.rows, "raw": Section.raw, "head": Table.head}).Parse(pageText))

// HTML writes the page.
func (p Page) HTML(w io.Writer) error { return pageTemplate.Execute(w, p) }

// errNoChart is the error of SVG when nothing was compared.
var errNoChart = errors.New("no suite that ran compares subjects")

// SVG writes one chart: the first of the suite ordinary, beside net. If that suite did not
// run, it is the first chart of the first suite that has one.
func (p Page) SVG(w io.Writer) error {
	sections := slices.Clone(p.Sections)
	slices.SortStableFunc(sections, func(a, b Section) int { return rank(a) - rank(b) })
	for _, s := range sections {
		for _, r := range s.Results {
			charts := r.Charts()
			if len(charts) == 0 {
				continue
			}
			c := charts[max(slices.IndexFunc(charts, func(c Chart) bool { return c.Peer == "net" }), 0)]
			c.Title = r.Table.Title + ": " + c.Title
			svg, err := c.SVG()
			if err == nil {
				_, err = w.Write(svg)
			}
			return err
		}
	}
	return errNoChart
}

func rank(s Section) int {
	if s.Suite == "ordinary" {
		return 0
	}
	return 1
}

// chartHTML is a chart for the page. An SVG has no place for the XML declaration there.
func chartHTML(c Chart) (template.HTML, error) {
	svg, err := c.SVG()
	if err != nil {
		return "", err
	}
	if i := bytes.Index(svg, []byte("<svg")); i > 0 {
		svg = svg[i:]
	}
	return template.HTML(svg), nil
}

// head returns the headings of the table for people.
func (t Table) head() []string {
	names := []string{t.RowHead, "subject"}
	for _, c := range t.columns() {
		names = append(names, c.heading)
	}
	return names
}

// rows returns the cells of the table for people. A trial's label stands once.
func (r Result) rows() (rows [][]string) {
	columns := r.Table.columns()
	for _, o := range r.Outcomes {
		for i, subject := range o.Trial.Subjects {
			row := []string{"", subject}
			if i == 0 {
				row[0] = o.Trial.Label
			}
			for _, c := range columns {
				row = append(row, r.Table.cell(o, subject, c))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// raw returns the figures of each round: comma-separated values with a head line.
func (s Section) raw() string {
	var b strings.Builder
	b.WriteString("case,round,subject,metric,value\n")
	for _, r := range s.Results {
		for _, o := range r.Outcomes {
			for i, round := range o.Rounds {
				for _, subject := range o.Trial.Subjects {
					for _, m := range r.Table.Metrics {
						if v, ok := round[subject][m.Name]; ok {
							fmt.Fprintf(&b, "%q,%d,%s,%s,%v\n", o.Trial.Name, i+1, subject, m.Name, v)
						}
					}
				}
			}
		}
	}
	return b.String()
}

// Versions returns the versions of this program and of the modules that it measures, as the
// build has recorded them.
func Versions(peers ...string) []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	list := []string{info.GoVersion}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", with changes"
		}
	}
	if revision == "" { // go run does not record it
		revision = gitRevision()
	}
	if revision != "" {
		list = append(list, "Weir "+revision+modified)
	}
	for _, m := range info.Deps {
		if slices.Contains(peers, m.Path) {
			list = append(list, m.Path+" "+m.Version)
		}
	}
	return list
}

// gitRevision asks git for the state of the code in the current directory. It returns ""
// where there is no git or no repository.
func gitRevision() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty=, with changes", "--abbrev=12").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
