package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// same compares two results without printing megabytes.
func same(t *testing.T, want, got []byte) {
	t.Helper()
	require.Equal(t, len(want), len(got), "bytes came back")
	require.True(t, bytes.Equal(want, got), "other bytes came back than were sent")
}

// both runs a test with each of the clients.
func both(t *testing.T, test func(t *testing.T, p *program, client func() *exec.Cmd)) {
	t.Run("socat", func(t *testing.T) {
		p := start(t)
		test(t, p, p.socat)
	})
	t.Run("nc", func(t *testing.T) {
		p := start(t)
		test(t, p, p.nc)
	})
}

// The client ends its stream long before it has received everything. The server still
// echoes everything.
func TestFile(t *testing.T) {
	both(t, func(t *testing.T, p *program, client func() *exec.Cmd) {
		data := random(8 << 20)
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		file, err := os.Open(path)
		require.NoError(t, err)
		defer file.Close()

		cmd := client()
		cmd.Stdin = file
		got, err := cmd.Output()
		require.NoError(t, err)
		same(t, data, got)
		p.stop()
	})
}

func TestHalfClose(t *testing.T) {
	both(t, func(t *testing.T, p *program, client func() *exec.Cmd) {
		c := talk(t, client())
		first := []byte("first")
		require.Equal(t, first, c.exchange(first))

		last := random(1 << 20)
		go func() {
			c.Write(last)
			c.Close()
		}()
		same(t, last, c.rest())
		p.stop()
	})
}

func TestNothingSent(t *testing.T) {
	both(t, func(t *testing.T, p *program, client func() *exec.Cmd) {
		require.Empty(t, talk(t, client()).finish())
		p.stop()
	})
}

func TestIdleClientIsCut(t *testing.T) {
	machine.WithTime(t, 200*time.Millisecond, func(timeout time.Duration) bool {
		p := start(t, "-timeout", timeout.String())
		c := talk(t, p.stayer())
		var begun time.Time
		for range 3 { // each receive has the whole timeout
			begun = time.Now()
			go c.Write([]byte("still here"))
			got := make([]byte, len("still here"))
			if _, err := io.ReadFull(c, got); err != nil {
				return false // the machine stood still for longer than the timeout
			}
			require.Equal(t, "still here", string(got))
		}
		require.Empty(t, c.rest(), "no more than was sent")
		require.GreaterOrEqual(t, time.Since(begun), timeout)
		require.Contains(t, p.Await("timed out"), "timeout="+timeout.String())
		p.stop()
		return true
	})
}

// A client that sends and never reads must not hold its place for ever.
func TestClientThatNeverReadsIsCut(t *testing.T) {
	p := start(t, "-timeout", "200ms")
	c := talk(t, programtest.Tool(t, "socat", "-u", "-", "TCP:"+p.Addr))
	go c.Write(random(64 << 20)) // more than all buffers between the two hold
	p.Await("timed out")
	p.stop()
}

func TestTimeoutZeroIsNone(t *testing.T) {
	p := start(t, "-timeout", "0")
	c := talk(t, p.socat())
	require.Equal(t, []byte("a"), c.exchange([]byte("a")))
	require.Equal(t, []byte("b"), c.exchange([]byte("b")))
	require.Empty(t, c.finish())
	p.stop()
}

func TestManyClientsAtOnce(t *testing.T) {
	const count = 100
	machine.NeedFiles(t, 3*count+50)
	p := start(t)
	clients := make([]*client, count)
	for i := range clients {
		cmd := p.socat()
		if i%2 == 1 {
			cmd = p.nc()
		}
		clients[i] = talk(t, cmd)
	}
	// The server serves all clients before the first one ends.
	for _, c := range clients {
		data := random(1000)
		same(t, data, c.exchange(data))
	}
	for _, c := range clients {
		data := random(100_000)
		same(t, data, c.exchange(data))
		require.Empty(t, c.finish())
	}
	p.stop()
}

func TestIPv6(t *testing.T) {
	machine.NeedIPv6(t)
	p := launch(t, weirtest.Command(context.Background(), "-address", "[::1]:0"))
	require.Contains(t, p.Addr, "[::1]:")
	c := talk(t, programtest.Tool(t, "socat", "-t", "60", "-", "TCP6:"+p.Addr))
	require.Equal(t, []byte("six"), c.exchange([]byte("six")))
	require.Empty(t, c.finish())
	p.stop()
}
