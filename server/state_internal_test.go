package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The tests of this file put a connection or a socket into a state, on its loop, and compare
// what it does next with a table.

// onConn calls f on the loop of a connection. A failed requirement ends the test.
func onConn(t *testing.T, srv *Server, f func(c *Conn, peer *socket.Socket)) {
	t.Helper()
	c, peer := attached(t, srv)
	done := make(chan bool, 1)
	c.eng.do(func() {
		defer func() { done <- true }() // also after runtime.Goexit
		f(c, peer)
	})
	<-done
}

// The first timeout that ends counts. Each runs only while its cause lasts.
func TestDue(t *testing.T) {
	onConn(t, &Server{Loops: 1}, func(c *Conn, _ *socket.Socket) {
		const ms = time.Millisecond
		now := c.eng.loop.Elapsed()
		for _, test := range []struct {
			name    string
			t       Timeouts
			signals uint32
			input   time.Duration // since when Data has left input; 0 for none
			output  time.Duration // when the kernel last took output; 0 for none
			file    bool          // the output is a file
			got     bool          // a byte has come
			at      time.Duration
			of      string
		}{
			{name: "none"},
			{name: "first byte", t: Timeouts{FirstByte: 5 * ms}, at: 105 * ms, of: "first byte"},
			{name: "first byte has come", t: Timeouts{FirstByte: 5 * ms}, got: true},
			{name: "idle", t: Timeouts{Idle: 6 * ms}, at: 106 * ms, of: "idle"},
			{name: "the earlier one", t: Timeouts{FirstByte: 7 * ms, Idle: 6 * ms}, at: 106 * ms, of: "idle"},
			{name: "the first of equal ones", t: Timeouts{FirstByte: 6 * ms, Idle: 6 * ms}, at: 106 * ms, of: "first byte"},
			{name: "paused", t: Timeouts{FirstByte: 5 * ms, Idle: 6 * ms, Read: 7 * ms}, input: 50 * ms, signals: paused},
			{name: "under pressure", t: Timeouts{Idle: 6 * ms}, signals: outputHigh},
			{name: "no input is left", t: Timeouts{Read: 7 * ms}},
			{name: "input is left", t: Timeouts{Read: 7 * ms}, input: 50 * ms, at: 57 * ms, of: "read"},
			{name: "rate of input", t: Timeouts{MinRate: 1, Grace: 9 * ms}, input: 50 * ms, at: 59 * ms, of: "rate"},
			{name: "no output", t: Timeouts{Write: 8 * ms}},
			{name: "output", t: Timeouts{Write: 8 * ms}, output: 60 * ms, at: 68 * ms, of: "write"},
			{name: "a file", t: Timeouts{Write: 8 * ms}, output: 60 * ms, file: true, at: 68 * ms, of: "write"},
			{name: "rate of output", t: Timeouts{MinRate: 1, Grace: 9 * ms}, output: 60 * ms, at: 69 * ms, of: "rate"},
			{name: "output while paused", t: Timeouts{Write: 8 * ms, Idle: ms}, output: 60 * ms, signals: paused, at: 68 * ms, of: "write"},
			{name: "endless", t: Timeouts{Idle: 1<<63 - 1}},
		} {
			limits := test.t
			c.timeouts, c.active, c.receivedAny, c.readStopped = &limits, 100*ms, test.got, test.signals != 0
			c.signals.Store(test.signals)
			c.in, c.out = nil, nil
			if test.input != 0 {
				c.in = &input{since: test.input, rate: window{since: test.input}}
			}
			if test.output != 0 {
				c.out = &output{moved: test.output, rate: window{since: test.output}, size: 1}
				if test.file {
					c.out.size, c.out.fileBytes = 0, 1
				}
			}
			at, of, limit := c.due()
			require.Equal(t, test.at, at, test.name)
			require.Equal(t, test.of, of, test.name)
			require.Equal(t, of != "", limit != 0, test.name)
		}
		// Times that have not begun begin now.
		c.timeouts = &Timeouts{Write: time.Hour, MinRate: 1, Grace: 2 * time.Hour}
		c.signals.Store(0)
		c.in, c.out = &input{}, &output{size: 1}
		at, of, _ := c.due()
		require.Equal(t, "write", of)
		require.GreaterOrEqual(t, at, now+time.Hour)
		require.GreaterOrEqual(t, c.out.moved, now)
		require.GreaterOrEqual(t, c.out.rate.since, now)
		require.GreaterOrEqual(t, c.in.rate.since, now)

		// When reading goes on, the times of input begin anew.
		c.in, c.out, c.readStopped, c.active = &input{since: 1, rate: window{since: 1, bytes: 5}}, nil, true, 1
		require.True(t, c.readTimesRun())
		require.GreaterOrEqual(t, c.active, now)
		require.Equal(t, c.active, c.in.since)
		require.Equal(t, window{}, c.in.rate)
		c.active = 1
		require.True(t, c.readTimesRun())
		require.EqualValues(t, 1, c.active)

		// A farewell replaces all others.
		f := newFarewell(5*ms, 7*ms)
		c.timeouts = &Timeouts{Idle: ms, leaving: f}
		at, of, limit := c.due()
		require.Equal(t, 12*ms, at)
		require.Equal(t, "linger", of)
		require.Equal(t, 7*ms, limit)
		for _, test := range []struct {
			out  *output
			x    *extras
			want time.Duration
		}{
			{&output{moved: 50 * ms, fileBytes: 1}, nil, 57 * ms}, {&output{moved: 50 * ms, size: 1}, nil, 12 * ms}, {&output{moved: 50 * ms, size: 1}, &extras{write: rate.NewBucket(1, 1)}, 57 * ms},
			{&output{moved: 50 * ms}, &extras{write: rate.NewBucket(1, 1)}, 12 * ms}, {&output{moved: ms, fileBytes: 1}, nil, 12 * ms}, {nil, nil, 12 * ms},
		} {
			f.deadline, c.out, c.extra = 12*ms, test.out, test.x
			at, _, _ = c.due()
			require.Equal(t, test.want, at)
		}
		c.out, c.in, c.extra, c.timeouts = nil, nil, nil, &Timeouts{}
	})
}

