package socket

import (
	"io"
	"math"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// settle returns when the socket's loop has taken in all events that there are.
func settle(t *testing.T, s *Socket) {
	t.Helper()
	for range 3 { // a turn asks the kernel before it runs what was posted
		done := make(chan struct{})
		require.NoError(t, s.Registration().Loop().Post(func() { close(done) }))
		<-done
	}
}

// A batch that was full leaves messages behind, and no event tells of them. The next call
// takes them at once.
func TestFullBatchLeavesTheRestReady(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (a, b *Socket){
		"udp": func(t *testing.T) (a, b *Socket) {
			a, b = udpPair(t)
			require.NoError(t, a.ConnectAddr(b.LocalAddr()))
			return a, b
		},
		"unix": func(t *testing.T) (a, b *Socket) { return inputPair(t, Dgram) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			require.NoError(t, b.Registration().Watch())
			for range 10 {
				_, err := a.Send([]byte("x"), 0)
				require.NoError(t, err)
			}
			settle(t, b)
			for range 2 {
				received := make(chan int, 1)
				go func() {
					n, _ := b.RecvBatch(batchOf(5, 1), 0)
					received <- n
				}()
				select {
				case n := <-received:
					require.Equal(t, 5, n)
				case <-time.After(time.Minute):
					require.NoError(t, b.Close())
					t.Fatal("a call waits for messages that are there")
				}
			}
		})
	}
}

// The kernel reports a shutdown to no call that waits to send on a unix datagram socket.
func TestShutdownEndsABlockedSend(t *testing.T) {
	a, _ := inputPair(t, Dgram)
	fillUp(t, a)
	sent := blocked(t, "Send", func() error { _, err := a.Send(make([]byte, 8), 0); return err })
	require.NoError(t, a.Shutdown(unix.SHUT_WR))
	err := soon(t, sent)
	require.True(t, isErrno(err, unix.EPIPE), "%v", err)
}

// The kernel says that a stream hangs up that is not connected yet. The mark outlives the
// connect, and only makes calls try.
func TestStreamThatIsWatchedBeforeItConnects(t *testing.T) {
	for _, family := range []Family{Inet, Unix} {
		t.Run(family.String(), func(t *testing.T) {
			l := listening(t, family, 1)
			s := unconnected(t, family)
			require.NoError(t, s.Registration().Watch())
			require.Eventually(t, s.core.reg.Broken, time.Minute, time.Millisecond, "the kernel reports OUT and HUP")
			require.NoError(t, s.ConnectAddr(l.LocalAddr()))
			peer, err := l.Accept()
			require.NoError(t, err)
			defer peer.Close()
			for range 3 {
				received := blocked(t, "Recv", func() error {
					_, err := s.Recv(make([]byte, 1), 0)
					return err
				})
				put(t, peer, "x")
				require.NoError(t, soon(t, received))
			}
			received := blocked(t, "Recv", func() error {
				_, err := s.Recv(make([]byte, 1), 0)
				return err
			})
			require.NoError(t, peer.Close())
			require.ErrorIs(t, soon(t, received), io.EOF)
		})
	}
}

// A connect to a full backlog waits by time alone. The kernel watches nothing for it: it
// would report such a socket as hung up at once, and never that there is room.
func TestUnixConnectAsksAgainByTime(t *testing.T) {
	l := listening(t, Unix, 0)
	first := unconnected(t, Unix)
	require.NoError(t, first.ConnectAddr(l.LocalAddr()))
	s := unconnected(t, Unix)
	connecting := blocked(t, "ConnectAddr", func() error { return s.ConnectAddr(l.LocalAddr()) })
	require.Equal(t, loop.Doubtful, s.Registration().Look(loop.Exceptional), "the kernel watches the socket")
	accepted, err := l.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	require.NoError(t, soon(t, connecting))
}

