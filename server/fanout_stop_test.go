package server_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// Callbacks write to connections of all loops. After any loop has read its last byte, the
// server sends all output of the callbacks before it closes any connection. Members of a
// chat talk until the server stops. When a member has got its own line back, every other
// member must get the line, too.
func TestShutdownLosesNothingBetweenLoops(t *testing.T) {
	const members = 6
	rounds := 12
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		var mu sync.Mutex
		room := map[*server.Conn]bool{}
		var passed atomic.Int64
		srv := &server.Server{Loops: 3, Events: server.Events{
			Open: func(c *server.Conn) error {
				mu.Lock()
				defer mu.Unlock()
				room[c] = true
				return nil
			},
			Data: func(c *server.Conn) error {
				p := c.Next(bytes.LastIndexByte(c.Peek(-1), '\n') + 1)
				passed.Add(int64(bytes.Count(p, []byte("\n"))))
				mu.Lock()
				defer mu.Unlock()
				for other := range room {
					if _, err := other.Write(p); err != nil {
						t.Errorf("round %d: a member was closed while another one is read: %v", round, err)
					}
				}
				return nil
			},
		}}
		addr := serve(t, srv)
		var clients []net.Conn
		for range members {
			clients = append(clients, client(t, addr))
		}
		weirtest.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(room) == members }, "all are in the room")
		var senders, readers sync.WaitGroup
		got := make([][]byte, members)
		for i, c := range clients {
			senders.Go(func() {
				for n := 0; ; n++ {
					if _, err := fmt.Fprintf(c, "%d:%06d\n", i, n); err != nil {
						return // the server has closed it
					}
				}
			})
			readers.Go(func() {
				got[i], _ = io.ReadAll(c)
				c.Close() // this ends the sender
			})
		}
		lines := rand.Int64N(20_000)
		weirtest.Eventually(t, func() bool { return passed.Load() >= lines }, "they talk")
		require.NoError(t, srv.Shutdown(t.Context()))
		senders.Wait()
		readers.Wait()
		counts := func(i int) (n int) { // lines that reached member i
			require.Equal(t, byte('\n'), append([]byte("\n"), got[i]...)[len(got[i])], "a whole line is last")
			return bytes.Count(got[i], []byte("\n"))
		}
		for i := range clients {
			require.Equal(t, counts(0), counts(i), "round %d: member %d has missed lines", round, i)
		}
	}
}
