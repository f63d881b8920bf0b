package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every subject takes part, works, and is shown and written.
func TestSuitesOfEverySubject(t *testing.T) {
	echoing := func(s subject) bool { return s.serveEcho != nil }
	for _, c := range []struct {
		suite       string
		conns       []int
		sizes       []int
		can         func(subject) bool
		metric      string
		trials      int
		alsoPresent string
	}{
		{"echo", []int{8}, []int{1}, echoing, reqPerSec, 1, "gnet"},
		// The header alone; frames that no read ends with; more than a buffer of any subject holds.
		{"pipeline", []int{2}, []int{5, 7777, 100_000}, func(s subject) bool { return s.servePipeline != nil }, reqPerSec, 3, "netpoll"},
		{"bulk", []int{2}, []int{300_000}, echoing, mibPerSec, 1, "nbio"},
		{"churn", []int{4}, []int{16}, echoing, connPerSec, 1, "netpoll"},
		{"scale", []int{8, 1}, []int{128}, echoing, growth, 1, "raw"},
		{"udp", nil, []int{8}, func(s subject) bool { return s.serveUDP != nil }, reqPerSec, len(udpSettings), "weir-batch"},
	} {
		t.Run(c.suite, func(t *testing.T) {
			opts := options{suites: []string{c.suite}, subjects: realSubjects, conns: c.conns, sizes: c.sizes, dur: 10 * time.Millisecond, reps: 1}
			shown, values := runSuite(t, opts, c.metric)
			serving := able(realSubjects, c.can)
			require.Contains(t, serving, c.alsoPresent)
			for _, name := range serving {
				require.Contains(t, shown, "│ "+name+" ")
			}
			require.Len(t, values, c.trials*len(serving))
			for _, v := range values {
				require.Positive(t, v)
			}
		})
	}
}

// runSuite returns what is printed, and the medians of one metric.
func runSuite(t *testing.T, opts options, metric string) (shown string, medians []float64) {
	t.Helper()
	opts.json = filepath.Join(t.TempDir(), "out.jsonl")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	require.NoError(t, measureAll(testContext(t), opts, out, out))
	requireNoChildren(t)

	text, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	lines, err := os.ReadFile(opts.json)
	require.NoError(t, err)
	for decoder := json.NewDecoder(bytes.NewReader(lines)); ; {
		var line struct {
			figureLine
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
	opts := options{suites: []string{"udp"}, subjects: []string{"nbio"}, dur: time.Millisecond, reps: 1}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	require.EqualError(t, measureAll(testContext(t), opts, null, null), "suite udp: none of the chosen subjects takes part in it")

	opts.suites, opts.conns = []string{"udp", "echo"}, []int{1}
	shown, rates := runSuite(t, opts, reqPerSec)
	require.Contains(t, shown, "note: suite udp: none of the chosen subjects takes part in it: left out")
	require.Len(t, rates, 1)
}

// The suites' own settings must be what they can be run with.
func TestOwnSettingsAreAllowed(t *testing.T) {
	for _, s := range suites {
		for _, size := range s.sizes {
			require.NoError(t, s.sizeAllowed(size), s.name)
		}
		for _, n := range s.conns {
			require.NoError(t, within("conns", n, 1, maxConns), s.name)
		}
	}
}

func TestWrongServersAreNoticed(t *testing.T) {
	for _, c := range []struct {
		subject, kind string
		conns, burst  int
		why           string
	}{
		{"corrupt", "echo", 1, 1, "echo-load: connection 0, message 5: byte 127 came back as"},
		{"forgetful", "echo", 3, 1, "echo-load: 3 of 3 got no answer within 200ms"},
		{"babbling", "echo", 1, 1, "echo-load: connection 0, message 5: 129 bytes came back of 128 that were sent"},
		{"unframed", "pipeline", 1, 16, "echo-load: connection 0, message 1: byte 4 came back as 0x51, not 0x41"},
		{"hasty", "echo", 1, 1, "echo-load: connection 0, message 2: "},
		{"hoarding", "churn", 2, 1, "churn-load: within 200ms the server did not close "},
		{"corrupt", "udp", 1, 4, "udp-load: client 0: byte 127 came back as"},
		{"forgetful", "udp", 2, 4, "udp-load: 8 of 8 got no answer within 200ms"},
		{"babbling", "udp", 1, 4, "udp-load: client 0: 128 bytes were sent and 129 came back"},
		{"duplicating", "udp", 1, 4, "udp-load: client 0: a datagram came that nobody waits for"},
	} {
		t.Run(c.subject+" "+c.kind, func(t *testing.T) {
			roles := map[string][2]string{
				"echo":     {"echo-server", "echo-load"},
				"pipeline": {"pipeline-server", "echo-load"},
				"churn":    {"echo-server", "churn-load"},
				"udp":      {"udp-server", "udp-load"},
			}[c.kind]
			server, addr, err := startServer(testContext(t), testEnv(), roles[0], c.subject, 128)
			require.NoError(t, err)
			defer server.stop() //nolint:errcheck // not what is tested
			_, err = ask[loadResult](testContext(t), place{anywhere, 1}, roles[1], loadOrder{
				Addr: addr, ServerPID: server.cmd.Process.Pid,
				Conns: c.conns, Size: 128, Burst: c.burst, Framed: c.kind == "pipeline",
				WarmUp: time.Millisecond, Window: 100 * time.Millisecond, Patience: 200 * time.Millisecond,
			})
			require.ErrorContains(t, err, c.why)
		})
	}
	requireNoChildren(t)
}

// Results that cannot be written are a failure, which is told before anything is measured.
func TestFullOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	opts, err := parseOptions([]string{"-suite", "udp", "-subjects", "raw"}, io.Discard)
	require.NoError(t, err)
	require.EqualError(t, measureAll(testContext(t), opts, full, full), "results: write /dev/full: no space left on device")
}
