package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// batchOf returns n messages with a buffer each.
func batchOf(n, size int) []Message {
	msgs := make([]Message, n)
	for i := range msgs {
		msgs[i].Buffers = [][]byte{make([]byte, size)}
	}
	return msgs
}

func TestBatches(t *testing.T) {
	a, b := udpPair(t)
	out := batchOf(5, 0)
	for i := range out {
		out[i].Buffers = split(strings.Repeat("x", i), 2)
		out[i].Addr = b.LocalAddr()
	}
	n, err := a.SendBatch(out, 0)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	in := batchOf(3, 2)
	for _, want := range [][]int{{0, 1, 2}, {3, 4}} {
		n, err = b.RecvBatch(in, unix.MSG_TRUNC|unix.MSG_WAITFORONE)
		require.NoError(t, err)
		require.Equal(t, len(want), n)
		for i := range n {
			require.Equal(t, want[i], in[i].N)
			require.Equal(t, want[i], out[want[i]].N)
			require.Equal(t, a.LocalAddr(), in[i].Addr)
			require.Equal(t, want[i] > 2, in[i].Flags&unix.MSG_TRUNC != 0)
		}
	}
	_, err = b.RecvBatch(in, unix.MSG_DONTWAIT)
	require.ErrorIs(t, err, unix.EAGAIN)
	require.NoError(t, b.SetRecvTimeout(short))
	_, err = b.RecvBatch(in, 0)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	n, err = b.RecvBatch(nil, 0)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = a.SendBatch(nil, 0)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestRecvBatchWaitsForTheFirst(t *testing.T) {
	a, b := udpPair(t)
	done := make(chan int, 1)
	in := batchOf(8, 9)
	go func() {
		n, err := b.RecvBatch(in, unix.MSG_WAITFORONE)
		require.NoError(t, err)
		done <- n
	}()
	awaitParked(t, 1)
	_, err := a.SendToAddr([]byte("x"), b.LocalAddr(), 0)
	require.NoError(t, err)
	require.Equal(t, 1, <-done)
	// A short batch has drained the socket. The call does not miss the next message.
	_, err = a.SendToAddr([]byte("yz"), b.LocalAddr(), 0)
	require.NoError(t, err)
	n, err := b.RecvBatch(in, unix.MSG_WAITFORONE)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, []int{n, in[0].N})
}

// Without the flag, RecvBatch waits for all messages. If something ends the wait,
// RecvBatch returns the messages that have come. The next call returns the reason if it
// still holds.
func TestRecvBatchWaitsForAll(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, a, b *Socket, cancel func())
		want int
		next error
	}{
		{"the last comes", func(t *testing.T, a, b *Socket, _ func()) {
			_, err := a.SendToAddr([]byte("end"), b.LocalAddr(), 0)
			require.NoError(t, err)
		}, 3, unix.EAGAIN},
		{"close", func(t *testing.T, _, b *Socket, _ func()) { require.NoError(t, b.Close()) }, 2, unix.EBADF},
		{"interrupt", func(_ *testing.T, _, b *Socket, _ func()) { b.Interrupt() }, 2, unix.EAGAIN},
		{"context", func(_ *testing.T, _, _ *Socket, cancel func()) { cancel() }, 2, unix.EINTR},
		{"shutdown", func(t *testing.T, _, b *Socket, _ func()) {
			require.ErrorIs(t, b.Shutdown(unix.SHUT_RD), unix.ENOTCONN) // the shutdown works nevertheless
		}, 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := udpPair(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := b.WithContext(ctx)
			in := batchOf(3, 9)
			received := blocked(t, "RecvBatch", func() error {
				n, err := s.RecvBatch(in, 0)
				if err == nil && n != c.want {
					err = fmt.Errorf("%d messages", n)
				}
				return err
			})
			for range 2 {
				_, err := a.SendToAddr([]byte("xy"), b.LocalAddr(), 0)
				require.NoError(t, err)
				require.Eventually(t, func() bool { return queued(b.Fd()) == 0 }, time.Minute, 100*time.Microsecond)
				awaitParked(t, 1)
			}
			c.end(t, a, b, cancel)
			require.NoError(t, soon(t, received))
			for i := range c.want {
				require.Equal(t, []int{2, 2, 3}[i], in[i].N)
				require.Equal(t, a.LocalAddr(), in[i].Addr)
			}
			_ = b.SetRecvTimeout(time.Millisecond) // another goroutine may have closed it
			n, err := s.RecvBatch(in, 0)
			require.Zero(t, n)
			require.ErrorIs(t, err, c.next)
		})
	}
}

