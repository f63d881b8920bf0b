package loop_test

import (
	"sync"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Readers get the turn in the order of their calls. Each has its own timeout.
func TestTurnsAreFirstInFirstOut(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	var order []int
	var mu sync.Mutex
	var results []chan error
	for i := range 5 {
		results = append(results, blocked(t, r, func() error {
			_, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever})
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			return err
		}))
	}
	start := time.Now()
	_, err := read(r, make([]byte, 1), &loop.Call{Timeout: 20 * time.Millisecond})
	require.ErrorIs(t, err, loop.ErrTimeout, "its time runs in the queue")
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
	for i, c := range results {
		unix.Write(peer, []byte("x"))
		require.NoError(t, <-c)
		mu.Lock()
		require.Equal(t, i, order[i])
		mu.Unlock()
	}
}

// A call with NoWait does not wait for the turn, either.
func TestTurnIsRefusedToACallThatDoesNotWait(t *testing.T) {
	r, _ := register(t, newLoop(t, loop.Options{}))
	_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	defer r.End(loop.Read, false)
	result := make(chan error, 1)
	go func() {
		_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.NoWait})
		result <- err
	}()
	waitFor(t, func() bool { return len(result)+r.Waiters() > 0 })
	require.Zero(t, r.Waiters())
	require.ErrorIs(t, <-result, loop.ErrTimeout)
}

// One event with data for two readers wakes both, because the first passes on the turn
// and the mark.
func TestReadyMarkIsHandedOn(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	a := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
	b := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
	unix.Write(peer, []byte("xy"))
	require.NoError(t, <-a)
	require.NoError(t, <-b)

	// Neither keeps the descriptor open.
	require.NoError(t, r.Close())
	n, err := unix.Read(peer, make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n)
}
