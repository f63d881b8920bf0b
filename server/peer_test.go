package server

import (
	"net"
	"net/netip"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

func TestInetPeer(t *testing.T) {
	for from, want := range map[string]string{
		"127.0.0.1:80":          "127.0.0.1:80",
		"[::ffff:127.0.0.1]:80": "127.0.0.1:80", // an IPv4 client of a dual-stack listener
		"[::1]:65535":           "[::1]:65535",
		"[2001:db8::1]:1":       "[2001:db8::1]:1",
		"[fe80::1%4000000]:7":   "[fe80::1%4000000]:7",
	} {
		p := makeInetPeer(socket.AddrFrom(netip.MustParseAddrPort(from)))
		require.False(t, p.isUnix())
		a := p.addr()
		require.Equal(t, want, a.String())
	}
	p := makeInetPeer(socket.UnixAddr("/tmp/x"))
	require.True(t, p.isUnix())
	a := p.addr()
	require.Equal(t, socket.Unix, a.Family())
}

func TestRemoteAddrOnADualStackListenerIsIPv4(t *testing.T) {
	machine.NeedIPv6(t)
	got := make(chan string, 1)
	srv := &Server{Loops: 1, Events: Events{
		Open: func(c *Conn) error { got <- c.RemoteAddr().String(); return nil },
		Data: func(c *Conn) error { return nil },
	}}
	defer srv.Close()
	addr, err := srv.Listen("tcp", "[::]:0")
	require.NoError(t, err)
	c, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", portOf(addr)))
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, c.LocalAddr().String(), <-got)
}

func portOf(a socket.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}