// stateOf returns the state of a socket's registration as bits that package loop
// explains.
func stateOf(t *testing.T, s *Socket) (state uint64) {
	text := s.core.reg.String()
	_, err := fmt.Sscanf(text[strings.Index(text, "state "):], "state 0x%x)", &state)
	require.NoError(t, err)
	return state
}

const (
	brokenBit   = 1 << 1
	readableBit = 1 << 4
	writerBit   = 1 << 10 // a call waits for writability
)

// awaitReady waits until the loop has taken in the events for these bits.
func awaitReady(t *testing.T, s *Socket, bits uint64) {
	require.Eventually(t, func() bool { return stateOf(t, s)&bits == bits }, time.Minute, 100*time.Microsecond)
}

// The next call finds the messages, or the end, that a batch leaves. The kernel reports
// no event for them again.
func TestRecvBatchLeavesTheRest(t *testing.T) {
	a, b := udpPair(t)
	in := batchOf(2, 9)
	began := time.Now()
	require.NoError(t, b.SetRecvTimeout(time.Millisecond))
	_, err := b.RecvBatch(in, unix.MSG_WAITFORONE) // from now on the kernel watches it
	require.ErrorIs(t, err, unix.EAGAIN)
	require.NoError(t, b.SetRecvTimeout(time.Minute))
	for range 3 {
		_, err := a.SendToAddr([]byte("x"), b.LocalAddr(), 0)
		require.NoError(t, err)
	}
	require.ErrorIs(t, b.Shutdown(unix.SHUT_RD), unix.ENOTCONN) // the shutdown works nevertheless
	awaitReady(t, b, readableBit|brokenBit)
	for _, want := range []int{2, 1, 0, 0} {
		n, err := b.RecvBatch(in, unix.MSG_WAITFORONE)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}

	_, c := udpPair(t)
	require.NoError(t, c.SetRecvTimeout(time.Millisecond))
	_, err = c.RecvBatch(in, unix.MSG_WAITFORONE)
	require.ErrorIs(t, err, unix.EAGAIN)
	require.NoError(t, c.SetRecvTimeout(time.Minute))
	for range 3 {
		_, err := a.SendToAddr([]byte("x"), c.LocalAddr(), 0)
		require.NoError(t, err)
	}
	awaitReady(t, c, readableBit)
	for _, want := range []int{2, 1} {
		n, err := c.RecvBatch(in, unix.MSG_WAITFORONE)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.Less(t, time.Since(began), 30*time.Second, "found by a call, not at the end of its time")
}

// The first message is the only one. RecvBatch does not pass an EAGAIN on to the next
// call.
func TestRecvBatchOfFullMessagesOwesNothing(t *testing.T) {
	for _, family := range []Family{Inet, Unix} {
		l := listening(t, family, 1)
		peer := connectedTo(t, l)
		s, err := l.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { s.Close() })
		put(t, peer, "fourfour")
		n, err := s.RecvBatch(batchOf(3, 4), unix.MSG_WAITALL|unix.MSG_WAITFORONE)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		next := blocked(t, "Recv", func() error { _, err := s.Recv(make([]byte, 4), 0); return err })
		put(t, peer, "more")
		require.NoError(t, soon(t, next))
	}
}

// If another call leaves an error meanwhile, the next call returns the error.
func TestRecvBatchOfFullMessagesLeavesWhatIsOwed(t *testing.T) {
	s, peer := tcpInputPair(t)
	put(t, peer, "four")
	got := make(chan int, 1)
	batch := blocked(t, "RecvBatch", func() error {
		n, err := s.RecvBatch(batchOf(3, 4), unix.MSG_WAITALL)
		got <- n
		return err
	})
	s.core.owed.Store(uint32(unix.ENETDOWN))
	put(t, peer, "more")
	require.NoError(t, soon(t, batch))
	require.Equal(t, 2, <-got)
	_, err := s.Recv(make([]byte, 4), 0)
	require.ErrorIs(t, err, unix.ENETDOWN)
}

