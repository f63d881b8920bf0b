package simnet_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-2334f180/weir/server"
	"github.com/seed-2334f180/weir/simnet"
	"github.com/stretchr/testify/require"
)

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
