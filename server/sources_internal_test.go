package server

import (
	"net/netip"
	"testing"

	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

func TestSourcesByPrefix(t *testing.T) {
	srv := &Server{MaxConnsPerIP: 1}
	enter := func(ip string) (*source, bool) {
		return srv.enterSource(socket.AddrFrom(netip.AddrPortFrom(netip.MustParseAddr(ip), 1)))
	}
	for _, test := range []struct {
		ip string
		ok bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", false}, {"::ffff:192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8::1", true}, {"2001:db8::ffff:1:2:3", false}, {"2001:db8:0:1::1", true},
		{"::c000:201", true}, // not an IPv4 address
	} {
		_, ok := enter(test.ip)
		require.Equal(t, test.ok, ok, test.ip)
	}
	src, ok := srv.enterSource(socket.UnixAddr("/path"))
	require.True(t, ok)
	require.Nil(t, src)
	require.Len(t, srv.sources.of, 5)
	srv.leaveSource(nil)
	for _, src := range srv.sources.of {
		srv.leaveSource(src)
	}
	require.Empty(t, srv.sources.of)
}
