package server_test

import (
	"sync"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// Each reaches every connection on its loop, and a callback may call it.
func TestEach(t *testing.T) {
	const n = 10
	conns, open := opened()
	srv := &server.Server{Loops: 3, Events: server.Events{Open: open, Data: func(c *server.Conn) error {
		if string(c.Next(-1)) == "end" {
			c.Server().Each(func(c *server.Conn) { c.Close() })
			return nil
		}
		c.Server().Each(func(c *server.Conn) { _, _ = c.WriteString("to all") })
		return nil
	}}}
	<-srv.Each(func(*server.Conn) { panic("called") }) // the server has not started
	addr := serve(t, srv)
	first := client(t, addr)
	all := []interface{ Read([]byte) (int, error) }{first}
	for range n - 1 {
		all = append(all, client(t, addr))
	}
	for range n {
		weirtest.Take(t, conns)
	}
	var mu sync.Mutex
	seen := map[*server.Conn]bool{}
	weirtest.Take(t, srv.Each(func(c *server.Conn) {
		mu.Lock()
		defer mu.Unlock()
		require.False(t, seen[c], "once")
		seen[c] = true
	}))
	require.Len(t, seen, n)
	send(t, first, "x")
	for _, c := range all {
		expect(t, c, "to all")
	}
	weirtest.Take(t, srv.Each(func(c *server.Conn) { panic("on purpose") }))
	require.EqualValues(t, n, srv.Stats().Panics)
	send(t, first, "end")
	for _, c := range all {
		expectEnd(t, c)
	}
	require.NoError(t, srv.Close())
	<-srv.Each(func(*server.Conn) { panic("called") })
}