// A server that was late gives its peer as much time as it was late, at most the timeout.
func TestExcuse(t *testing.T) {
	onConn(t, &Server{Loops: 1}, func(c *Conn, _ *socket.Socket) {
		const limit = time.Hour
		excused := func(late time.Duration, more int) time.Duration {
			c.timeouts = &Timeouts{Read: limit, leaving: &farewell{limit: limit}}
			c.in = &input{buf: make([]byte, 3+more), since: -10 * limit}
			c.excuse(late, 3)
			now := c.eng.loop.Now()
			lingers := c.timeouts.leaving.deadline - now
			if c.timeouts.leaving.deadline == 0 {
				lingers = 0
			}
			if more > 0 {
				require.InDelta(t, lingers, c.in.since+limit-now, float64(time.Second), "both have the time")
			} else {
				require.Equal(t, -10*limit, c.in.since, "nothing has come")
			}
			return lingers
		}
		require.Zero(t, excused(muchTooLate-1, 0))
		require.InDelta(t, muchTooLate, excused(muchTooLate, 0), float64(muchTooLate)/2)
		require.InDelta(t, 30*time.Minute, excused(30*time.Minute, 1), float64(time.Second))
		require.InDelta(t, limit, excused(2*limit, 1), float64(time.Second))
		c.timeouts = &Timeouts{Read: limit}
		c.in = nil
		c.excuse(limit, 0)
		c.in = &input{buf: make([]byte, 1), since: 1 << 62}
		c.excuse(limit, 0)
		require.EqualValues(t, 1<<62, c.in.since, "a later time stays")
		c.in, c.timeouts = nil, &Timeouts{}
	})
}

