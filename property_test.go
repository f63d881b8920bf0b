package weir_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// An end is a socket under test and its peer, a bare descriptor.
type end struct {
	s, peer *socket.Socket
}

// After any sequence of calls, Select never reports a socket on which the call would
// wait. On a socket that no other goroutine uses it reports exactly what poll(2) reports.
func TestSelectAgreesWithPoll(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var open []*socket.Socket
		defer func() {
			for _, s := range open {
				s.Close()
			}
		}()
		var ends []*end
		var all list
		for _, f := range []func(testing.TB) (*socket.Socket, *socket.Socket){
			quickTCP, quickTCP,
			func(testing.TB) (*socket.Socket, *socket.Socket) { return quickPair(t, socket.Stream) },
			func(testing.TB) (*socket.Socket, *socket.Socket) { return quickPair(t, socket.Dgram) },
			func(testing.TB) (*socket.Socket, *socket.Socket) { return quickPair(t, socket.SeqPacket) },
		} {
			s, peer := f(t)
			open = append(open, s, peer)
			require.NoError(t, s.SetRecvTimeout(time.Microsecond))
			require.NoError(t, s.SetSendTimeout(time.Microsecond))
			ends = append(ends, &end{s: s, peer: peer})
			all = append(all, s)
		}
		selector := weir.NewSelector()
		defer selector.Close()
		for _, e := range ends {
			require.NoError(t, selector.Register(e.s, weir.Readable|weir.Writable|weir.Exceptional, nil))
		}
		step := func(rt *rapid.T) {
			e := rapid.SampledFrom(ends).Draw(rt, "end")
			e.act(rt)
			e.exact(t, rt)
			timeout := rapid.SampledFrom([]time.Duration{0, 0, time.Microsecond, 50 * time.Microsecond}).Draw(rt, "timeout")
			before := truths(t, ends)
			got, err := weir.Select(all, all, all, timeout)
			require.NoError(t, err)
			after := truths(t, ends)
			check(rt, ends, after, got)
			if before != (truth{}) && len(got.Read)+len(got.Write)+len(got.Except) == 0 {
				rt.Fatalf("nothing is ready, but %v", before)
			}
			ready, err := selector.Wait(t.Context(), timeout, nil)
			require.NoError(t, err)
			check(rt, ends, truths(t, ends), setOf(ready))
		}
		rt.Repeat(map[string]func(*rapid.T){"": func(*rapid.T) {}, "step": step})
	})
}

func quickTCP(t testing.TB) (a, b *socket.Socket) {
	l, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.Listen(1))
	a, err = socket.New(socket.Inet, socket.Stream, 0)
	require.NoError(t, err)
	require.NoError(t, a.ConnectAddr(l.LocalAddr()))
	b, err = l.Accept()
	require.NoError(t, err)
	return a, b
}

func quickPair(t testing.TB, typ socket.Type) (a, b *socket.Socket) {
	a, b, err := socket.Pair(socket.Unix, typ, 0)
	require.NoError(t, err)
	return a, b
}

// act does something to the socket or its peer. It ignores errors.
func (e *end) act(rt *rapid.T) {
	buf := make([]byte, 4096)
	size := rapid.SampledFrom([]int{1, 3, 10, 4096}).Draw(rt, "size")
	switch rapid.SampledFrom([]string{
		"send", "send", "send", "recv", "recv", "recv now", "peek", "rune", "string", "back", "clear", "drain",
		"fill", "fill now", "peer drains", "option", "settle", "urgent", "take urgent", "end", "shut read", "shut write", "watch",
	}).Draw(rt, "act") {
	case "send":
		e.peer.Send(buf[:size], unix.MSG_DONTWAIT)
	case "recv":
		e.s.Recv(buf[:size], 0)
	case "recv now":
		e.s.Recv(buf[:size], unix.MSG_DONTWAIT)
	case "peek":
		e.s.Recv(buf[:size], unix.MSG_PEEK)
	case "rune":
		e.s.ReadRune()
	case "string":
		e.s.ReadString()
	case "back":
		e.s.UnreadRune()
	case "clear":
		e.s.ClearInput()
	case "drain":
		for n, err := 1, error(nil); n > 0 && err == nil; n, err = e.s.Recv(buf, 0) {
		}
	case "fill":
		e.s.Send(make([]byte, 1<<20), 0)
	case "fill now":
		for i, err := 0, error(nil); err == nil && i < 1000; _, err = e.s.Send(buf, unix.MSG_DONTWAIT) {
			i++
		}
	case "peer drains":
		for n, err := 1, error(nil); n > 0 && err == nil; n, err = e.peer.Recv(buf, unix.MSG_DONTWAIT) {
		}
	case "option":
		e.s.Setsockopt("socket", "SO_RCVLOWAT", rapid.SampledFrom([]int{1, 4, 100}).Draw(rt, "low water"))
	case "settle":
		time.Sleep(50 * time.Microsecond)
	case "urgent":
		e.peer.Send([]byte("!"), unix.MSG_OOB|unix.MSG_DONTWAIT)
	case "take urgent":
		e.s.Recv(buf[:1], unix.MSG_OOB)
	case "end":
		if size == 1 {
			e.peer.Shutdown(unix.SHUT_WR)
		}
	case "shut read":
		if size == 3 {
			e.s.Shutdown(unix.SHUT_RD)
		}
	case "shut write":
		if size == 10 {
			e.s.Shutdown(unix.SHUT_WR)
		}
	case "watch":
		weir.Select(list{e.s}, list{e.s}, list{e.s}, time.Microsecond)
	}
}