// An error precedes the messages that arrived before it. No message is lost.
func TestRecvBatchThenRefusal(t *testing.T) {
	s := open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
	peer := fdSocket(t, Inet, Dgram, loopback())
	fdConnect(t, peer, s.LocalAddr())
	require.NoError(t, s.ConnectAddr(fdAddr(t, peer)))
	_, err := unix.Write(peer, []byte("x"))
	require.NoError(t, err)
	require.NoError(t, unix.Close(peer))
	_, err = s.Send([]byte("y"), 0)
	require.NoError(t, err)
	in := batchOf(2, 9)
	_, err = s.RecvBatch(in, unix.MSG_WAITFORONE)
	require.ErrorIs(t, err, unix.ECONNREFUSED)
	n, err := s.RecvBatch(in, unix.MSG_WAITFORONE)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestSendBatchSaysWhatStopsIt(t *testing.T) {
	a, b := udpPair(t)
	out := batchOf(4, 3)
	for i := range out {
		out[i].Addr = b.LocalAddr()
	}
	out[2].Buffers = [][]byte{make([]byte, 70_000)}
	n, err := a.SendBatch(out, 0)
	require.Equal(t, 2, n)
	require.ErrorIs(t, err, unix.EMSGSIZE)
	n, err = b.RecvBatch(batchOf(4, 9), unix.MSG_WAITFORONE)
	require.NoError(t, err)
	require.Equal(t, 2, n)

	out[3].Addr = Addr{family: 77}
	n, err = a.SendBatch(out, 0)
	require.Zero(t, n)
	require.ErrorIs(t, err, unix.EAFNOSUPPORT)
	out[3].Addr, out[3].Segment = b.LocalAddr(), 70_000
	_, err = a.SendBatch(out, 0)
	require.ErrorIs(t, err, unix.EINVAL)
}

// If the peer is full, a batch continues when there is room, or returns its count.
func TestSendBatchToAFullPeer(t *testing.T) {
	peer := open(t, Unix, Dgram, Config{Bind: abstract()})
	s := open(t, Unix, Dgram)
	const count = 40 // more than net.unix.max_dgram_qlen
	out := make([]Message, count)
	for i := range out {
		out[i] = Message{Buffers: [][]byte{{byte(i)}}, Addr: peer.LocalAddr()}
	}
	require.NoError(t, s.SetSendTimeout(short))
	n, err := s.SendBatch(out, 0)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Greater(t, n, 0)
	require.Less(t, n, count)
	k, err := s.SendBatch(out[n:], unix.MSG_DONTWAIT)
	require.ErrorIs(t, err, unix.EAGAIN)
	require.Zero(t, k)
	require.NoError(t, s.SetSendTimeout(0))
	done := make(chan error, 1)
	go func() {
		_, err := s.SendBatch(out[n:], 0)
		done <- err
	}()
	awaitParked(t, 1)
	in := batchOf(count, 9)
	for got := 0; got < count; {
		n, err := peer.RecvBatch(in, unix.MSG_WAITFORONE)
		require.NoError(t, err)
		for i := range n {
			require.Equal(t, byte(got+i), in[i].Buffers[0][0])
		}
		got += n
	}
	require.NoError(t, <-done)
}

// On a stream a message may leave in parts. SendBatch loses no part and sends none twice.
func TestSendBatchOnAStream(t *testing.T) {
	a, b, err := Pair(Unix, Stream, 0)
	require.NoError(t, err)
	defer a.Close()
	defer b.Close()
	var want bytes.Buffer
	out := make([]Message, 5)
	for i := range out {
		text := bytes.Repeat([]byte{byte('a' + i)}, 300_000)
		want.Write(text)
		out[i].Buffers = split(string(text), 99_999)
	}
	done := make(chan error, 1)
	go func() {
		n, err := a.SendBatch(out, 0)
		if err == nil && (n != 5 || out[4].N != 300_000) {
			err = fmt.Errorf("sent %d, the last %d", n, out[4].N)
		}
		done <- err
	}()
	awaitParked(t, 1)
	got := make([]byte, want.Len())
	n, err := b.Recv(got, unix.MSG_WAITALL)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want.Bytes(), got[:n]))
	require.NoError(t, <-done)
}

