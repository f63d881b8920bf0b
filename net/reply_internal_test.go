package net

import (
	"net/netip"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// controlMessage returns a control message.
func controlMessage(level, kind int32, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

// destination finds the message that has the address among all others.
func TestDestination(t *testing.T) {
	t.Parallel()
	long := make([]byte, 20)
	for i := range long {
		long[i] = byte(i)
	}
	for _, other := range [][]byte{
		controlMessage(unix.IPPROTO_IP, unix.IP_TOS, long), controlMessage(unix.IPPROTO_IPV6, unix.IP_PKTINFO, long),
		controlMessage(unix.IPPROTO_IP, unix.IP_PKTINFO, long[:4]), controlMessage(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, long),
		controlMessage(unix.IPPROTO_IP, unix.IPV6_PKTINFO, long), controlMessage(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, long[:4]),
	} {
		ip, index := destination(other)
		require.Equal(t, netip.Addr{}, ip)
		require.Zero(t, index)

		ip, index = destination(append(other, controlMessage(unix.IPPROTO_IP, unix.IP_PKTINFO, []byte{3, 0, 0, 0, 127, 0, 0, 2, 1, 1, 1, 1})...))
		require.Equal(t, netip.MustParseAddr("127.0.0.2"), ip)
		require.NotZero(t, index)

		ip, index = destination(append(other, controlMessage(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(netip.MustParseAddr("2001:db8::5").AsSlice(), 3, 0, 0, 0))...))
		require.Equal(t, netip.MustParseAddr("2001:db8::5"), ip)
		require.NotZero(t, index)
	}
}