// What a write may add, and why it is refused.
func TestAdmit(t *testing.T) {
	const most = 200_000
	onConn(t, &Server{Loops: 1, MaxOutput: most, MaxMemory: 1 << 20}, func(c *Conn, _ *socket.Socket) {
		c.mu.Lock()
		defer c.mu.Unlock()
		total := &c.eng.srv.memory.total
		queue := func(n int) *output { return &output{conn: c, size: n, after: n, copied: n, blocked: true} }
		pieces := func(n, finished int) *output {
			o := &output{conn: c, blocked: true}
			for range n {
				o.pieces.push(piece{})
			}
			for range finished {
				o.finished.push(nil)
			}
			return o
		}
		for _, test := range []struct {
			name      string
			signals   uint32
			out       *output
			used      int64
			n, pieces int
			want      error
		}{
			{"all", 0, nil, 0, most, 0, nil}, {"too much", 0, nil, 0, most + 1, 0, ErrOutputFull},
			{"closed", closeAsked | writeFailed | closeWriteAsked, nil, 0, 1, 0, unix.EBADF}, {"gone", gone, nil, 0, 1, 0, unix.EBADF}, {"aborted", abortAsked, nil, 0, 1, 0, unix.EBADF},
			{"failed", writeFailed | closeWriteAsked, nil, 0, 1, 0, unix.ENETDOWN}, {"ended", closeWriteAsked, nil, 0, 1, 0, unix.EPIPE},
			{"beside what is queued", 0, queue(most - 10), 0, 10, 0, nil}, {"beyond what is queued", 0, queue(most - 10), 0, 11, 0, ErrOutputFull},
			{"one piece more", 0, pieces(most/pieceCost-1, 0), 0, 1, 1, nil}, {"too many pieces", 0, pieces(most/pieceCost, 0), 0, 1, 1, ErrOutputFull}, {"too many are not finished", 0, pieces(most/pieceCost-5, 5), 0, 1, 1, ErrOutputFull},
			{"bytes beside pieces", 0, pieces(most/pieceCost, 0), 0, 1, 0, nil},
			{"a little without memory", 0, nil, 1 << 20, gatherSize, 0, nil}, {"much without memory", 0, nil, 1 << 20, gatherSize + 1, 0, ErrMemoryFull}, {"much with just enough", 0, nil, 1<<20 - gatherSize - 1, gatherSize + 1, 0, nil},
			{"more without memory", 0, queue(1), 1 << 20, 1, 0, ErrMemoryFull}, {"nothing without memory", 0, queue(1), 1 << 20, 0, 0, nil},
		} {
			c.signals.Store(test.signals)
			c.out, c.failure = test.out, uint16(unix.ENETDOWN)
			total.Store(test.used)
			err := c.admit(test.n, test.pieces)
			if test.want == nil {
				require.NoError(t, err, test.name)
			} else {
				require.ErrorIs(t, err, test.want, test.name)
			}
		}
		c.signals.Store(0)
		c.out, c.failure = nil, 0
		total.Store(0)

		// What makes a system call at once.
		c.sending = sending
		require.False(t, c.mayWriteNow(bigWrite))
		c.sending = notSending
		require.False(t, c.mayWriteNow(0))
		require.True(t, c.mayWriteNow(bigWrite))
		require.False(t, c.mayWriteNow(bigWrite-1), "the loop is in a turn")
		c.extra = &extras{write: rate.NewBucket(1, 1)}
		require.False(t, c.mayWriteNow(bigWrite))
		c.extra, c.out = nil, queue(1)
		require.False(t, c.mayWriteNow(bigWrite))
		c.out = nil
		c.signals.Add(1 << callShift) // a callback runs
		c.gathered = 0
		require.True(t, c.gathers())
		require.False(t, c.sends())
		c.eng.gather = make([]byte, gatherSize-10)
		require.False(t, c.mayWriteNow(10))
		require.True(t, c.mayWriteNow(11))
		require.Equal(t, gatherSize-10, c.waiting())
		c.gathered = 1
		require.True(t, c.sends(), "call sends what it has written")
		require.False(t, c.mayWriteNow(bigWrite))
		c.direct = 5
		require.Equal(t, 5, c.waiting())
		c.eng.gather, c.direct = c.eng.gather[:0], 0
		c.signals.Store(0)
	})
}

