package net_test

import (
	"net"
	"strings"
	"testing"
	"time"

	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// The connection of Go's net has the same kernel socket.
func TestStdConnIsTheSameSocket(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		c, s := connPair(t, network)
		local, remote := c.LocalAddr(), c.RemoteAddr()
		std, err := weirnet.StdConn(c)
		require.NoError(t, err)
		defer std.Close()
		require.Equal(t, local, std.LocalAddr())
		require.Equal(t, remote, std.RemoteAddr())
		if network == "tcp" {
			require.IsType(t, &net.TCPConn{}, std)
		} else {
			require.IsType(t, &net.UnixConn{}, std)
		}
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = std.Write([]byte("hello"))
		require.NoError(t, err)
		buf := make([]byte, 8)
		n, err := s.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "hello", string(buf[:n]))
		require.NoError(t, std.SetReadDeadline(time.Now().Add(time.Millisecond)))
		_, err = std.Read(buf)
		require.True(t, err.(net.Error).Timeout(), "the descriptor is still non-blocking")
	}
	p, err := weirnet.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	std, err := weirnet.StdPacketConn(p)
	require.NoError(t, err)
	defer std.Close()
	require.IsType(t, &net.UDPConn{}, std)
	require.Equal(t, p.LocalAddr().String(), std.LocalAddr().String())

	l, err := weirnet.Listen("unix", localAddress(t, "unix"))
	require.NoError(t, err)
	listener, err := weirnet.StdListener(l)
	require.NoError(t, err)
	defer listener.Close()
	c, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	c.Close()

	_, err = weirnet.StdConn(struct{ net.Conn }{c})
	require.Error(t, err)
	_, err = weirnet.StdPacketConn(p)
	require.ErrorIs(t, err, net.ErrClosed)
}

// A server on the wildcard address answers from the address to which the client sent.
func TestReplyConnAnswersFromWhereItWasAsked(t *testing.T) {
	for network, hosts := range map[string][]string{
		"udp4": {"127.0.0.1", "127.0.0.2", "127.9.8.7"}, "udp": {"127.0.0.2", "::1"}, "udp6": {"::1"},
	} {
		if network != "udp4" && !nettest.SupportsIPv6() {
			t.Logf("%s is left out: the machine has no IPv6", network)
			continue
		}
		c, err := weirnet.ListenUDP(network, nil)
		require.NoError(t, err)
		r, err := weirnet.NewReplyConn(c)
		require.NoError(t, err)
		defer r.Close()
		_, port, err := net.SplitHostPort(r.LocalAddr().String())
		require.NoError(t, err)
		for _, host := range hosts {
			// A connected socket receives answers only from its peer.
			client, err := net.Dial("udp", net.JoinHostPort(host, port))
			require.NoError(t, err)
			defer client.Close()
			require.NoError(t, client.SetDeadline(time.Now().Add(time.Minute)))
			_, err = client.Write([]byte("question"))
			require.NoError(t, err)
			buf := make([]byte, 16)
			n, from, err := r.ReadFrom(buf)
			require.NoError(t, err)
			require.Equal(t, "question", string(buf[:n]))
			require.Equal(t, client.LocalAddr().String(), from.String())
			require.Equal(t, host, from.(*weirnet.ReplyAddr).Local.Unmap().String())
			_, err = r.WriteTo([]byte(strings.ToUpper("answer")), from)
			require.NoError(t, err)
			n, err = client.Read(buf)
			require.NoError(t, err)
			require.Equal(t, "ANSWER", string(buf[:n]))
		}
	}
}
