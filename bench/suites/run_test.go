package suites

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/report"
	"github.com/stretchr/testify/require"
)

// runSuite returns what is printed, and the medians of one metric.
func runSuite(t *testing.T, opts Options, metric string) (shown string, medians []float64) {
	t.Helper()
	opts.JSON = filepath.Join(t.TempDir(), "out.jsonl")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	require.NoError(t, Run(benchtest.Context(t), opts, out, out))
	benchtest.NoChildren(t)

	text, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	lines, err := os.ReadFile(opts.JSON)
	require.NoError(t, err)
	for decoder := json.NewDecoder(bytes.NewReader(lines)); ; {
		var line struct {
			report.FigureLine
			Peer string `json:"peer"`
		}
		err := decoder.Decode(&line)
		if err == io.EOF {
			return string(text), medians
		}
		require.NoError(t, err)
		if line.Metric == metric && line.Peer == "" {
			medians = append(medians, line.Median)
		}
	}
}

func TestSuiteWithoutSubjects(t *testing.T) {
	opts := Options{Suites: []string{"udp"}, Subjects: []string{"nbio"}, Dur: time.Millisecond, Reps: 1}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	require.EqualError(t, Run(benchtest.Context(t), opts, null, null), "suite udp: none of the chosen subjects takes part in it")

	opts.Suites, opts.Settings.Conns = []string{"udp", "echo"}, []int{1}
	shown, rates := runSuite(t, opts, reqPerSec)
	require.Contains(t, shown, "note: suite udp: none of the chosen subjects takes part in it: left out")
	require.Len(t, rates, 1)
}

// The page and the chart are of the suites that ran. A path that cannot be written fails
// before anything is measured.
func TestPageAndChart(t *testing.T) {
	dir := t.TempDir()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	opts := Options{
		Suites: []string{"echo"}, Subjects: []string{"weir", "net"}, Settings: Settings{Conns: []int{2}}, Dur: 5 * time.Millisecond, Reps: 1,
		HTML: filepath.Join(dir, "page.html"), Markdown: filepath.Join(dir, "results.md"), SVG: filepath.Join(dir, "chart.svg"), Command: "the command",
	}
	require.NoError(t, Run(benchtest.Context(t), opts, null, null))
	page, err := os.ReadFile(opts.HTML)
	require.NoError(t, err)
	require.Contains(t, string(page), "the command")
	require.Contains(t, string(page), "req/s beside net")
	document, err := os.ReadFile(opts.Markdown)
	require.NoError(t, err)
	require.Contains(t, string(document), "## echo")
	chart, err := os.ReadFile(opts.SVG)
	require.NoError(t, err)
	require.Contains(t, string(chart), "req/s beside net")

	for flag, to := range map[string]*string{"html": &opts.HTML, "md": &opts.Markdown, "svg": &opts.SVG} {
		opts.HTML, opts.Markdown, opts.SVG = "", "", ""
		path := filepath.Join(dir, "no", "such")
		*to = path
		err := Run(benchtest.Context(t), opts, null, null)
		require.ErrorIs(t, err, os.ErrNotExist)
		require.ErrorContains(t, err, "-"+flag+": open "+path)
	}
}

// Results that cannot be written are a failure, which is told before anything is measured.
func TestFullOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	opts := Options{Suites: []string{"udp"}, Subjects: []string{"raw"}, Dur: time.Millisecond, Reps: 1}
	require.EqualError(t, Run(benchtest.Context(t), opts, full, full), "results: write /dev/full: no space left on device")
}

// What was measured before an interruption is written.
func TestAnInterruptedRunWritesWhatItHas(t *testing.T) {
	before := All
	t.Cleanup(func() { All = before })
	ctx, cancel := context.WithCancel(benchtest.Context(t))
	defer cancel()
	All = append(slices.Clip(All), Suite{Name: "interrupted", tables: func(env) ([]report.Table, error) { cancel(); return nil, ctx.Err() }})
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	opts := Options{
		Suites: []string{"echo", "interrupted", "udp"}, Subjects: []string{"weir", "net"}, Settings: Settings{Conns: []int{2}}, Dur: 5 * time.Millisecond, Reps: 1,
		Markdown: filepath.Join(t.TempDir(), "results.md"),
	}
	require.ErrorIs(t, Run(ctx, opts, null, null), context.Canceled)
	document, err := os.ReadFile(opts.Markdown)
	require.NoError(t, err)
	require.Contains(t, string(document), "## echo")
	require.NotContains(t, string(document), "## udp")
}

// A suite that fails does not take the results of the others away.
func TestTheOthersAreMeasuredWhenASuiteFails(t *testing.T) {
	before := All
	t.Cleanup(func() { All = before })
	All = append(slices.Clip(All), Suite{Name: "failing", tables: func(env) ([]report.Table, error) { return nil, errors.New("no luck") }})
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	opts := Options{
		Suites: []string{"failing", "echo"}, Subjects: []string{"weir", "net"}, Settings: Settings{Conns: []int{2}}, Dur: 5 * time.Millisecond, Reps: 1,
		Markdown: filepath.Join(t.TempDir(), "results.md"),
	}
	require.EqualError(t, Run(benchtest.Context(t), opts, null, null), "suite failing: no luck")
	document, err := os.ReadFile(opts.Markdown)
	require.NoError(t, err)
	require.Contains(t, string(document), "## echo")
}
