package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/internal/race"
	"github.com/stretchr/testify/require"
)

// The room has hundreds of members, and one does not read. All others see every line at
// once, in one order. When that member reads again, it sees the first lines, and how many
// are missing.
func TestCrowd(t *testing.T) {
	const people, talkers, each = 200, 20, 60
	// If the member that does not read delayed the others, they would wait for an hour.
	p := start(t, "-queue", fmt.Sprint(leastQueue), "-write", "1h")
	stuck := joinNarrow(t, p)
	var all []*person
	for range people {
		all = append(all, join(t, p))
	}
	words := strings.Repeat("words ", 150)
	seen := make([][]string, people)
	var reading sync.WaitGroup
	var mu sync.Mutex             // guards the next
	heard := make([]int, talkers) // how often a member has seen a line of this talker
	say := func(talker, n int) {
		all[talker].says("%d %s", n, words)
	}
	number := make(map[string]int) // the number of each talker
	for i := range talkers {
		number["<"+all[i].nick+">"] = i
	}
	for i, who := range all {
		reading.Go(func() {
			for len(seen[i]) < talkers*each {
				line, err := who.lines.ReadString('\n')
				if err != nil {
					t.Errorf("%s ends with %v after %d lines", who.nick, err, len(seen[i]))
					return
				}
				if line[0] != '<' {
					continue // a member has joined
				}
				seen[i] = append(seen[i], line[:strings.Index(line, " w")])
				nick, _, _ := strings.Cut(line, " ")
				talker := number[nick]
				mu.Lock()
				heard[talker]++
				n := heard[talker]
				mu.Unlock()
				// All members wait until all have seen the line. So a slow reader on a
				// busy machine does not fall behind its queue.
				if n%people == 0 && n < each*people {
					say(talker, n/people)
				}
			}
		})
	}
	for i := range talkers {
		say(i, 0)
	}
	reading.Wait()
	if t.Failed() {
		return
	}
	for _, other := range seen[1:] {
		require.Equal(t, seen[0], other)
	}
	spoken := make(map[string]int)
	for _, line := range seen[0] {
		nick, n, _ := strings.Cut(line, " ")
		require.Equal(t, fmt.Sprint(spoken[nick]), n)
		spoken[nick]++
	}

	// Now the member that did not read reads.
	var got []string
	for {
		line := stuck.sees()
		if strings.HasSuffix(line, "you read too slowly") {
			var missing int
			_, err := fmt.Sscanf(line, "* %d lines were left out", &missing)
			require.NoError(t, err)
			require.Equal(t, talkers*each, len(got)+missing)
			break
		}
		if line[0] == '<' {
			got = append(got, line[:strings.Index(line, " w")])
		}
	}
	require.Equal(t, seen[0][:len(got)], got)
	all[0].says("after that")
	require.Contains(t, stuck.until("<"), "after that", "it goes on")
	for _, who := range append(all, stuck) {
		require.NoError(t, who.Close())
	}
	p.Stop()
}

// One member talks without end, and another never reads. The queue is bounded.
func TestFloodIsBounded(t *testing.T) {
	const flood = 64 << 20
	// Otherwise the test would also measure garbage, and how late a busy machine collects it. Each
	// loop has a queue.
	t.Setenv("GOGC", "20")
	p := start(t, "-write", "1h", "-loops", "2")
	stuck, talker := joinNarrow(t, p), join(t, p)
	before := resident(t, p)
	line := strings.Repeat("x", 1000) + "\n"
	go func() {
		w := bufio.NewWriterSize(talker, 64<<10)
		for range flood / len(line) {
			if _, err := w.WriteString(line); err != nil {
				t.Error(err)
				return
			}
		}
		if _, err := w.WriteString("/quit\n"); err != nil || w.Flush() != nil {
			t.Error(err)
		}
	}()
	_, err := io.Copy(io.Discard, talker) // until the talker has said everything
	require.NoError(t, err)
	most := flood / 2
	if race.Enabled { // it keeps several bytes for each byte
		most *= 4
	}
	require.Less(t, resident(t, p)-before, most)
	require.NoError(t, stuck.Close())
	p.Stop()
}

// resident returns the most memory that the program has had so far, in bytes.
func resident(t *testing.T, p *programtest.Program) (bytes int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	require.True(t, found)
	_, err = fmt.Sscan(rest, &bytes)
	require.NoError(t, err)
	return bytes << 10
}
