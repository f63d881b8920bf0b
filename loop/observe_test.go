package loop_test

import (
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func call(t *testing.T, r *loop.Blocking, d loop.Direction, more bool) (ready bool) {
	ready, err := r.Begin(d, &loop.Call{Timeout: loop.Forever})
	require.NoError(t, err)
	r.End(d, more)
	return ready
}

// registerAs returns a registration that the kernel does not watch. Its only events are
// those of the test.
func registerAs(t *testing.T, edges loop.WriteEdges, shared bool) *loop.Blocking {
	l := newLoop(t, loop.Options{})
	settle(t, l) // gives the loop's waits a number that is not zero
	fd, _ := pair(t)
	r := new(loop.Blocking)
	if shared {
		r.Share()
	}
	require.NoError(t, l.Register(&r.Registration, fd, edges))
	t.Cleanup(func() { r.Close() })
	return r
}

// A mark is certain only if the event is more recent than all calls.
func TestCertainMarks(t *testing.T) {
	const in, out = poller.Readable, poller.Writable
	for _, c := range []struct {
		name   string
		edges  loop.WriteEdges
		shared bool
		act    func(t *testing.T, r *loop.Blocking)
		want   loop.Interest
		look   loop.Look
	}{
		{"a new registration", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {}, loop.Readable, loop.Doubtful},
		{"an event", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) { r.Arrive(in|out, 1) }, loop.Readable, loop.Ready},
		{"an event for writing", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) { r.Arrive(in|out, 1) }, loop.Writable, loop.Ready},
		{"writability that others use up", loop.DropWritable, false, func(t *testing.T, r *loop.Blocking) { r.Arrive(in|out, 1) }, loop.Writable, loop.Doubtful},
		{"a shared file", loop.KeepWritable, true, func(t *testing.T, r *loop.Blocking) { r.Arrive(in, 1) }, loop.Readable, loop.Doubtful},
		{"an error", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) { r.Arrive(in|poller.Failed, 1) }, loop.Readable, loop.Doubtful},
		{"a hang-up", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) { r.Arrive(in|poller.HungUp, 1) }, loop.Readable, loop.Doubtful},
		{"out-of-band data", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) { r.Arrive(in|poller.Priority, 1) }, loop.Readable, loop.Doubtful},
		{"a call that ends between the wait and its events", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			call(t, r, loop.Read, false)
			r.Arrive(in, 0)
		}, loop.Readable, loop.Doubtful},
		{"the same of writing", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			call(t, r, loop.Write, false)
			r.Arrive(out, 0)
		}, loop.Writable, loop.Doubtful},
		{"a call that ended before the wait", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			call(t, r, loop.Read, false)
			r.Arrive(in, 1)
		}, loop.Readable, loop.Ready},
		{"a call in the other direction", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			call(t, r, loop.Write, false)
			r.Arrive(in, 1)
		}, loop.Readable, loop.Ready},
		{"a call without the turn", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			r.Unsure()
			r.Arrive(in, 0)
		}, loop.Readable, loop.Doubtful},
		{"a call without the turn, after the event", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			r.Arrive(in, 1)
			r.Unsure()
		}, loop.Readable, loop.Doubtful},
		{"a call that has the turn", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			_, err := r.Begin(loop.Read, &loop.Call{Timeout: loop.Forever})
			require.NoError(t, err)
			r.Arrive(in, 1)
			t.Cleanup(func() { r.End(loop.Read, false) })
		}, loop.Readable, loop.Doubtful},
		{"a call that leaves more behind", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			r.Arrive(in, 1)
			call(t, r, loop.Read, true)
		}, loop.Readable, loop.Doubtful},
		{"an option was set", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			r.Arrive(in, 1)
			r.Doubt()
		}, loop.Readable, loop.Doubtful},
		{"a call that took all, but nobody watches", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			call(t, r, loop.Read, false)
		}, loop.Readable, loop.Doubtful},
		{"a call that took all", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			require.NoError(t, r.Watch())
			settle(t, r.Loop())
			call(t, r, loop.Read, false)
		}, loop.Readable, loop.Unready},
		{"no out-of-band data, but nobody watches", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {}, loop.Exceptional, loop.Doubtful},
		{"no out-of-band data yet", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			require.NoError(t, r.Watch())
			r.Arrive(in, 1)
		}, loop.Exceptional, loop.Unready},
		{"out-of-band data that may be taken", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			require.NoError(t, r.Watch())
			r.Arrive(in|poller.Priority, 1)
		}, loop.Exceptional, loop.Doubtful},
		{"a call without the turn, of writing", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			r.Unsure()
			r.Arrive(out, 0)
		}, loop.Writable, loop.Doubtful},
		{"an option was set, of writing", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) {
			require.NoError(t, (&loop.Hook{To: make(observer, 9)}).Hang(&r.Registration, loop.Writable))
			settle(t, r.Loop())
			call(t, r, loop.Write, false)
			require.Equal(t, loop.Unready, r.Look(loop.Writable))
			r.Doubt()
			r.Arrive(out, 0)
		}, loop.Writable, loop.Doubtful},
		{"closed", loop.KeepWritable, false, func(t *testing.T, r *loop.Blocking) { r.Close() }, loop.Readable, loop.Gone},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := registerAs(t, c.edges, c.shared)
			c.act(t, r)
			require.Equal(t, c.look, r.Look(c.want))
		})
	}
}

