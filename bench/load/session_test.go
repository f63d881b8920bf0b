package load

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An exchange that takes longer than the window ends in it nevertheless: the window waits for it.
func TestSessionWaitsForASlowExchange(t *testing.T) {
	const slow = 50 * time.Millisecond
	session := NewSession()
	client := session.Add()
	var running sync.WaitGroup
	var failure error
	running.Go(func() { failure = client.Run(func() error { time.Sleep(slow); return nil }) })
	usage, err := session.Measure(os.Getpid(), slow/2, time.Millisecond, time.Minute)
	require.NoError(t, err)
	running.Wait()
	require.NoError(t, failure)
	require.GreaterOrEqual(t, usage.Elapsed, slow, "an exchange began and ended in the window")
	got, err := session.Finish(usage)
	require.NoError(t, err)
	require.GreaterOrEqual(t, got.Requests, int64(2), "with the one that began before")
	require.Greater(t, got.P50, slow*9/10)
}

func TestSessionOfAFailingClient(t *testing.T) {
	session := NewSession()
	broken := errors.New("broken")
	require.Equal(t, broken, session.Add().Run(func() error { return broken }))
	usage, err := session.Measure(os.Getpid(), 0, time.Millisecond, time.Millisecond)
	require.NoError(t, err)
	_, err = session.Finish(usage)
	require.ErrorContains(t, err, "no answer came within")
}