// A wake-up that has brought nothing does not end a call.
func TestRecvGoesOnAfterAWakeUpInVain(t *testing.T) {
	a, peer := inputPair(t, Stream)
	for range 3 {
		received := make(chan string, 1)
		call := blocked(t, "Recv", func() error {
			buf := make([]byte, 8)
			n, err := a.Recv(buf, 0)
			received <- string(buf[:n])
			return err
		})
		a.core.reg.Doubt() // as a Setsockopt does
		require.Eventually(t, func() bool { return sleepers("Recv") == 1 }, time.Minute, time.Millisecond)
		require.Empty(t, call)
		put(t, peer, "x")
		require.NoError(t, soon(t, call))
		require.Equal(t, "x", <-received)
	}
}

// To move the bytes to the front of a block does not free the block.
func TestInputKeepsItsBlock(t *testing.T) {
	for range 100 { // the pool forgets some blocks
		in := &input{}
		in.reserve(1)
		in.r, in.w = headroom+1, headroom+2
		in.memory()[in.r] = 'x'
		in.reserve(1)
		require.Equal(t, "x", string(in.bytes()))
		other := getBlock(in.class)
		require.NotSame(t, in.block, other, "two inputs have one block")
		putBlock(other, in.class)
		putBlock(in.block, in.class)
	}
}

// An error of a datagram socket is of one datagram, and ends nothing.
func TestErrorsThatEndAConnection(t *testing.T) {
	for typ, want := range map[Type]bool{Stream: true, SeqPacket: true, Dgram: false, Raw: false} {
		c := &core{family: Inet, typ: typ}
		for _, errno := range []unix.Errno{unix.ECONNRESET, unix.EHOSTUNREACH, unix.ENETUNREACH} {
			require.Equal(t, want, c.fatal(errno), "%v of %v", errno, typ)
		}
		require.False(t, c.fatal(unix.EAGAIN))
	}
}

func TestSetsockoptIntRefuses(t *testing.T) {
	s := unconnected(t, Inet)
	for _, c := range []struct{ option, value int }{
		{unix.SO_RCVBUF, math.MinInt32 - 1}, {unix.SO_RCVBUF, math.MaxUint32 + 1}, {unix.SO_RCVTIMEO, 1},
	} {
		require.ErrorIs(t, s.SetsockoptInt(unix.SOL_SOCKET, c.option, c.value), unix.EINVAL)
	}
	_, err := deviceIndex(struct{}{})
	require.ErrorContains(t, err, "an interface is needed")
	n, err := deviceIndex(7)
	require.NoError(t, err)
	require.EqualValues(t, 7, n)
}

func TestReuseAddress(t *testing.T) {
	for _, on := range []bool{false, true} {
		s, err := Config{Address: "127.0.0.1", ReuseAddress: on}.New(Inet, Stream, 0)
		require.NoError(t, err)
		v, err := s.GetsockoptInt(unix.SOL_SOCKET, unix.SO_REUSEADDR)
		require.NoError(t, err)
		require.Equal(t, on, v == 1)
		require.NoError(t, s.Close())
	}
}

// SO_RCVLOWAT of 2 is the smallest that makes a call wait for more than there is.
func TestRecvWaitsForTwoBytes(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (a, b *Socket){
		"tcp": tcpPair, "unix": func(t *testing.T) (a, b *Socket) { return inputPair(t, Stream) },
	} {
		t.Run(name, func(t *testing.T) {
			a, peer := pair(t)
			require.NoError(t, a.Setsockopt(nil, "SO_RCVLOWAT", 2))
			put(t, peer, "x")
			var got string
			received := blocked(t, "Recv", func() error {
				buf := make([]byte, 8)
				n, err := a.Recv(buf, 0)
				got = string(buf[:n])
				return err
			})
			put(t, peer, "yz") // the kernel reports no input below SO_RCVLOWAT, not even the rest
			require.NoError(t, soon(t, received))
			require.Equal(t, "xyz", got)
		})
	}
}