// An answer of the kernel clears a mark, unless an event came after the question.
func TestDisproof(t *testing.T) {
	r := registerAs(t, loop.DropWritable, false)
	p, err := r.Probe()
	require.NoError(t, err)
	r.Arrive(poller.Readable, 1)
	p.Disprove(loop.Readable)
	require.True(t, call(t, r, loop.Read, true), "the event was lost")

	first, err := r.Probe()
	require.NoError(t, err)
	second, err := r.Probe()
	require.NoError(t, err)
	second.Disprove(loop.Readable)
	r.Arrive(poller.Readable, 1)
	third, err := r.Probe()
	require.NoError(t, err)
	first.Disprove(loop.Readable)
	require.True(t, call(t, r, loop.Read, true), "the event was lost")
	third.Disprove(loop.Readable)
	require.False(t, call(t, r, loop.Read, false))

	r.Doubt()
	p, err = r.Probe()
	require.NoError(t, err)
	r.Doubt()
	p.Disprove(loop.Readable)
	require.True(t, call(t, r, loop.Read, true), "the doubt was lost")
}

// Disprove concerns one direction. From then on the kernel watches that direction. It
// does not watch writability if it would report that with every packet.
func TestDisproofOfOneDirection(t *testing.T) {
	for _, c := range []struct {
		edges         loop.WriteEdges
		want, other   loop.Interest
		direction     loop.Direction
		after, beside loop.Look
	}{
		{loop.KeepWritable, loop.Readable, loop.Writable, loop.Read, loop.Unready, loop.Doubtful},
		{loop.KeepWritable, loop.Writable, loop.Readable, loop.Write, loop.Unready, loop.Doubtful},
		{loop.DropWritable, loop.Readable, loop.Writable, loop.Read, loop.Unready, loop.Doubtful},
		{loop.DropWritable, loop.Writable, loop.Readable, loop.Write, loop.Doubtful, loop.Doubtful},
	} {
		r := registerAs(t, c.edges, false)
		fill(t, r.FD()) // so that the watch has nothing to report
		p, err := r.Probe()
		require.NoError(t, err)
		p.Disprove(c.want)
		settle(t, r.Loop())
		require.Equal(t, c.after, r.Look(c.want), c)
		require.Equal(t, c.beside, r.Look(c.other), c)
		require.False(t, call(t, r, c.direction, false), "the mark is used up: %v", c)
		require.True(t, call(t, r, 1-c.direction, false), "the other is not: %v", c)
	}
}

// A probe keeps the descriptor open, so that no other file gets its number.
func TestProbeOutlivesClose(t *testing.T) {
	r := registerAs(t, loop.DropWritable, false)
	p, err := r.Probe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = unix.FcntlInt(uintptr(p.FD()), unix.F_GETFD, 0)
	require.NoError(t, err)
	p.Disprove(loop.Readable)
	_, err = r.Probe()
	require.ErrorIs(t, err, loop.ErrClosed)
}

type observer chan loop.Notice

func (o observer) Notify(_ *loop.Hook, n loop.Notice) { o <- n }

func TestHooks(t *testing.T) {
	l := newLoop(t, loop.Options{})
	r, peer := register(t, l)
	mine, other := make(observer, 100), make(observer, 100)
	a, b := &loop.Hook{To: mine}, &loop.Hook{To: other}
	require.NoError(t, a.Hang(&r.Registration, loop.Readable))
	require.NoError(t, b.Hang(&r.Registration, loop.Writable))
	require.Equal(t, loop.NoticeReady, <-other, "it is writable")
	result := blocked(t, r, func() error { _, err := read(r, make([]byte, 1), &loop.Call{Timeout: loop.Forever}); return err })
	unix.Write(peer, []byte("x"))
	require.Equal(t, loop.NoticeReady, <-mine)
	require.NoError(t, <-result, "and the reader is not passed by")
	require.Equal(t, 2, r.Interrupt())
	require.Equal(t, loop.NoticeInterrupted, <-mine)
	a.Unhang()
	a.Unhang()
	settle(t, l)
	unix.Write(peer, []byte("x"))
	settle(t, l)
	require.Empty(t, mine)
	require.NoError(t, a.Hang(&r.Registration, loop.Readable))
	require.NoError(t, r.Close())
	for n := range mine {
		if n == loop.NoticeClosed {
			break
		}
	}
	a.Unhang()
	b.Unhang()
	require.ErrorIs(t, a.Hang(&r.Registration, loop.Readable), loop.ErrClosed)
	require.Zero(t, len(r.Observers()))
}