func TestSegments(t *testing.T) {
	a := open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
	b := open(t, Inet, Dgram, Config{Address: "127.0.0.1", GRO: true})
	text := strings.Repeat("0123456789", 100)
	n, err := a.SendMsg(&Message{Buffers: split(text, 333), Addr: b.LocalAddr(), Segment: 400}, 0)
	require.NoError(t, err)
	require.Equal(t, len(text), n)
	got := ""
	for len(got) < len(text) { // the kernel may join the parts again
		m := room(64 << 10)
		_, err = b.RecvMsg(m, 0)
		require.NoError(t, err)
		if m.N > 400 {
			require.Equal(t, 400, m.Segment)
		}
		require.Zero(t, m.Flags)
		got += joined(m)
	}
	require.Equal(t, text, got)

	// Without GRO the receiver gets single datagrams. GSO applies to everything that the
	// socket sends.
	c := open(t, Inet, Dgram, Config{Address: "127.0.0.1"})
	d := open(t, Inet, Dgram, Config{GSO: 400})
	_, err = d.SendToAddr([]byte(text), c.LocalAddr(), 0)
	require.NoError(t, err)
	in := batchOf(9, 1000)
	n, err = c.RecvBatch(in, unix.MSG_WAITFORONE)
	require.NoError(t, err)
	require.Equal(t, []int{3, 400, 400, 200}, []int{n, in[0].N, in[1].N, in[2].N})
	require.Zero(t, in[0].Segment)

	// The socket also sends and receives the caller's own control messages.
	require.NoError(t, unix.SetsockoptInt(b.Fd(), unix.IPPROTO_IP, unix.IP_RECVTOS, 1))
	tos := unix.UnixRights(0x20)
	tos[8], tos[12] = unix.IPPROTO_IP, unix.IP_TOS
	_, err = a.SendMsg(&Message{Buffers: split(text, 999), Addr: b.LocalAddr(), Segment: 500, Control: tos[:20]}, 0)
	require.NoError(t, err)
	m := room(64 << 10)
	m.Control = make([]byte, 100)
	_, err = b.RecvMsg(m, 0)
	require.NoError(t, err)
	require.Equal(t, 500, m.Segment)
	found := false
	for cm := range m.Controls() {
		found = found || cm.Level == unix.IPPROTO_IP && cm.Type == unix.IP_TOS && cm.Data[0] == 0x20
	}
	require.True(t, found)
	// Without room for them, the call reports it.
	_, err = a.SendToAddr([]byte("x"), b.LocalAddr(), 0)
	require.NoError(t, err)
	m.Control = nil
	_, err = b.RecvMsg(m, 0)
	require.NoError(t, err)
	require.Equal(t, unix.MSG_CTRUNC, m.Flags)
}

func TestBatchesAllocateNothing(t *testing.T) {
	if sys.Racing {
		t.Skip("the race detector allocates")
	}
	a, b := udpPair(t)
	out, in := batchOf(16, 64), batchOf(16, 64)
	for i := range out {
		out[i].Addr = b.LocalAddr()
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		n, err := a.SendBatch(out, 0)
		k, err2 := b.RecvBatch(in, 0)
		_, err3 := a.SendMsg(&out[0], 0)
		_, err4 := b.RecvMsg(&in[0], 0)
		if err := errors.Join(err, err2, err3, err4); err != nil || n != 16 || k != 16 {
			panic(fmt.Sprint(n, k, err))
		}
	}))
}

// The benchmark sends 64 datagrams and receives them: by single calls, by batches, and as
// one send with GSO.
func BenchmarkDatagrams(b *testing.B) {
	const count, size = 64, 512
	pair := func(b *testing.B, cfg ...Config) (x, y *Socket) {
		for _, s := range []**Socket{&x, &y} {
			cfg := only(cfg)
			cfg.Address = "127.0.0.1"
			var err error
			if *s, err = cfg.New(Inet, Dgram, 0); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { (*s).Close() })
			_ = unix.SetsockoptInt((*s).Fd(), unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)
		}
		b.SetBytes(count * size)
		b.ReportAllocs()
		return x, y
	}
	check := func(b *testing.B, err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("single", func(b *testing.B) {
		x, y := pair(b)
		to, buf := y.LocalAddr(), make([]byte, size)
		for b.Loop() {
			for range count {
				_, err := x.SendToAddr(buf, to, 0)
				check(b, err)
			}
			for range count {
				_, _, err := y.RecvFrom(buf, 0)
				check(b, err)
			}
		}
	})
	b.Run("batch", func(b *testing.B) {
		x, y := pair(b)
		out, in := batchOf(count, size), batchOf(count, size)
		for i := range out {
			out[i].Addr = y.LocalAddr()
		}
		for b.Loop() {
			_, err := x.SendBatch(out, 0)
			check(b, err)
			for got := 0; got < count; {
				n, err := y.RecvBatch(in, unix.MSG_WAITFORONE)
				check(b, err)
				got += n
			}
		}
	})
	b.Run("segments", func(b *testing.B) {
		x, y := pair(b, Config{GRO: true})
		out := Message{Buffers: [][]byte{make([]byte, count*size)}, Addr: y.LocalAddr(), Segment: size}
		in := Message{Buffers: [][]byte{make([]byte, count*size)}}
		for b.Loop() {
			_, err := x.SendMsg(&out, 0)
			check(b, err)
			for got := 0; got < count*size; {
				n, err := y.RecvMsg(&in, 0)
				check(b, err)
				got += n
			}
		}
	})
}
