package socket

import (
	"io"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The decisions that calls make from flags, types and what the kernel says, each beside
// the cases that differ in one condition alone.

func TestImmediate(t *testing.T) {
	for _, c := range []struct {
		family Family
		typ    Type
		flags  int
		want   bool
	}{
		{Inet, Stream, 0, false},
		{Inet, Stream, unix.MSG_PEEK, false},
		{Inet, Stream, unix.MSG_DONTWAIT, true},
		{Inet, Dgram, unix.MSG_DONTWAIT | unix.MSG_PEEK, true},
		{Inet, Stream, unix.MSG_OOB, true},
		{Unix, Stream, unix.MSG_OOB, true},
		{Inet, Dgram, unix.MSG_OOB, false},
		{Inet, Dgram, unix.MSG_ERRQUEUE, true},
		{Inet6, Stream, unix.MSG_ERRQUEUE, true},
		{Unix, Stream, unix.MSG_ERRQUEUE, false},
		{Netlink, Raw, unix.MSG_ERRQUEUE, false},
	} {
		x := &core{family: c.family, typ: c.typ}
		require.Equal(t, c.want, x.immediate(c.flags), "%+v", c)
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		family          Family
		typ             Type
		lowWater, flags int
		want            int
	}{
		{Inet, Stream, 1, 0, 1},
		{Inet, Stream, 5, 0, 5},
		{Inet, Stream, 50, 0, 10},
		{Inet, Stream, 5, unix.MSG_WAITALL, 10},
		{Inet, Stream, 5, unix.MSG_PEEK, 5},
		{Inet, Stream, 5, unix.MSG_PEEK | unix.MSG_WAITALL, 10},
		{Unix, Stream, 5, 0, 5},
		{Unix, Stream, 5, unix.MSG_PEEK, 0},
		{Unix, Stream, 5, unix.MSG_PEEK | unix.MSG_WAITALL, 0},
		{Inet, Dgram, 5, unix.MSG_WAITALL, 0},
		{Unix, SeqPacket, 5, unix.MSG_WAITALL, 0},
	} {
		x := &core{family: c.family, typ: c.typ}
		x.lowWater.Store(int32(c.lowWater))
		require.Equal(t, c.want, x.target(10, c.flags), "%+v", c)
	}
}

func TestLeftover(t *testing.T) {
	for _, c := range []struct {
		family   Family
		typ      Type
		n, flags int
		pace     *rate.Pair
		want     bool
	}{
		{Inet, Stream, 9, 0, nil, false},
		{Inet, Stream, 0, 0, nil, false},
		{Inet, Stream, 10, 0, nil, true},
		{Inet, Stream, 9, unix.MSG_PEEK, nil, true},
		{Inet, Stream, 9, unix.MSG_TRUNC, nil, false},
		{Inet, Dgram, 9, 0, nil, true},
		{Unix, Stream, 9, 0, nil, true},
		{Inet, Stream, 9, 0, &rate.Pair{}, true},
	} {
		x := &core{family: c.family, typ: c.typ, pace: c.pace}
		require.Equal(t, c.want, x.leftover(c.n, 10, c.flags), "%+v", c)
	}

	s, peer := tcpPair(t)
	require.NoError(t, s.Registration().Watch())
	require.False(t, s.core.leftover(1, 10, 0))
	_, err := peer.Send([]byte("!"), unix.MSG_OOB)
	require.NoError(t, err)
	require.Eventually(t, s.core.reg.Urgent, time.Minute, time.Millisecond)
	require.True(t, s.core.leftover(1, 10, 0), "the read stops at the mark")
	s, peer = tcpPair(t)
	require.NoError(t, s.Registration().Watch())
	require.NoError(t, peer.Close())
	require.Eventually(t, s.core.reg.Broken, time.Minute, time.Millisecond)
	require.True(t, s.core.leftover(1, 10, 0), "the end follows")
}

// A read of no bytes means the end of a stream, and of a seqpacket socket from which
// nothing can come.
func TestZeroIsEnd(t *testing.T) {
	ended := func(s *Socket, want bool) {
		t.Helper()
		require.Equal(t, want, s.zeroIsEnd())
		require.Equal(t, want, s.core.ended(s.Fd()))
	}
	s, _ := inputPair(t, Stream)
	ended(s, true)
	s, _ = inputPair(t, Dgram)
	ended(s, false)
	s, peer := inputPair(t, SeqPacket)
	ended(s, false)
	put(t, peer, "x")
	require.NoError(t, peer.Shutdown(unix.SHUT_WR))
	ended(s, false)
	_, err := s.Recv(make([]byte, 1), 0)
	require.NoError(t, err)
	ended(s, true)
	require.NoError(t, s.Close())
	require.False(t, s.zeroIsEnd())
}

func TestReceived(t *testing.T) {
	stream, _ := inputPair(t, Stream)
	datagram, _ := inputPair(t, Dgram)
	for _, c := range []struct {
		s               *Socket
		n, asked, flags int
		err, want       error
	}{
		{stream, 1, 1, 0, nil, nil},
		{stream, 0, 1, 0, nil, io.EOF},
		{stream, 0, 0, 0, nil, nil},
		{stream, 0, 1, unix.MSG_ERRQUEUE, nil, nil},
		{stream, 1, 1, 0, unix.ECONNRESET, unix.ECONNRESET},
		{stream, 0, 1, 0, unix.ECONNRESET, unix.ECONNRESET},
		{datagram, 0, 1, 0, nil, nil},
		{datagram, 1, 1, 0, nil, nil},
	} {
		require.ErrorIs(t, c.s.received("recv", c.n, c.asked, c.flags, c.err), c.want, "%+v", c)
	}
}

// A connection is broken midway if the kernel says so while a call has sent a part.
func TestBrokenMidway(t *testing.T) {
	s, peer := tcpPair(t)
	require.NoError(t, s.Registration().Watch())
	fd := s.Fd()
	require.False(t, s.core.brokenMidway(fd, 1), "it works")
	require.NoError(t, peer.Shutdown(unix.SHUT_WR))
	require.Eventually(t, s.core.reg.Broken, time.Minute, time.Millisecond)
	require.False(t, s.core.brokenMidway(fd, 1), "one direction has ended")
	require.NoError(t, unix.SetsockoptLinger(peer.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	require.NoError(t, peer.Close())
	require.Eventually(t, func() bool { return polled(fd, unix.POLLHUP) }, time.Minute, time.Millisecond)
	require.True(t, s.core.brokenMidway(fd, 1))
	require.False(t, s.core.brokenMidway(fd, 0), "the call has sent nothing, and returns the error itself")

	s, peer = inputPair(t, Stream)
	require.NoError(t, s.Registration().Watch())
	require.NoError(t, peer.Close())
	require.Eventually(t, s.core.reg.Broken, time.Minute, time.Millisecond)
	require.True(t, polled(s.Fd(), unix.POLLHUP))
	require.False(t, s.core.brokenMidway(s.Fd(), 1), "the kernel keeps no error of a unix socket")
}

// EPIPE of a unix socket hides what broke the connection from a call that has waited.
func TestPipeError(t *testing.T) {
	// broken returns a socket that has ECONNRESET pending: its peer left input unread.
	broken := func() *Socket {
		s, peer := inputPair(t, Stream)
		put(t, s, "x")
		require.NoError(t, peer.Close())
		return s
	}
	for _, c := range []struct {
		family      Family
		errno, want unix.Errno
		waited      bool
	}{
		{Unix, unix.EPIPE, unix.ECONNRESET, true},
		{Unix, unix.EPIPE, unix.EPIPE, false},
		{Inet, unix.EPIPE, unix.EPIPE, true},
		{Unix, unix.EAGAIN, unix.EAGAIN, true},
		{Unix, 0, 0, true},
	} {
		s := broken()
		x := &core{family: c.family, typ: Stream}
		require.Equal(t, c.want, x.pipeError(s.Fd(), c.errno, c.waited), "%+v", c)
	}
	require.Equal(t, unix.EPIPE, pending(-1, unix.EPIPE))
	s := broken()
	require.Equal(t, unix.ECONNRESET, pending(s.Fd(), unix.EPIPE))
	require.Equal(t, unix.EPIPE, pending(s.Fd(), unix.EPIPE), "it was taken")

	// A call that had to send everything tells what broke the connection after a part.
	for _, c := range []struct {
		n    int
		err  error
		want error
	}{
		{0, nil, nil}, {1, nil, nil},
		{0, unix.EPIPE, unix.EPIPE}, {1, unix.EPIPE, unix.ECONNRESET}, {1, unix.EAGAIN, unix.EAGAIN},
	} {
		require.ErrorIs(t, broken().short("write", c.n, c.err), c.want, "%+v", c)
	}
}

func TestSignOfRoom(t *testing.T) {
	for _, c := range []struct {
		family Family
		typ    Type
		by     bool
		want   sign
	}{
		{Unix, Dgram, true, patience},
		{Unix, SeqPacket, true, patience},
		{Unix, Dgram, false, readiness},
		{Unix, Stream, true, readiness},
		{Inet, Dgram, true, readiness},
	} {
		x := &core{family: c.family, typ: c.typ}
		require.Equal(t, c.want, x.signOfRoom(c.by), "%+v", c)
	}
}

// The count of a call that fails midway is its result. The next call reports the error,
// unless it is EPIPE or of a unix socket, which the kernel reports itself.
func TestSettle(t *testing.T) {
	for _, c := range []struct {
		family Family
		n      int
		err    error
		owed   unix.Errno
	}{
		{Inet, 0, unix.ECONNRESET, 0},
		{Inet, 3, nil, 0},
		{Inet, 3, unix.ECONNRESET, unix.ECONNRESET},
		{Inet, 3, unix.EPIPE, 0},
		{Unix, 3, unix.ECONNRESET, 0},
		{Inet, 3, io.EOF, 0},
	} {
		x := &core{family: c.family}
		n, err := x.settle(c.n, c.err)
		require.Equal(t, c.n, n)
		if c.n > 0 {
			require.NoError(t, err)
		} else {
			require.Equal(t, c.err, err)
		}
		require.EqualValues(t, c.owed, x.owed.Load(), "%+v", c)
	}
	for err, owed := range map[error]unix.Errno{nil: 0, io.EOF: 0, unix.EAGAIN: 0, unix.ECONNRESET: unix.ECONNRESET} {
		x := &core{}
		x.leave(err)
		require.EqualValues(t, owed, x.owed.Load(), "%v", err)
	}
}

// A read of no bytes on TCP waits once: a wake-up that brings nothing ends it, too. On a
// unix stream it waits for input.
func TestEmptyReadWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		pair func(*testing.T) (a, b *Socket)
		once bool
	}{
		{"tcp", tcpPair, true},
		{"unix", func(t *testing.T) (a, b *Socket) { return inputPair(t, Stream) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, peer := c.pair(t)
			recv := func() error {
				n, err := s.Recv([]byte{}, 0)
				require.Zero(t, n)
				return err
			}
			call := blocked(t, "Recv", recv)
			s.core.reg.Doubt()
			if c.once {
				require.NoError(t, soon(t, call))
				call = blocked(t, "Recv", recv)
			} else {
				require.Eventually(t, func() bool { return sleepers("Recv") == 1 }, time.Minute, time.Millisecond)
				require.Empty(t, call)
			}
			put(t, peer, "x")
			require.NoError(t, soon(t, call))
			require.NoError(t, recv(), "there is input, and it stays")
			require.Equal(t, 1, queued(s.Fd()))
		})
	}
}