// A queue with a file sends first what is before it, then the file alone, then the rest.
func TestQueueWithAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("0123456789"), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	span, err := newFileSpan(f, 2, 5)
	require.NoError(t, err)
	o := new(output)
	require.Nil(t, o.front())
	o.append([]byte("before"))
	o.appendFile(span)
	o.append([]byte("after"))
	o.appendPiece(nil, func(error) {})
	text := func(most int) (list []string) {
		for _, b := range o.next(make([][]byte, 0, 3), most) {
			list = append(list, string(b))
		}
		return list
	}
	require.EqualValues(t, 5, o.fileBytes)
	require.Equal(t, 11, o.size)
	require.Nil(t, o.front())
	require.Equal(t, 11, o.nextBytes())
	require.Equal(t, []string{"before"}, text(100))
	o.take(5)
	require.Nil(t, o.front())
	require.Equal(t, []string{"e"}, text(100))
	o.take(1)
	require.Same(t, span, o.front())
	require.Equal(t, 5, o.nextBytes())
	require.Empty(t, text(100))
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	n, errno := span.send(int(w.Fd()), 3)
	require.Zero(t, errno)
	require.Equal(t, 3, n)
	o.fileBytes -= 3
	o.take(0)
	require.Same(t, span, o.front())
	require.Zero(t, o.finished.n)
	n, errno = span.send(int(w.Fd()), 100)
	require.Zero(t, errno)
	require.Equal(t, 2, n)
	buf := make([]byte, 9)
	k, err := r.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "23456", string(buf[:k]))
	o.fileBytes -= 2
	o.take(0)
	require.Nil(t, o.front())
	require.Equal(t, 1, o.finished.n)
	o.finished.pop()(nil) // closes the duplicate
	require.Equal(t, []string{"after"}, text(100))
	require.False(t, o.empty())
	o.take(5)
	require.Equal(t, 1, o.finished.n, "the empty piece is done")
	require.True(t, o.empty())
	o.append([]byte("x"))
	require.False(t, o.empty())

	for _, test := range []struct {
		offset, n int64
		fits      bool
	}{{0, 10, true}, {0, 11, false}, {10, 0, true}, {11, 0, false}, {-1, 1, false}, {0, -1, false}, {9, 1, true}, {9, 2, false}} {
		span, err := newFileSpan(f, test.offset, test.n)
		require.Equal(t, test.fits, err == nil, "%+v", test)
		if err == nil {
			span.close(nil)
		} else {
			require.ErrorIs(t, err, unix.EINVAL)
		}
	}
	_, err = newFileSpan(w, 0, 0)
	require.ErrorContains(t, err, "it is not a regular file")
	require.Equal(t, unix.EPIPE, errnoOf(&os.PathError{Err: unix.EPIPE}))
	require.Equal(t, unix.EIO, errnoOf(io.EOF))
}

// next gives about so many bytes, in no more slices than there is room for.
func TestNextOfAQueue(t *testing.T) {
	t.Parallel()
	o := new(output)
	o.append([]byte("ab"))
	o.appendPiece([]byte("cde"), nil)
	o.appendPiece([]byte("f"), nil)
	o.append([]byte("gh"))
	for _, test := range []struct {
		slices, bytes int
		want          string
	}{
		{9, 99, "ab cde f gh"}, {0, 99, ""}, {1, 99, "ab"}, {2, 99, "ab cde"}, {3, 99, "ab cde f"}, {4, 99, "ab cde f gh"}, {9, 0, ""}, {9, 1, "ab"}, {9, 2, "ab"}, {9, 3, "ab cde"}, {9, 5, "ab cde"}, {9, 6, "ab cde f"}, {9, 7, "ab cde f gh"},
	} {
		var list []string
		for _, b := range o.next(make([][]byte, 0, test.slices), test.bytes) {
			list = append(list, string(b))
		}
		require.Equal(t, test.want, strings.Join(list, " "), "%+v", test)
	}
	require.Equal(t, 4, o.whole)
	require.Equal(t, 4, o.copied)
	require.Equal(t, 2, o.after)
	o.prepend([]byte("xy"))
	require.Equal(t, 10, o.size)
	require.Equal(t, 6, o.whole)
	o.take(2)
	require.Equal(t, 4, o.whole)
	o.take(8)
	require.Equal(t, output{pieces: o.pieces, finished: o.finished}, *o, "nothing is left")
}