// truth returns what poll(2) and the input buffer say about each end.
type truth [5]bits

func truths(t testing.TB, ends []*end) (all truth) {
	for i, e := range ends {
		all[i] = kernelPoll(t, e.s.Fd())
		all[i].r = all[i].r || e.s.Buffered() > 0
	}
	return all
}

func check(rt *rapid.T, ends []*end, is truth, got set) {
	for i, e := range ends {
		for j, l := range []list{got.Read, got.Write, got.Except} {
			for _, s := range l {
				if s == weir.Selectable(e.s) && ![]bool{is[i].r, is[i].w, is[i].x}[j] {
					rt.Fatalf("list %d has socket %d, which would wait: %v", j, i, e.s.Registration())
				}
			}
		}
	}
}

func (e *end) exact(t testing.TB, rt *rapid.T) {
	before := truths(t, []*end{e})[0]
	got := weirSelect(t, e.s)
	after := truths(t, []*end{e})[0]
	if before == after && got != before {
		rt.Fatalf("Select says %q, the kernel %q: %v", got, before, e.s.Registration())
	}
}

func setOf(ready []weir.Event) (set set) {
	for _, r := range ready {
		if r.Ready&weir.Readable != 0 {
			set.Read = append(set.Read, r.What)
		}
		if r.Ready&weir.Writable != 0 {
			set.Write = append(set.Write, r.What)
		}
		if r.Ready&weir.Exceptional != 0 {
			set.Except = append(set.Except, r.What)
		}
	}
	return set
}

// Selects, Selectors, blocked readers and writers use the same sockets. Every byte
// arrives, and every waiting goroutine wakes up.
func TestStress(t *testing.T) {
	const conns, messages = 8, 400
	var all list
	var got, sent atomic.Int64
	var writers, rest sync.WaitGroup
	selector := newSelector(t)
	for range conns {
		a, b := weirtest.Pair(t, socket.Stream)
		all = append(all, a)
		require.NoError(t, selector.Register(a, weir.Readable, nil))
		writers.Go(func() {
			for i := range messages {
				n, err := b.Write([]byte("abcde"))
				sent.Add(int64(n))
				if err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					a.Interrupt()
				}
			}
		})
		rest.Go(func() { // a reader in blocking calls
			buf := make([]byte, 2)
			for {
				n, err := a.Recv(buf, 0)
				got.Add(int64(n))
				if errors.Is(err, unix.EBADF) {
					return
				}
			}
		})
	}
	take := func(ready list) {
		var buf [3]byte
		for _, s := range ready {
			n, _ := s.(*socket.Socket).Recv(buf[:], unix.MSG_DONTWAIT)
			got.Add(int64(max(n, 0)))
		}
	}
	for i := range 3 {
		rest.Go(func() { // Selects over some of the sockets
			for {
				ready, err := weir.Select(all[i:], nil, nil, weir.Forever)
				if errors.Is(err, unix.EBADF) {
					return
				}
				take(ready.Read)
			}
		})
	}
	for range 2 {
		rest.Go(func() {
			for selector.Len() > 0 {
				ready, err := selector.Wait(t.Context(), weir.Forever, nil)
				if errors.Is(err, unix.EBADF) {
					return
				}
				take(setOf(ready).Read)
			}
		})
	}
	writers.Wait()
	waitFor(t, func() bool { return got.Load() == conns*messages*5 })
	for _, s := range all {
		s.(*socket.Socket).Close()
	}
	require.NoError(t, selector.Close())
	rest.Wait()
}

// If one Select or Selector alone takes the input, it gets each wake-up.
func TestNoWakeUpIsLost(t *testing.T) {
	const rounds = 3000
	a, peer := quickTCP(t)
	defer a.Close()
	defer peer.Close()
	idle, _ := weirtest.Pair(t, socket.Stream)
	selector := newSelector(t)
	require.NoError(t, selector.Register(a, weir.Readable, nil))
	go func() {
		buf := make([]byte, 1)
		for range rounds {
			peer.Send(buf, 0)
			if _, err := peer.Recv(buf, 0); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1)
	for i := range rounds {
		start := time.Now()
		if i%2 == 0 {
			ready, err := weir.Select(list{idle, a}, nil, nil, time.Minute)
			require.NoError(t, err)
			require.Len(t, ready.Read, 1)
		} else {
			ready, err := selector.Wait(t.Context(), time.Minute, nil)
			require.NoError(t, err)
			require.Len(t, ready, 1)
		}
		require.Less(t, time.Since(start), 30*time.Second)
		_, err := a.Recv(buf, unix.MSG_DONTWAIT)
		require.NoError(t, err, "it was said to be readable")
		_, err = a.Send(buf, 0)
		require.NoError(t, err)
	}
}
