package socket

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// cmsg returns a control message, with the padding that follows it.
func cmsg(level, typ int, data ...byte) []byte {
	b := binary.NativeEndian.AppendUint64(nil, uint64(unix.CmsgLen(len(data))))
	b = binary.NativeEndian.AppendUint32(b, uint32(level))
	b = binary.NativeEndian.AppendUint32(b, uint32(typ))
	b = append(b, data...)
	return append(b, make([]byte, unix.CmsgSpace(len(data))-len(b))...)
}

// The size of the segments of a joined datagram is taken from its control message. Any
// other message for which the caller has no room is MSG_CTRUNC.
func TestToldControls(t *testing.T) {
	gro := cmsg(unix.IPPROTO_UDP, unix.UDP_GRO, 7, 1, 0, 0)
	for _, c := range []struct {
		name          string
		control       []byte
		segment, cut  int
		callerHasRoom bool
	}{
		{"none", nil, 0, 0, false},
		{"a segment", gro, 263, 0, false},
		{"a segment, and room", gro, 263, 0, true},
		{"another level", cmsg(unix.IPPROTO_TCP, unix.UDP_GRO, 7, 1, 0, 0), 0, unix.MSG_CTRUNC, false},
		{"another type", cmsg(unix.IPPROTO_UDP, unix.UDP_GRO+1, 7, 1, 0, 0), 0, unix.MSG_CTRUNC, false},
		{"too short", cmsg(unix.IPPROTO_UDP, unix.UDP_GRO, 7, 1, 0), 0, unix.MSG_CTRUNC, false},
		{"longer", cmsg(unix.IPPROTO_UDP, unix.UDP_GRO, 7, 1, 0, 0, 9), 263, 0, false},
		{"another type, and room", cmsg(unix.IPPROTO_UDP, unix.UDP_GRO+1, 7, 1, 0, 0), 0, 0, true},
		{"both", append(cmsg(unix.SOL_SOCKET, unix.SCM_TIMESTAMP, 1), gro...), 263, unix.MSG_CTRUNC, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &headers{}
			msgs := []Message{{N: 9, Flags: 9, Segment: 9, ControlLen: 9, Addr: loopback()}}
			if c.callerHasRoom {
				msgs[0].Control = make([]byte, 100)
			}
			h.receive(msgs)
			h.msgs[0].Len = 5
			hdr := &h.msgs[0].Hdr
			hdr.Control = unsafe.SliceData(c.control)
			hdr.SetControllen(len(c.control))
			hdr.Flags = unix.MSG_TRUNC | unix.MSG_CMSG_CLOEXEC
			h.told(msgs)
			m := msgs[0]
			require.Equal(t, 5, m.N)
			require.Equal(t, unix.MSG_TRUNC|c.cut, m.Flags)
			require.Equal(t, c.segment, m.Segment)
			require.False(t, m.Addr.IsValid())
			if c.callerHasRoom {
				require.Equal(t, len(c.control), m.ControlLen)
			} else {
				require.Zero(t, m.ControlLen)
			}
		})
	}
}

// skip skips whole buffers and the beginning of one.
func TestHeadersSkip(t *testing.T) {
	const text = "abcdef"
	for n := range len(text) + 1 {
		h := &headers{}
		buf := []byte(text)
		msgs := []Message{{}, {Buffers: [][]byte{buf[:2], {}, buf[2:5], buf[5:]}}}
		h.load(msgs)
		require.Equal(t, len(text), h.bytes)
		require.Zero(t, h.remaining(0))
		require.Equal(t, len(text), h.remaining(1))
		h.msgs[1].Hdr.Control = &buf[0]
		h.msgs[1].Hdr.SetControllen(3)
		h.skip(1, n)
		require.EqualValues(t, 3, h.msgs[1].Hdr.Controllen)
		rest := ""
		for _, iov := range unsafe.Slice(h.msgs[1].Hdr.Iov, h.msgs[1].Hdr.Iovlen) {
			rest += string(unsafe.Slice(iov.Base, iov.Len))
		}
		require.Equal(t, text[n:], rest)
		require.Equal(t, len(text)-n, h.remaining(1))
		h.wasSent(1, 0)
		require.Zero(t, h.msgs[1].Hdr.Controllen)
		require.Nil(t, h.msgs[1].Hdr.Control)
		require.Equal(t, len(text)-n, h.remaining(1))
	}
}

// A segment's size goes into a control message behind the caller's, each where the kernel
// looks for it.
func TestControlOfSegments(t *testing.T) {
	own := cmsg(unix.SOL_SOCKET, unix.SO_TXTIME, 1, 2, 3)
	msgs := []Message{
		{Segment: 1, Control: own[:unix.CmsgLen(3)]}, // without its padding
		{},
		{Control: own},
		{Segment: 65535},
	}
	h := &headers{}
	require.NoError(t, h.send(msgs))
	segment := func(n uint16) []byte {
		return cmsg(unix.IPPROTO_UDP, unix.UDP_SEGMENT, byte(n), byte(n>>8))
	}
	require.Equal(t, append(append([]byte{}, own...), segment(1)...), h.controlOf(0))
	require.Empty(t, h.controlOf(1))
	require.Nil(t, h.msgs[1].Hdr.Name)
	require.Equal(t, own, h.controlOf(2))
	require.Equal(t, segment(65535), h.controlOf(3))
	for _, bad := range []int{-1, 65536} {
		require.ErrorIs(t, h.send([]Message{{Segment: bad}}), unix.EINVAL)
	}
	require.NoError(t, h.send([]Message{{Addr: loopback()}}))
	require.EqualValues(t, unix.SizeofSockaddrInet4, h.msgs[0].Hdr.Namelen)
	require.NotNil(t, h.msgs[0].Hdr.Name)
}

// Headers keep no reference to the caller's memory, and none of a former call's settings.
func TestHeadersForget(t *testing.T) {
	udp := &core{family: Inet, typ: Dgram}
	for _, c := range []*core{udp, {family: Inet6, typ: Dgram}, {family: Unix, typ: Dgram}, {family: Inet, typ: Stream}} {
		h := takeHeaders(c)
		require.Same(t, c, h.core)
		require.Equal(t, c.typ == Dgram && c.family != Unix, h.space > 0)
		require.False(t, h.after)
		h.after = true
		h.load(batchOf(3, 1))
		msgs, iovs := h.msgs, h.iovs
		h.free()
		require.Nil(t, h.core)
		require.Equal(t, make([]unix.Mmsghdr, 3), msgs)
		require.Equal(t, make([]unix.Iovec, 3), iovs)
	}
	for range 100 { // large ones do not come back
		h := takeHeaders(udp)
		require.LessOrEqual(t, cap(h.iovs), mostHeaders)
		h.load([]Message{{Buffers: make([][]byte, mostHeaders+1)}})
		h.free()
	}
}
