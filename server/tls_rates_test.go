package server_test

import (
	"crypto/tls"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/race"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// processorTime returns how long the process has run on a processor.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The rates limit TLS connections, too, and a connection that waits for its rate takes no
// processor time.
func TestTLSRates(t *testing.T) {
	const rate, burst, total = 400_000, 20_000, 140_000
	for name, rates := range map[string]server.Rates{"read": {Read: rate, ReadBurst: burst}, "write": {Write: rate, WriteBurst: burst}} {
		t.Run(name, func(t *testing.T) {
			eachTLS(t, func(t *testing.T, srv *server.Server, config *tls.Config) {
				srv.Rates = rates
				c := tlsClient(t, serve(t, srv), config)
				start, used := time.Now(), processorTime(t)
				var writer sync.WaitGroup
				writer.Go(func() {
					if _, err := c.Write(pattern(total)); err != nil {
						t.Error(err)
					}
				})
				got := make([]byte, total)
				_, err := io.ReadFull(c, got)
				require.NoError(t, err)
				writer.Wait()
				require.Equal(t, pattern(total), got)
				took := time.Since(start)
				require.GreaterOrEqual(t, took, time.Second*(total-burst)/rate)
				if !race.Enabled {
					require.Less(t, processorTime(t)-used, took/8)
				}
			})
		})
	}
}
