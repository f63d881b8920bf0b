package server

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The process was stopped for an hour within a turn. No callback has held up the loop. One
// that does so before and afterwards is found.
func TestWatchdogDoesNotCountTheTimeOfAStoppedProcess(t *testing.T) {
	srv := &Server{Loops: 1, Log: slog.New(slog.DiscardHandler)}
	c, _ := attached(t, srv)
	srv.StallAfter = 4 * time.Second // for w only: the server has begun without a watchdog
	w := &watchdog{srv: srv}
	c.eng.do(func() {
		var l watched
		now := time.Now()
		look := func(after, missed time.Duration) int {
			now = now.Add(after)
			w.look(&l, 0, now, missed)
			return len(w.stalls)
		}
		require.Zero(t, look(0, 0))
		require.Zero(t, look(time.Second, 0))
		require.Zero(t, look(time.Hour, time.Hour-2*time.Second))
		require.Equal(t, 1, look(time.Second, 0))
		require.Equal(t, time.Hour+2*time.Second, w.stalls[0].For)
	})
}