// Of the slices that Writev has lent, those that are left become copies, and no others.
func TestOwn(t *testing.T) {
	t.Parallel()
	for taken := range 3 {
		o := new(output)
		lent := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
		for _, p := range lent {
			o.appendPiece(p, nil)
		}
		async := []byte("d")
		o.appendPiece(async, func(error) {})
		o.take(taken)
		o.own(3)
		for _, p := range append(lent, async) {
			p[0] = '!'
		}
		var got string
		for _, b := range o.next(make([][]byte, 0, 9), 99) {
			got += string(b)
		}
		require.Equal(t, "abc"[taken:]+"!", got)
	}
	o := new(output)
	p := []byte("a")
	o.appendPiece([]byte("x"), nil)
	o.appendPiece(p, nil)
	o.own(1)
	p[0] = '!'
	require.Equal(t, "!", string(o.next(make([][]byte, 0, 9), 99)[1]), "it is not one of those that were lent")
}

// The datagrams that a socket has no room for stay in order, and are counted.
func TestPacketsThatAreKept(t *testing.T) {
	a, b, err := socket.Pair(socket.Unix, socket.Dgram, 0)
	require.NoError(t, err)
	defer b.Close()
	srv := &Server{Loops: 1, MaxOutput: 3000, HighWater: 100, Log: slog.New(slog.DiscardHandler), Events: Events{Packet: func(*PacketConn, []byte, socket.Addr) {}}}
	defer srv.Close()
	require.NoError(t, srv.ListenOn(a))
	p := srv.packets[0]
	done := make(chan bool, 1)
	p.eng.do(func() {
		defer func() { done <- true }()
		p.calling = true // nothing is sent before the end
		for i := range 5 {
			p.SendTo(make([]byte, i+1), socket.Addr{})
		}
		require.Equal(t, 5, p.queued)
		require.Equal(t, 15, p.bytes)
		p.keep(2)
		require.Equal(t, 3, p.queued)
		require.Equal(t, 12, p.bytes)
		require.True(t, p.waits)
		for i, m := range p.out[:p.queued] {
			require.Len(t, m.Buffers[0], i+3)
		}
		p.SendTo(make([]byte, 2988), socket.Addr{})
		require.Equal(t, 3000, p.bytes)
		p.SendTo(make([]byte, 1), socket.Addr{})
		require.Equal(t, 4, p.queued, "it is dropped")
		require.Equal(t, 3000, p.bytes)
		require.True(t, p.flush())
		require.Zero(t, p.queued)
		require.Zero(t, p.bytes)
		require.False(t, p.waits)

		// Failures and rests.
		for range manyRefusals - 1 {
			p.failed(unix.EPERM)
		}
		require.Nil(t, p.resting)
		for _, want := range []time.Duration{10, 20, 40, 80, 100, 100} {
			p.failed(unix.EPERM)
			require.NotNil(t, p.resting)
			p.resting.Stop()
			p.resting = nil
			require.Equal(t, want*time.Millisecond, p.pause)
		}
		require.EqualValues(t, 1, srv.Stats().Pauses)
		p.works()
		require.Zero(t, p.pause)
		require.Zero(t, p.failures)
		p.calling = false
	})
	<-done
	for _, size := range []int{3, 4, 5, 2988} {
		n, err := b.Recv(make([]byte, 4000), 0)
		require.NoError(t, err)
		require.Equal(t, size, n)
	}
}

