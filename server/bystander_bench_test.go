package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// BenchmarkBystander measures how long the requests of a connection take beside so many
// others that flood the loop: go test ./server -run - -bench Bystander -benchtime 2s. The
// Data of "lines" looks at each byte, as a parser does. The clients run in the same
// process, so give it two processors at least.
func BenchmarkBystander(b *testing.B) {
	for _, chunk := range []int{0, 1 << 20} {
		for _, flooders := range []int{0, 1, 16, 64} {
			for _, kind := range []string{"bytes", "lines"} {
				name := fmt.Sprintf("%s/flooders=%d", kind, flooders)
				if chunk > 0 {
					name += "/chunk=1MiB"
				}
				b.Run(name, func(b *testing.B) { bystander(b, chunk, flooders, kind == "lines") })
			}
		}
	}
}

func bystander(b *testing.B, chunk, flooders int, lines bool) {
	pong := []byte("+PONG\r\n")
	srv := &server.Server{Loops: 1, Chunk: chunk, Events: server.Events{Data: func(c *server.Conn) error {
		in := c.Next(-1)
		if len(in) == 1 {
			_, err := c.Write(pong)
			return err
		}
		for lines && len(in) > 0 {
			_, in, _ = bytes.Cut(in, []byte("\n"))
		}
		return nil
	}}}
	addr := serve(b, srv)
	flood := bytes.Repeat([]byte("PING\r\n"), 64<<10)
	for range flooders {
		c := client(b, addr).(*net.TCPConn)
		require.NoError(b, c.SetDeadline(time.Time{}))
		go func() {
			for {
				if _, err := c.Write(flood); err != nil {
					return
				}
			}
		}()
	}
	c := client(b, addr)
	require.NoError(b, c.SetDeadline(time.Time{}))
	reply := make([]byte, len(pong))
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		_, err := c.Write([]byte("x"))
		require.NoError(b, err)
		_, err = io.ReadFull(c, reply)
		require.NoError(b, err)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
