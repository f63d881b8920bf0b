package soak

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A client that nobody answers is found when the others have done enough, and its call
// ends.
func TestStuckClientIsFound(t *testing.T) {
	b := &bed{start: time.Now(), patience: 20 * time.Millisecond}
	c := &client{bed: b, ctx: t.Context(), connecting: make(chan struct{}, 1)}
	c.pace.kind = 3
	c.step()
	var running atomic.Int64
	running.Store(11)
	over := make(chan struct{})
	attended := make(chan struct{})
	go func() {
		defer close(attended)
		b.attend([]*client{c}, &running, over)
	}()
	silent := weirtest.Listen(t).LocalAddr()
	failed := make(chan error, 1)
	go func() { failed <- c.connect(silent) }()
	weirtest.Eventually(t, func() bool { return b.stuckFor(&c.pace) > 2*b.patience }, "the patience is over")
	require.Empty(t, failed, "the others have done nothing yet")

	b.done.Add(overtakes*10 - 1)
	require.NoError(t, b.stuck(&c.pace, running.Load()), "one job is missing")
	b.done.Add(1)
	require.ErrorIs(t, weirtest.Take(t, failed), unix.EINTR)
	close(over)
	<-attended
	require.ErrorContains(t, b.wrong[3], "while 200 jobs of others were done")
	c.leave()
}