// How long a session may be idle, and what its error names.
func TestIdleTimesOfSessions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		idle, first time.Duration
		called      bool
		limit       time.Duration
		of          string
		shortest    time.Duration
	}{
		{0, 0, false, 0, "first byte", 7}, {5, 0, false, 5, "idle", 5}, {0, 4, false, 4, "first byte", 4}, {5, 4, false, 4, "first byte", 4}, {4, 5, false, 4, "idle", 4}, {5, 5, false, 5, "first byte", 5},
		{5, 4, true, 5, "idle", 5}, {0, 4, true, 0, "idle", 0}, {9, 8, false, 8, "first byte", 7}, {9, 8, true, 9, "idle", 9},
	} {
		e := &engine{service: &Service{Timeouts: &Timeouts{FirstByte: test.first, Handshake: 7}}}
		x := new(Session)
		p := &place{eng: e}
		p.idle.Store(int64(test.idle))
		x.place.Store(p)
		x.called.Store(test.called)
		require.Equal(t, test.limit, x.limit(), "%+v", test)
		require.Equal(t, test.shortest, x.shortest(p), "%+v", test)
		require.Equal(t, &TimeoutError{test.of, test.limit}, x.timeout(), "%+v", test)
	}
}

// The loop was closed while a connection was on its way to it.
func TestArrivalAtAClosedLoop(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	srv := &Server{Group: g, MaxConnsPerIP: 1, Log: slog.New(slog.DiscardHandler), Events: Events{Data: func(*Conn) error { return nil }}}
	require.NoError(t, srv.start())
	defer srv.Close()
	require.NoError(t, g.Close())
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fds[1])
	require.True(t, srv.enter())
	src, ok := srv.enterSource(socket.AddrFrom(netip.MustParseAddrPort("192.0.2.1:1")))
	require.True(t, ok)
	require.False(t, srv.engines[0].send(arrival{fd: fds[0], source: src}))
	require.Zero(t, srv.conns.Load())
	require.Empty(t, srv.sources.of)
	n, err := unix.Read(fds[1], make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n, "it is closed")
	srv.engines[0].relieve(1)
	require.False(t, srv.memory.seeking.Load(), "nobody looks for the largest connection")
}

// The least rate is watched, too.
func TestSessionsWithTheLeastRate(t *testing.T) {
	_, x, _ := handled(t, Timeouts{MinRate: 1})
	require.NotNil(t, x.rate)
	_, x, _ = handled(t, Timeouts{})
	require.Nil(t, x.rate)
}

// Each connection goes on when its time has come, and not before.
func TestGoOn(t *testing.T) {
	onConn(t, &Server{Loops: 1}, func(c *Conn, _ *socket.Socket) {
		now := c.eng.loop.Elapsed()
		for _, test := range []struct{ read, write time.Duration }{{0, 0}, {1, 0}, {0, 1}, {1, 1}, {now + time.Hour, 1}, {1, now + time.Hour}, {now + time.Hour, now + time.Hour}} {
			left := func(at time.Duration) time.Duration {
				if at <= now {
					return 0
				}
				return at
			}
			c.extra = &extras{readAt: test.read, writeAt: test.write}
			c.out = &output{conn: c, blocked: true, scheduled: true}
			c.goOn()
			require.Equal(t, left(test.read), c.extra.readAt)
			require.Equal(t, left(test.write), c.extra.writeAt)
			require.Equal(t, test.write == 0 || left(test.write) != 0, c.out != nil && c.out.blocked, "%+v", test)
		}
		c.extra, c.out = nil, nil
		c.goOn()
		require.Zero(t, c.sendTime())
		c.extra = &extras{write: rate.NewBucket(10, 1)}
		c.out = &output{conn: c, size: 100}
		require.Equal(t, c.extra.write.Time(100), c.sendTime())
		require.Positive(t, c.sendTime())
		c.extra, c.out = nil, nil
	})
}

// A write that fails keeps the first errno.
func TestFail(t *testing.T) {
	onConn(t, &Server{Loops: 1}, func(c *Conn, _ *socket.Socket) {
		c.mu.Lock()
		require.ErrorIs(t, c.fail(unix.EPIPE), unix.EPIPE)
		require.ErrorIs(t, c.fail(unix.ENETDOWN), unix.EPIPE)
		c.mu.Unlock()
		require.ErrorIs(t, c.writeError(), unix.EPIPE)
		c.signals.Store(0)
		require.True(t, errors.Is(errConnClosed("x"), net.ErrClosed))
	})
}
