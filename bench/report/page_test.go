//go:build linux

package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/measure"
	"github.com/stretchr/testify/require"
)

// pageOf is a page with one table for each suite: weir beside net, and beside gnet.
func pageOf(suites ...string) Page {
	p := Page{Command: "go run ./bench <all>", Begun: time.Unix(0, 0).UTC(), Machine: "Machine: one.", Versions: []string{"go1", "peer v2"}}
	for _, suite := range suites {
		t := Table{
			Title: "the table of " + suite, RowHead: "connections", Legend: []string{"a legend & more"},
			Metrics: []Metric{
				{Name: "rate", Heading: "req/s", Format: Grouped, Display: InTable, Compare: InTable},
				{Name: "cost", Heading: "CPU µs/req", Format: Whole, Display: InTable, Compare: InJSON},
			},
			Pairs: PairsWith([]string{"weir", "net", "gnet"}, "gnet", "net"),
		}
		o := measure.Outcome{Trial: measure.Trial{Name: "conns=8", Label: "8", Subjects: []string{"weir", "net", "gnet"}}}
		for i := range 3 {
			rate := func(v float64) measure.Sample { return measure.Sample{"rate": v, "cost": 7} }
			o.Rounds = append(o.Rounds, measure.Round{"weir": rate(300 + 30*float64(i)), "net": rate(200), "gnet": rate(100)})
		}
		p.Sections = append(p.Sections, Section{Suite: suite, About: "about " + suite, Results: []Result{{t, []measure.Outcome{o}}}, Notes: [][]string{{"a note"}}})
	}
	return p
}

// texts returns the texts of an XML document, which must be well-formed.
func texts(t *testing.T, document []byte) (all []string) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(document)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		if data, ok := token.(xml.CharData); ok && len(strings.TrimSpace(string(data))) > 0 {
			all = append(all, strings.TrimSpace(string(data)))
		}
	}
}

func TestPage(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, pageOf("echo", "ordinary").HTML(&out))
	page := out.String()
	for _, want := range []string{
		"go run ./bench &lt;all&gt;", "1 January 1970", "Machine: one.", "go1 · peer v2", "about echo", "the table of ordinary",
		"<td>1.65 (1.50–1.80)</td>", "<td>3.30 (3.00–3.60)</td>", "a legend &amp; more", "a note",
		"&#34;conns=8&#34;,3,weir,rate,360", `<a href="#echo">`,
	} {
		require.Contains(t, page, want)
	}
	require.Equal(t, 4, strings.Count(page, "<svg"), "a chart for each peer of each table")
	// The page needs nothing else. A namespace is a name, not a link.
	bare := strings.NewReplacer("http://www.w3.org/2000/svg", "", "http://www.w3.org/1999/xlink", "").Replace(page)
	require.Empty(t, regexp.MustCompile(`https?://|<script|<link|src=|@import|url\(`).FindAllString(bare, -1))
}

func TestMarkdown(t *testing.T) {
	var out bytes.Buffer
	p := pageOf("echo")
	p.Sections[0].Results[0].Table.Legend = []string{"a|b <c>"}
	require.NoError(t, p.Markdown(&out))
	require.Contains(t, out.String(), "    go run ./bench <all>\n")
	_, after, found := strings.Cut(out.String(), "\n## echo\n\n")
	require.True(t, found)
	require.Equal(t, `About echo.

**the table of echo**

| connections | subject | req/s | CPU µs/req | vs gnet | vs net |
| --- | --- | --: | --: | --: | --: |
| 8 | weir | 330 | 7 | 3.30 (3.00–3.60) | 1.65 (1.50–1.80) |
|  | net | 200 | 7 | 2.00 (2.00–2.00) |  |
|  | gnet | 100 | 7 |  | 0.50 (0.50–0.50) |

- a\|b &lt;c>
- a note
`, after)
}

func TestChart(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, pageOf("echo", "ordinary").SVG(&out))
	got := texts(t, out.Bytes())
	require.Contains(t, got, "the table of ordinary: req/s beside net", "ordinary goes first, net too")
	for _, want := range []string{"weir", "gnet", "net", "1.65", "0.50", "8", "1"} {
		require.Contains(t, got, want)
	}
	out.Reset()
	require.NoError(t, pageOf("echo").SVG(&out))
	require.Contains(t, texts(t, out.Bytes()), "the table of echo: req/s beside net")
	require.ErrorIs(t, pageOf().SVG(&out), errNoChart)
}

// A dark theme replaces every grey of a chart, and no colour of a subject.
func TestChartInTheDark(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, pageOf("echo").SVG(&out))
	_, drawing, found := strings.Cut(out.String(), "</style>")
	require.True(t, found)
	greys := 0
	for _, m := range regexp.MustCompile(`(fill|stroke):#([0-9A-F]{2})([0-9A-F]{2})([0-9A-F]{2})`).FindAllStringSubmatch(drawing, -1) {
		if grey := m[2] == m[3] && m[3] == m[4]; grey {
			greys++
			require.Contains(t, darkColours, `[style*="`+m[0]+`"]`)
		} else {
			require.NotContains(t, darkColours, m[0])
		}
	}
	require.Positive(t, greys)
}

// What cannot be on a logarithmic scale is left out.
func TestChartOfZeros(t *testing.T) {
	p := pageOf("echo")
	for _, round := range p.Sections[0].Results[0].Outcomes[0].Rounds {
		round["weir"]["rate"] = 0
		round["gnet"]["rate"] = 0
	}
	charts := p.Sections[0].Results[0].Charts()
	require.Empty(t, charts)
	require.ErrorIs(t, p.SVG(io.Discard), errNoChart)
}

func TestTicksHaveRoom(t *testing.T) {
	for _, c := range [][2]float64{{0.9, 1.1}, {0.3, 4}, {0.01, 1000}, {1, 1}} {
		ticks := ratioTicks{}.Ticks(c[0], c[1])
		require.LessOrEqual(t, len(ticks), 15)
		labels := map[string]bool{}
		for _, tick := range ticks {
			require.False(t, labels[tick.Label])
			labels[tick.Label] = true
		}
		require.True(t, labels["1"], "%v", c)
	}
}
