package server_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/server"
	"github.com/stretchr/testify/require"
)

// stallsHere blocks, which a callback must not do.
func stallsHere(release chan struct{}) { <-release }

func TestWatchdogTellsWhereALoopIsHeldUp(t *testing.T) {
	t.Parallel()
	machine.WithTime(t, 100*time.Millisecond, func(limit time.Duration) bool {
		var log journal
		release := make(chan struct{})
		srv := &server.Server{Loops: 2, StallAfter: limit, Log: log.logger(), Events: server.Events{Data: func(c *server.Conn) error {
			if c.Peek(1)[0] == 's' {
				stallsHere(release)
			}
			return echo(c)
		}}}
		addr := serve(t, srv)
		letGo := sync.OnceFunc(func() { close(release) })
		t.Cleanup(letGo)
		// others reports whether a loop was held up because it did not get the processor.
		others := func() bool {
			return slices.ContainsFunc(srv.Stalls(), func(s server.Stall) bool { return !strings.Contains(s.Stack, "stallsHere") })
		}
		c := client(t, addr)
		for stalls := 1; stalls <= 2; stalls++ {
			send(t, c, "s")
			begin := time.Now()
			weirtest.Eventually(t, func() bool { return srv.Stats().Stalls == uint64(stalls) || others() }, "it is counted")
			require.GreaterOrEqual(t, time.Since(begin), limit/2, "not before its time, but for what it was late to begin")
			time.Sleep(2 * limit)
			var logged []string
			for _, line := range log.all() {
				if strings.Contains(line, "holds up an event loop") {
					logged = append(logged, line)
				}
			}
			if others() {
				return false
			}
			require.EqualValues(t, stalls, srv.Stats().Stalls, "once")
			require.Len(t, logged, stalls)
			require.Contains(t, logged[stalls-1], "stallsHere (watchdog_test.go:", "the stack, a frame after the other")
			require.NotContains(t, logged[stalls-1], "\n", "in one line")
			require.Contains(t, logged[stalls-1], "duration=")
			release <- struct{}{}
			expect(t, c, "s")
			weirtest.Eventually(t, func() bool { return log.count("turns again") >= stalls }, "the log has the end")
		}
		return true
	})
}

// The watchdog reports neither a sleeping loop nor a loop that runs turn after turn.
func TestWatchdogIsSilent(t *testing.T) {
	t.Parallel()
	machine.WithTime(t, 100*time.Millisecond, func(limit time.Duration) bool {
		var log journal
		srv := &server.Server{Loops: 2, StallAfter: limit, Log: log.logger(), Events: server.Events{Data: echo}}
		defer srv.Close()
		addr := serve(t, srv)
		stalled := machine.Stalls(t)
		time.Sleep(2 * limit)
		c := client(t, addr)
		for begin := time.Now(); time.Since(begin) < 2*limit; {
			send(t, c, "x")
			expect(t, c, "x")
		}
		time.Sleep(2 * limit)
		if stalled() > limit/4 && srv.Stats().Stalls > 0 {
			return false // a loop did not get the processor
		}
		require.Zero(t, srv.Stats().Stalls)
		require.Empty(t, log.all())
		return true
	})
}
