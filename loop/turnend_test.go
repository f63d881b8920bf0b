package loop_test

import (
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
)

func TestAtTurnEndComesAfterTheTasksOfTheTurn(t *testing.T) {
	l, err := loop.New(loop.Options{})
	require.NoError(t, err)
	var calls []string
	over := make(chan uint64, 2)
	require.NoError(t, l.Post(func() { // what a task posts runs together in the next turn
		_ = l.Post(func() {
			_ = l.AtTurnEnd(func() {
				calls = append(calls, "end")
				over <- l.Turns()
			})
			calls = append(calls, "task")
		})
		_ = l.Post(func() { calls = append(calls, "task") })
	}))
	<-over
	require.NoError(t, l.Close())
	require.Equal(t, "end", calls[len(calls)-1])
	require.Len(t, calls, 3)
	require.ErrorIs(t, l.AtTurnEnd(func() {}), loop.ErrLoopClosed)
}

func TestAtTurnEndOfASleepingLoop(t *testing.T) {
	l, err := loop.New(loop.Options{})
	require.NoError(t, err)
	defer l.Close()
	turns := make(chan uint64, 2)
	require.NoError(t, l.AtTurnEnd(func() {
		turns <- l.Turns()
		_ = l.AtTurnEnd(func() { turns <- l.Turns() })
	}))
	require.Less(t, <-turns, <-turns, "the second call is for the next turn")
}

// When a loop has made all calls, it sleeps again.
func TestAtTurnEndLeavesTheLoopAsleep(t *testing.T) {
	l, err := loop.New(loop.Options{BusyPoll: loop.NoBusyPoll})
	require.NoError(t, err)
	defer l.Close()
	called := make(chan struct{})
	require.NoError(t, l.AtTurnEnd(func() { close(called) }))
	<-called
	settled := make(chan uint64, 1)
	require.NoError(t, l.Post(func() { settled <- l.Turns() }))
	before := <-settled
	require.NoError(t, l.Post(func() { settled <- l.Turns() }))
	require.LessOrEqual(t, <-settled, before+3)
}
