package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each of 20 clients sends 15 MB of a request that never ends, and asks for replies that it
// never reads. They are disconnected, and another client is served.
func TestMemoryIsForRequestsAndReplies(t *testing.T) {
	p := start(t, "-memory", "64MB")
	value := request("SET", "k", strings.Repeat("v", 1<<20))
	s := open(t, p)
	_, err := s.Write(value)
	require.NoError(t, err)
	_, err = s.reply()
	require.NoError(t, err)
	var clients sync.WaitGroup
	for i := range 20 {
		c := open(t, p)
		clients.Go(func() {
			if i%2 == 0 {
				fmt.Fprintf(c, "*2\r\n$4\r\nECHO\r\n$%d\r\n", 16<<20-100)
				c.Write(make([]byte, 15<<20))
				return
			}
			for range 100 {
				c.Write(request("GET", "k"))
			}
		})
	}
	clients.Wait()
	_, err = s.Write(request("INFO"))
	require.NoError(t, err)
	info, err := s.reply()
	require.NoError(t, err)
	_, rest, found := strings.Cut(info, "used_memory:")
	require.True(t, found, info)
	used, err := strconv.Atoi(strings.TrimSpace(rest[:strings.IndexByte(rest, '\n')]))
	require.NoError(t, err)
	require.LessOrEqual(t, used, 64<<20)
	require.Contains(t, p.Await("connection broken"), "memory")
	p.Stop()
}
