package socket

import (
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A field of an option's structure takes the integers that fit into it.
func TestFieldsTakeWhatFits(t *testing.T) {
	for _, c := range []struct {
		field byte
		size  int
		value int64
		fits  bool
	}{
		{'u', 1, 0, true}, {'u', 1, 255, true}, {'u', 1, 256, false}, {'u', 1, -1, false},
		{'u', 2, 65535, true}, {'u', 2, 65536, false}, {'u', 2, -1, false},
		{'u', 4, 1<<32 - 1, true}, {'u', 4, -1, false},
		{'i', 4, 1<<31 - 1, true}, {'i', 4, 1 << 31, false}, {'i', 4, -1, true},
	} {
		_, err := putField(c.field, make([]byte, c.size), []any{c.value})
		require.Equal(t, c.fits, err == nil, "%+v: %v", c, err)
	}
}

// Only a send on TCP that asks for it, and may wait, connects first.
func TestWhichSendsOpen(t *testing.T) {
	for _, c := range []struct {
		family Family
		typ    Type
		flags  int
		want   bool
	}{
		{Inet, Stream, unix.MSG_FASTOPEN, true}, {Inet6, Stream, unix.MSG_FASTOPEN, true},
		{Inet, Stream, 0, false}, {Inet, Stream, unix.MSG_DONTWAIT, false},
		{Inet, Stream, unix.MSG_FASTOPEN | unix.MSG_DONTWAIT, false},
		{Unix, Stream, unix.MSG_FASTOPEN, false}, {Inet, Dgram, unix.MSG_FASTOPEN, false},
	} {
		x := &core{family: c.family, typ: c.typ}
		require.Equal(t, c.want, x.opens(c.flags), "%+v", c)
		require.Equal(t, c.typ == Stream && c.family != Unix, x.tcp(), "%+v", c)
	}
}

func TestBytesOfAnOption(t *testing.T) {
	for _, v := range []any{[]byte{1, 0, 255}, []any{1, 0, 255}, []int{1, 0, 255}} {
		b, err := encodeBytes(v)
		require.NoError(t, err, "%#v", v)
		require.Equal(t, []byte{1, 0, 255}, b)
	}
	for _, v := range []any{[]any{256, 1}, []any{-1, 1}, []any{"x", 1}, []int{1, 256}, 3, struct{}{}} {
		_, err := encodeBytes(v)
		require.ErrorContains(t, err, "bytes are needed", "%#v", v)
	}
}

func TestAddressTexts(t *testing.T) {
	require.Equal(t, "2:1024", addressText(Vsock, "2", "1024"))
	require.Equal(t, "2", addressText(Vsock, "2", ""))
	require.Equal(t, "/tmp/x", addressText(Unix, "/tmp/x", "80"))
}

// Reading SO_ERROR returns and clears an error that the socket owes. Another option does
// not.
func TestOptionsLeaveTheOwedError(t *testing.T) {
	s := unconnected(t, Inet)
	s.core.owed.Store(uint32(unix.ECONNRESET))
	for _, c := range []struct{ level, option, want int }{
		{unix.SOL_SOCKET, unix.SO_TYPE, unix.SOCK_STREAM},
		{unix.IPPROTO_TCP, unix.SO_ERROR, -1}, // the number is that of TCP_KEEPIDLE
		{unix.SOL_SOCKET, unix.SO_ERROR, int(unix.ECONNRESET)},
		{unix.SOL_SOCKET, unix.SO_ERROR, 0},
	} {
		v, err := s.GetsockoptInt(c.level, c.option)
		require.NoError(t, err)
		if c.want >= 0 {
			require.Equal(t, c.want, v, "%+v", c)
		}
	}
	require.Zero(t, s.core.owed.Load())
}

// The kernel gets the whole hardware address, however long it is.
func TestLengthOfPacketAddresses(t *testing.T) {
	for n := range maxLink + 1 {
		var sa sockaddr
		require.NoError(t, sa.encode(PacketAddr(PacketInfo{Protocol: unix.ETH_P_IP, Interface: 1, Address: make([]byte, n)})))
		require.EqualValues(t, max(unix.SizeofSockaddrLinklayer, linkOffset+uint32(n)), sa.Len)
	}
}

// A message that has been sent in part when the connection breaks: the call returns the
// part, and the next one says what broke the connection.
func TestSendMsgThatBreaksMidway(t *testing.T) {
	a, peer := tcpPair(t)
	const size = 64 << 20
	sent := 0
	sending := blocked(t, "SendMsg", func() (err error) {
		sent, err = a.SendMsg(&Message{Buffers: [][]byte{make([]byte, size)}}, 0)
		return err
	})
	require.NoError(t, unix.SetsockoptLinger(peer.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	require.NoError(t, peer.Close())
	require.NoError(t, soon(t, sending))
	require.Positive(t, sent)
	require.Less(t, sent, size)
	_, err := a.SendMsg(&Message{Buffers: [][]byte{[]byte("x")}}, 0)
	require.ErrorIs(t, err, unix.ECONNRESET)
}

// A Shutdown while a connection is being made leaves the kernel's verdict: here the
// connection came just before.
func TestConnectFinishAfterShutdown(t *testing.T) {
	l := listening(t, Inet, 8)
	s := unconnected(t, Inet)
	_, err := s.ConnectStart(l.LocalAddr())
	require.NoError(t, err)
	fds := []unix.PollFd{{Fd: int32(s.Fd()), Events: unix.POLLOUT}}
	_, err = machine.Poll(fds, -1)
	require.NoError(t, err)
	s.core.goal.Store(&goal{l.LocalAddr(), s.core.shutdowns.Load()})
	s.core.remote.set(Addr{})
	require.NoError(t, s.Shutdown(unix.SHUT_WR))
	done, err := s.ConnectFinish()
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, l.LocalAddr(), s.core.remote.get())
}
