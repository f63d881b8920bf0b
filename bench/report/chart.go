//go:build linux

package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-2334f180/weir/bench/measure"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A Chart shows the ratios of one metric to one peer: a line for each trial and subject, with
// a dot at the median and a bar from the least to the greatest round. The scale is logarithmic,
// so that twice and half are equally far from 1.
type Chart struct {
	Title   string
	RowHead string // what the labels of the trials are
	Peer    string
	Note    string // which side is better
	rows    []chartRow
	kinds   []chartRow // one of each subject, in the order of the legend
}

type chartRow struct {
	label   string // of the trial
	subject string
	kind    int // the subject's place in the trial: the same colour in each chart of a table
	ratio   measure.Spread
}

// Charts returns a chart for each metric and peer whose ratios the table shows.
func (r Result) Charts() []Chart {
	var charts []Chart
	for _, m := range r.Table.Metrics {
		if m.Compare != InTable {
			continue
		}
		for _, peer := range peersOf(r.Table.Pairs) {
			if m.Beside != nil && !slices.Contains(m.Beside, peer) {
				continue
			}
			c := Chart{Title: m.Heading + " beside " + peer, RowHead: r.Table.RowHead, Peer: peer, Note: direction(m.Heading)}
			for _, o := range r.Outcomes {
				c.add(o, r.Table.Pairs, m.Name)
			}
			if len(c.rows) > 0 {
				charts = append(charts, c)
			}
		}
	}
	return charts
}

// direction says whether a greater figure is better. A rate is, a cost or a time is not.
func direction(heading string) string {
	if strings.HasSuffix(heading, "/s") {
		return "Right of the line is better."
	}
	return "Left of the line is better."
}

func peersOf(pairs []Pair) (peers []string) {
	for _, p := range pairs {
		if !slices.Contains(peers, p.Peer) {
			peers = append(peers, p.Peer)
		}
	}
	return peers
}

// add adds the rows of a trial.
func (c *Chart) add(o measure.Outcome, pairs []Pair, metric string) {
	for _, p := range pairs {
		if p.Peer != c.Peer || !o.Has(p.Subject, metric) || !o.Has(p.Peer, metric) {
			continue
		}
		ratio := o.Ratio(p.Subject, p.Peer, metric)
		if !(ratio.Min > 0) || math.IsInf(ratio.Max, 1) {
			continue // a figure of 0 has no place on the scale
		}
		row := chartRow{o.Trial.Label, p.Subject, slices.Index(o.Trial.Subjects, p.Subject), ratio}
		c.rows = append(c.rows, row)
		if !slices.ContainsFunc(c.kinds, func(k chartRow) bool { return k.subject == p.Subject }) {
			c.kinds = append(c.kinds, row)
		}
	}
}

// palette has colours that people with any kind of colour vision can tell apart.
var palette = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, // blue
	color.RGBA{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	color.RGBA{0x00, 0x9e, 0x73, 0xff}, // green
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, // purple
	color.RGBA{0xe6, 0x9f, 0x00, 0xff}, // orange
	color.RGBA{0x56, 0xb4, 0xe9, 0xff}, // sky
	color.RGBA{0x66, 0x66, 0x66, 0xff}, // grey
}

var shapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}}

var ink, faint = color.Gray{0x22}, color.Gray{0xc8}

const (
	chartWidth = 20 * vg.Centimeter
	rowHeight  = vg.Length(15) // of a subject, in points, as all lengths without a unit
	textSize   = vg.Length(9)
)

// SVG draws the chart: the title, the legend, the rows, the scale, and how to read it.
func (c Chart) SVG() ([]byte, error) {
	p := plot.New()
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, ratioTicks{}
	styled(p)
	least, greatest := 1.0, 1.0
	for _, r := range c.rows {
		least, greatest = min(least, r.ratio.Min), max(greatest, r.ratio.Max)
	}
	// Some room at the sides, and for the figures at the right.
	p.X.Min, p.X.Max = least/1.04, greatest*math.Pow(greatest/least, 0.08)*1.04
	labels, height := c.place(p)
	p.Y.Min, p.Y.Max = 0, height
	p.Y.Tick.Marker = plot.ConstantTicks(labels)
	if err := c.line(p); err != nil {
		return nil, err
	}

	const head, foot, side = 54, 54, 12
	canvas := vgsvg.New(chartWidth, vg.Length(height)*rowHeight+head+foot)
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	title := textStyle(12)
	title.YAlign = draw.YTop
	whole.FillText(title, vg.Point{X: side, Y: whole.Max.Y - 8}, c.Title)
	c.legend(whole, vg.Point{X: side, Y: whole.Max.Y - 36})
	small := textStyle(textSize)
	whole.FillText(small, vg.Point{X: side, Y: 20}, fmt.Sprintf("Rows: %s. Scale: the ratio to %s. %s", c.RowHead, c.Peer, c.Note))
	whole.FillText(small, vg.Point{X: side, Y: 8}, "Dot: the median of the rounds. Bar: from the least to the greatest round.")
	area := draw.Crop(whole, side, -side, foot-18, -head)
	p.Draw(area)
	data := p.DataCanvas(area)
	x, _ := p.Transforms(&data)
	small.XAlign = draw.XCenter
	whole.FillText(small, vg.Point{X: x(1), Y: data.Max.Y + 2}, c.Peer)

	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return nil, err
	}
	return inTheDark(portable(out.Bytes())), nil
}

