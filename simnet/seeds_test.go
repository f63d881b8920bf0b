package simnet_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/stretchr/testify/require"
)

// seeds is simnet.Seeds, with fewer seeds under the race detector, which is slow.
func seeds(t *testing.T, count int, f func(t *testing.T, seed uint64)) {
	t.Helper()
	if race.Enabled {
		count /= 10
	}
	simnet.Seeds(t, count, f)
}

// bad is a link on which much goes wrong.
var bad = simnet.Link{Latency: time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.1, Duplicate: 0.1}

// traffic has clients talk to an echo server, and returns the trace.
func traffic(t *testing.T, seed uint64) (trace string) {
	n := simnet.New(t, simnet.Options{Seed: seed, Trace: true, Link: bad})
	srv := echo(t, n.Host("10.0.0.1"), 2, server.Timeouts{Idle: time.Minute})
	var clients sync.WaitGroup
	for i := range 4 {
		h := n.Host(fmt.Sprintf("10.0.0.%d", i+2))
		clients.Go(func() {
			c := dial(t, h)
			defer c.Close()
			sent := bytes.Repeat([]byte{byte(i)}, 5000)
			_, err := c.Write(sent)
			require.NoError(t, err)
			got := make([]byte, len(sent))
			_, err = io.ReadFull(c, got)
			require.NoError(t, err)
			require.Equal(t, sent, got)
		})
	}
	clients.Wait()
	require.NoError(t, srv.Close())
	n.Close()
	return n.Trace()
}

// The same seed gives the same trace.
func TestDeterminism(t *testing.T) {
	var first string
	different := 0
	for seed := range uint64(20) {
		var traces [2]string
		for i := range traces {
			synctest.Test(t, func(t *testing.T) { traces[i] = traffic(t, seed) })
		}
		require.NotEmpty(t, traces[0])
		requireSame(t, seed, traces)
		if traces[0] != first {
			different++
		}
		first = traces[0]
	}
	require.Equal(t, 20, different)
}

// requireSame fails the test at the first difference.
func requireSame(t *testing.T, seed uint64, traces [2]string) {
	a, b := strings.Split(traces[0], "\n"), strings.Split(traces[1], "\n")
	for i := range min(len(a), len(b)) {
		require.Equal(t, a[i], b[i], "seed %d, line %d of %d", seed, i, len(a))
	}
	require.Len(t, b, len(a))
}

// A failing seed is named, with the command that runs it again.
func TestFailingSeed(t *testing.T) {
	const marker = "WEIR_SIMNET_FAILS"
	if os.Getenv(marker) != "" {
		simnet.Seeds(t, 5, func(t *testing.T, seed uint64) {
			if seed == 3 {
				t.Fatal("on purpose")
			}
		})
		return
	}
	for args, want := range map[string]string{
		"":             "seed 3 has failed: go test -run '^TestFailingSeed$' . -args -sim.seed=3",
		"-sim.seed=3":  "seed 3 has failed",
		"-sim.seed=4":  "PASS",
		"-sim.seeds=2": "PASS",
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFailingSeed$")
		if args != "" {
			cmd.Args = append(cmd.Args, args)
		}
		cmd.Env = append(os.Environ(), marker+"=1")
		out, err := cmd.CombinedOutput()
		require.Contains(t, string(out), want, args)
		require.Equal(t, want == "PASS", err == nil, args)
	}
}
