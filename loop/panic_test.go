package loop

import (
	"sync"
	"testing"

	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// reports collects the values of panics.
type reports struct {
	mu     sync.Mutex
	values []any
}

func (r *reports) add(v any, stack []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(stack) == 0 {
		v = "no stack"
	}
	r.values = append(r.values, v)
}

func (r *reports) all() []any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]any(nil), r.values...)
}

func TestProtect(t *testing.T) {
	var r reports
	require.False(t, Protect(r.add, func() {}))
	require.True(t, Protect(r.add, func() { panic("x") }))
	require.Equal(t, []any{"x"}, r.all())
}

// The loop reports a panic of a task or a timer to every function that is set, until its
// stop is called. A report that panics does no harm.
func TestOnPanic(t *testing.T) {
	var option, first, second reports
	l, err := New(Options{PanicReport: option.add})
	require.NoError(t, err)
	defer l.Close()
	stop := l.OnPanic(first.add)
	defer l.OnPanic(second.add)()
	defer l.OnPanic(func(any, []byte) { panic("a report") })()
	l.OnPanic(nil)()
	fired := make(chan struct{})
	_, err = l.AfterFunc(0, func() { defer close(fired); panic("timer") })
	require.NoError(t, err)
	<-fired
	onLoop(t, l, func() {})
	stop()
	stop()
	require.NoError(t, l.Post(func() { panic("task") }))
	onLoop(t, l, func() {})
	require.Equal(t, []any{"timer", "task"}, option.all())
	require.Equal(t, []any{"timer"}, first.all())
	require.Equal(t, []any{"timer", "task"}, second.all())
	require.EqualValues(t, 2, l.Panics())
}

// The loop reports a panic of each method of a handler, and still calls the other
// handlers of the turn.
func TestPanicOfAHandler(t *testing.T) {
	var r reports
	l, err := New(Options{PanicReport: r.add})
	require.NoError(t, err)
	defer l.Close()
	const n = 3
	var hs [n]*recorder
	var called [n]chan poller.Readiness
	onLoop(t, l, func() { // so that one turn finds all of them
		for i := range hs {
			called[i] = make(chan poller.Readiness, 16)
			hs[i] = newRecorder(func(ev poller.Readiness) { called[i] <- ev; panic(i) })
			ours, theirs := handlerPair(t)
			require.NoError(t, l.Handle(&hs[i].reg, ours, hs[i].handler()))
			unix.Write(theirs, []byte("x"))
		}
	})
	for i := range hs {
		require.NotZero(t, <-called[i])
	}
	onLoop(t, l, func() {
		for _, h := range hs {
			h.reg.Poke()
		}
	})
	for i := range hs {
		require.Zero(t, <-called[i])
	}
	onLoop(t, l, func() {})
	require.ElementsMatch(t, []any{0, 1, 2, 0, 1, 2}, r.all())
	require.EqualValues(t, 2*n, l.Panics())

	p := &panicker{}
	var handler Handler = p
	ours, _ := handlerPair(t)
	require.NoError(t, l.Handle(&p.reg, ours, &handler))
	onLoop(t, l, func() { p.reg.ExpireAt(l.Now()) })
	Until(func() bool { return l.Panics() == 2*n+1 })
	require.NoError(t, l.Close())
	require.Equal(t, []any{"expire", "closed"}, r.all()[2*n:])
}

// A panicker panics in Expire and in Closed.
type panicker struct{ reg Handled }

func (*panicker) Ready(poller.Readiness) {}
func (*panicker) Expire()                { panic("expire") }
func (*panicker) Closed()                { panic("closed") }

// A server makes every callback by Protect, so Protect must not allocate.
func TestProtectAllocatesNothing(t *testing.T) {
	called := 0
	require.Zero(t, testing.AllocsPerRun(100, func() {
		var failed any
		Protect(func(v any, _ []byte) { failed = v }, func() { called++ })
		if failed != nil {
			called = 0
		}
	}))
	require.Positive(t, called)
}
