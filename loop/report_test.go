package loop

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// deaf is an observer that does nothing.
type deaf struct{}

func (deaf) Notify(*Hook, Notice) {}

// When a descriptor of DropWritable becomes writable, the kernel is asked for that no
// more, unless somebody waits for it.
func TestWritableIsDropped(t *testing.T) {
	for name, c := range map[string]struct {
		edges    WriteEdges
		observes Interest
		watched  bool // for writing, before
		waits    bool // a call waits to write
		event    poller.Readiness
		want     poller.Readiness
	}{
		"nobody waits":             {DropWritable, 0, true, false, poller.Writable, watchRead},
		"an observer of reading":   {DropWritable, Readable, true, false, poller.Writable, watchRead},
		"an observer of writing":   {DropWritable, Writable, true, false, poller.Writable, watchWrite},
		"an observer of both":      {DropWritable, Readable | Writable, true, false, poller.Writable, watchWrite},
		"a call":                   {DropWritable, 0, true, true, poller.Writable, watchWrite},
		"another event":            {DropWritable, 0, true, false, poller.Readable, watchWrite},
		"another event, observed":  {DropWritable, Readable, true, false, poller.Readable, watchWrite},
		"both events":              {DropWritable, 0, true, false, poller.Readable | poller.Writable, watchRead},
		"a descriptor that keeps":  {KeepWritable, 0, true, false, poller.Writable, watchWrite},
		"one that keeps, observed": {KeepWritable, Readable, true, false, poller.Writable, watchWrite},
		"it was not asked for":     {DropWritable, Readable, false, false, poller.Writable, watchRead},
	} {
		t.Run(name, func(t *testing.T) {
			l := handlerLoop(t)
			fd, _ := handlerPair(t)
			r := new(Blocking)
			require.NoError(t, l.Register(&r.Registration, fd, c.edges))
			h := &Hook{To: deaf{}}
			if c.observes != 0 {
				require.NoError(t, h.Hang(&r.Registration, c.observes))
				defer h.Unhang()
			}
			r.mu.Lock()
			require.NoError(t, r.watch(Read))
			r.mu.Unlock()
			var interest poller.Readiness
			var state uint64
			onLoop(t, l, func() {
				r.mu.Lock()
				if c.watched { // the kernel's own report that there is room may have come already
					require.NoError(t, l.poller.Modify(fd, r.key, watchWrite))
					r.interest = watchWrite
					r.state.Or(Write.watched())
				}
				if c.waits {
					r.state.Or(Write.of(heldBit) | Write.of(parkedBit))
					r.state.And(^Write.of(readyBit))
					r.parked[Write] = l.newWaiter()
				}
				r.mu.Unlock()
				r.arrived(c.event, l.waits.Load())
				r.mu.Lock()
				defer r.mu.Unlock()
				interest, state = r.interest, r.state.Load()
				r.state.And(^Write.of(heldBit))
			})
			require.Equal(t, c.want, interest)
			require.Equal(t, c.want&poller.Writable != 0, state&Write.watched() != 0)
			require.Zero(t, state&Write.of(parkedBit))
		})
	}
}

// A mark becomes sure by an event of its direction, unless a call has the turn or has
// ended during the wait that the event comes from, or the event is of an end.
func TestMarksBecomeSure(t *testing.T) {
	const wait = 5
	r, w := Read.of(readyBit), Write.of(readyBit)
	before := uint64(4)<<Read.stampShift() | uint64(4)<<Write.stampShift() // calls ended in an earlier wait
	for name, c := range map[string]struct {
		edges  WriteEdges
		shared bool
		state  uint64
		event  poller.Readiness
		sets   uint64
	}{
		"input":                      {KeepWritable, false, before, poller.Readable, r | Read.sure()},
		"room":                       {KeepWritable, false, before, poller.Writable, w | Write.sure()},
		"both":                       {KeepWritable, false, before, poller.Readable | poller.Writable, r | w | Read.sure() | Write.sure()},
		"room that is dropped":       {DropWritable, false, before, poller.Readable | poller.Writable, r | w | Read.sure()},
		"shared":                     {KeepWritable, true, before, poller.Readable | poller.Writable, r | w},
		"an error":                   {KeepWritable, false, before, poller.Readable | poller.Failed, r | w | stateBroken},
		"a hang-up":                  {KeepWritable, false, before, poller.Readable | poller.HungUp, r | w | stateBroken},
		"an end":                     {KeepWritable, false, before, poller.Readable | poller.PeerClosed, r | stateBroken | Read.sure()},
		"urgent before":              {KeepWritable, false, before | stateUrgent, poller.Readable | poller.Writable, r | w | Write.sure()},
		"urgent now":                 {KeepWritable, false, before, poller.Readable | poller.Priority, r | stateUrgent},
		"a reader has the turn":      {KeepWritable, false, before | Read.of(heldBit), poller.Readable | poller.Writable, r | w | Write.sure()},
		"a writer has the turn":      {KeepWritable, false, before | Write.of(heldBit), poller.Readable | poller.Writable, r | w | Read.sure()},
		"a reader ended in the wait": {KeepWritable, false, before | uint64(5)<<Read.stampShift(), poller.Readable | poller.Writable, r | w | Write.sure()},
		"a writer ended in the wait": {KeepWritable, false, before | uint64(5)<<Write.stampShift(), poller.Readable | poller.Writable, r | w | Read.sure()},
	} {
		x := &Registration{edges: c.edges, shared: c.shared}
		got := x.absorb(c.state, c.event, wait+64) // the stamp is modulo 64
		require.Equal(t, c.state|c.sets, got, name)
	}
}

// A loop that fails says so, refuses work, and runs what was posted before.
func TestFailureIsLogged(t *testing.T) {
	var text bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	l, err := countingLoop()
	require.NoError(t, err)
	defer l.poller.Close()
	ran := 0
	require.NoError(t, l.post(func() { ran++ }, 10))
	l.taken = []func(){nil, func() { ran += 10 }}
	reason := errors.New("on purpose")
	require.False(t, l.turn(0, reason))
	require.ErrorIs(t, l.fatal, reason)
	require.Contains(t, text.String(), "event loop failed")
	require.Contains(t, text.String(), "on purpose")
	require.Equal(t, 11, ran)
	require.ErrorIs(t, l.Post(func() {}), ErrLoopClosed)

	// With Options.Crash a panic is ending the program, and nothing more is called.
	for _, crash := range []bool{false, true} {
		l, err := countingLoop()
		require.NoError(t, err)
		defer l.poller.Close()
		l.options.Crash = crash
		ran := 0
		require.NoError(t, l.post(func() { ran++ }, 10))
		l.fail(errCutShort)
		require.Equal(t, crash, ran == 0)
	}
}

// close(2) may wait with SO_LINGER, and then another goroutine calls it where a loop or a
// handler closes the descriptor.
func TestAsideIsForHandlersAndLoops(t *testing.T) {
	for _, c := range []struct {
		close func(*Blocking) error
		aside bool
	}{
		{(*Blocking).Abandon, true},
		{func(r *Blocking) error { return r.Close() }, false},
		{(*Blocking).CloseWait, false},
	} {
		l := handlerLoop(t)
		fd, peer := handlerPair(t)
		r := new(Blocking)
		require.NoError(t, l.Register(&r.Registration, fd, DropWritable))
		require.NoError(t, c.close(r))
		require.Equal(t, c.aside, r.aside)
		n, err := unix.Read(peer, make([]byte, 1))
		require.NoError(t, err)
		require.Zero(t, n)
	}
}
