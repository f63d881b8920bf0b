package loop

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// If the call's context is done just when an event ends the wait, the waiter is not used
// again. The context's function may still look for the waiter, and would end another
// call.
func TestWaiterThatTheContextMayStillEnd(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	var r Blocking
	require.NoError(t, l.Register(&r.Registration, ours, DropWritable))
	ctx, cancel := context.WithCancel(context.Background())
	call := Call{Timeout: Forever, Context: ctx}
	_, err := r.Begin(Read, &call)
	require.NoError(t, err)

	var waited *waiter
	used, freed := make(chan struct{}), make(chan struct{})
	go func() {
		for r.Waiters() == 0 {
			runtime.Gosched()
		}
		r.mu.Lock()
		waited = r.parked[Read]
		cancel()
		r.state.Or(Read.of(readyBit))
		list := r.alert(Readable)
		list.wake(nil)
		<-used
		r.mu.Unlock()
		close(freed)
	}()
	err = r.Wait(Read, &call)
	var free []any
	for range 10 {
		free = append(free, waiters.Get())
	}
	close(used)
	<-freed
	r.End(Read, false)
	require.NoError(t, err)
	require.False(t, slices.Contains(free, any(waited)), "compared as pointers")
}

// MeetingTime bounds tests in which two goroutines meet again and again. On a busy machine
// each meeting may take as long as the system gives the processor to others.
const MeetingTime = 5 * time.Second

// Two goroutines may set the first deadlines of both directions at once.
func TestFirstDeadlinesOfBothDirections(t *testing.T) {
	const rounds = 20_000
	regs := make([]Blocking, rounds)
	var begun, ended atomic.Int32
	go func() {
		for i := range regs {
			Until(func() bool { return begun.Load() > int32(i) })
			regs[i].setLimit(Read, 1)
			ended.Add(1)
		}
	}()
	done := 0
	for start := time.Now(); done < rounds && time.Since(start) < MeetingTime; done++ {
		begun.Add(1)
		regs[done].setLimit(Write, 2)
		Until(func() bool { return ended.Load() > int32(done) })
	}
	begun.Store(rounds) // this ends the other
	Until(func() bool { return ended.Load() == rounds })
	for i := range done {
		require.EqualValues(t, 1, regs[i].limit(Read))
		require.EqualValues(t, 2, regs[i].limit(Write))
	}
}

// A program may set the first deadline just when a call in Receive, which has found none,
// begins to wait. The deadline still ends the call.
func TestFirstDeadlineAsReceiveBegins(t *testing.T) {
	l := handlerLoop(t)
	const rounds = 10_000
	regs := make([]Blocking, rounds)
	for i := range regs {
		r := &regs[i]
		r.loop, r.timer.Owner, r.interest = l, r, watchRead
		r.state.Store(2*oneCall | Read.of(heldBit) | Read.watched())
	}
	var begun atomic.Int32
	go func() {
		past := time.Now().Add(-time.Second)
		for i := range regs {
			Until(func() bool { return begun.Load() > int32(i) })
			spend(i % 97)
			regs[i].SetDeadline(Read, past) //nolint:errcheck // the registration is open
		}
	}()
	results := make(chan error, rounds)
	go func() {
		buf := make([]byte, 1)
		for i := range regs {
			begun.Add(1)
			spend(i % 89)
			_, _, _, err := regs[i].Receive(&Call{Timeout: Forever}, buf)
			results <- err
		}
	}()
	for range regs {
		select {
		case err := <-results:
			require.Equal(t, ErrTimeout, err)
		case <-time.After(time.Minute):
			require.Fail(t, "the call waits on")
		}
	}
}

// An answer of the kernel after the close does not make the kernel watch the descriptor
// again.
func TestDisproofAfterCloseDoesNotWatch(t *testing.T) {
	l := handlerLoop(t)
	ours, _ := handlerPair(t)
	var r Blocking
	require.NoError(t, l.Register(&r.Registration, ours, DropWritable))
	p, err := r.Probe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	p.Disprove(Readable)
	require.Zero(t, r.interest)
}

// A call on a file that epoll refuses does not park: no event would wake it.
func TestWaitOnWhatEpollRefuses(t *testing.T) {
	l := handlerLoop(t)
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	var r Blocking
	require.NoError(t, l.Register(&r.Registration, fd, DropWritable))
	defer r.Close()
	for _, ctx := range []context.Context{nil, t.Context()} {
		call := &Call{Timeout: Forever, Context: ctx}
		_, err = r.Begin(Read, call)
		require.NoError(t, err)
		require.ErrorIs(t, r.Wait(Read, call), unix.EPERM)
		require.Nil(t, r.parked[Read])
		r.End(Read, true)
	}
}