// legend names the subjects in a row that begins at a point.
func (c Chart) legend(whole draw.Canvas, at vg.Point) {
	const thumb, gap = 18, 5
	text := textStyle(textSize)
	text.YAlign = draw.YCenter
	for _, r := range c.kinds {
		middle := at.Y + 4
		newMark(r, 0).draw(whole, at.X, at.X+thumb, at.X+thumb/2, middle)
		whole.FillText(text, vg.Point{X: at.X + thumb + gap, Y: middle}, r.subject)
		at.X += thumb + gap + text.Width(r.subject)*1.12 + 18 // other fonts are wider
	}
}

// line draws the line of the peer, at the ratio 1.
func (c Chart) line(p *plot.Plot) error {
	line, err := plotter.NewLine(plotter.XYs{{X: 1, Y: p.Y.Min}, {X: 1, Y: p.Y.Max}})
	if err != nil {
		return err
	}
	line.Color, line.Width = ink, 1
	p.Add(line)
	return nil
}

// place adds the rows from the top down. It returns the labels of the trials and the height of
// the chart in rows.
func (c Chart) place(p *plot.Plot) (labels []plot.Tick, height float64) {
	const gap = 0.7 // between trials, in rows
	height = gap
	for i, r := range c.rows {
		if i > 0 && r.label != c.rows[i-1].label {
			height += gap
		}
		height++
	}
	at := height - gap/2
	first := at // the upper edge of the trial
	for i, r := range c.rows {
		p.Add(newMark(r, at-0.5))
		at--
		if i+1 == len(c.rows) || c.rows[i+1].label != r.label {
			labels = append(labels, plot.Tick{Value: (first + at) / 2, Label: r.label})
			at -= gap
			first = at
		}
	}
	return labels, height
}

// textStyle is the style of a text, in points.
func textStyle(size vg.Length) draw.TextStyle {
	return draw.TextStyle{
		Color: ink, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}, Handler: plot.DefaultTextHandler,
	}
}

// styled sets the fonts and the colours of a plot.
func styled(p *plot.Plot) {
	p.BackgroundColor = color.White
	text := textStyle(textSize)
	p.X.Tick.Label.Font, p.X.Tick.Label.Color = text.Font, ink
	p.Y.Tick.Label.Font, p.Y.Tick.Label.Color = text.Font, ink
	p.X.LineStyle.Color, p.Y.LineStyle.Width = faint, 0
	p.X.Tick.LineStyle.Color, p.Y.Tick.LineStyle.Width = faint, 0
	p.Add(&plotter.Grid{Vertical: draw.LineStyle{Color: color.Gray{0xe8}, Width: 0.5}})
}

// portable names other fonts beside that of the library, which a reader's machine may lack.
func portable(svg []byte) []byte {
	return bytes.ReplaceAll(svg, []byte("font-family:Liberation Sans"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif"))
}

// darkColours replaces the colours of ink, paper and lines where the reader has a dark theme. The
// colours of the subjects stand out from both papers.
const darkColours = `<style>@media (prefers-color-scheme: dark) {
[style*="fill:#FFFFFF"] { fill: #18181a !important }
[style*="fill:#222222"] { fill: #ececea !important }
[style*="stroke:#222222"] { stroke: #ececea !important }
[style*="stroke:#C8C8C8"] { stroke: #5a5a60 !important }
[style*="stroke:#E8E8E8"] { stroke: #33333a !important }
}</style>
`

// inTheDark makes a chart follow the reader's theme. The chart has its own paper, so that it can be
// read on any page.
func inTheDark(svg []byte) []byte {
	return bytes.Replace(svg, []byte("<g "), []byte(darkColours+"<g "), 1)
}

// ratioTicks are the ticks of a logarithmic scale around 1.
type ratioTicks struct{}

func (ratioTicks) Ticks(least, greatest float64) []plot.Tick {
	var ticks []plot.Tick
	for _, v := range []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 6, 10, 20, 50, 100, 200, 500, 1000} {
		if v >= least && v <= greatest {
			ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', -1, 64)})
		}
	}
	return thinned(ticks, math.Log(greatest/least))
}

// thinned drops ticks that would stand too close together. 1 always stays.
func thinned(ticks []plot.Tick, width float64) (kept []plot.Tick) {
	near := func(a, b plot.Tick) bool { return math.Abs(math.Log(a.Value/b.Value)) < width/14 }
	for _, t := range ticks {
		one := plot.Tick{Value: 1}
		if t.Value != 1 && (near(t, one) || len(kept) > 0 && near(t, kept[len(kept)-1])) {
			continue
		}
		kept = append(kept, t)
	}
	return kept
}

// A mark is a row of a chart: a bar, a dot and the median in figures.
type mark struct {
	row   chartRow
	y     float64
	paint color.Color
	shape draw.GlyphDrawer
}

func newMark(r chartRow, y float64) mark {
	return mark{r, y, palette[r.kind%len(palette)], shapes[r.kind%len(shapes)]}
}

// Plot draws the mark.
func (m mark) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	r, at := m.row.ratio, y(m.y)
	m.draw(c, x(r.Min), x(r.Max), x(r.Median), at)
	figure := textStyle(textSize)
	figure.YAlign = draw.YCenter
	c.FillText(figure, vg.Point{X: x(r.Max) + 6, Y: at}, fmt.Sprintf("%.2f", r.Median))
}

// draw draws the bar and the dot.
func (m mark) draw(c draw.Canvas, from, to, dot, y vg.Length) {
	c.StrokeLine2(draw.LineStyle{Color: m.paint, Width: 2}, from, y, to, y)
	c.DrawGlyph(draw.GlyphStyle{Color: m.paint, Radius: 3.5, Shape: m.shape}, vg.Point{X: dot, Y: y})
}
