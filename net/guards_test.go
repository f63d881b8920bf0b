package net_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// FilePacketConn takes datagram sockets, and refuses streams.
func TestFilePacketConn(t *testing.T) {
	original, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer original.Close()
	f, err := original.(*net.UDPConn).File()
	require.NoError(t, err)
	defer f.Close()
	c, err := weirnet.FilePacketConn(f)
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, original.LocalAddr(), c.LocalAddr())
	_, err = c.WriteTo([]byte("hello"), c.LocalAddr())
	require.NoError(t, err)
	buf := make([]byte, 8)
	n, from, err := c.ReadFrom(buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))
	require.Equal(t, original.LocalAddr(), from)

	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	stream, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	defer stream.Close()
	_, err = weirnet.FilePacketConn(stream)
	require.ErrorIs(t, err, unix.EINVAL)
	_, err = weirnet.FilePacketConn(os.Stdin)
	require.Error(t, err)
}

// The functions that listen on unix sockets need an address, and serve one.
func TestListenUnixAndUnixgram(t *testing.T) {
	_, err := weirnet.ListenUnix("unix", nil)
	require.ErrorContains(t, err, "missing address")
	_, err = weirnet.ListenUnixgram("unixgram", nil)
	require.ErrorContains(t, err, "missing address")
	for _, network := range []string{"unix", "unixpacket"} {
		path := filepath.Join(t.TempDir(), network)
		l, err := weirnet.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
		require.NoError(t, err)
		defer l.Close()
		require.Equal(t, path, l.Addr().String())
		c, err := weirnet.DialUnix(network, nil, &net.UnixAddr{Name: path, Net: network})
		require.NoError(t, err)
		defer c.Close()
	}
	path := filepath.Join(t.TempDir(), "gram")
	c, err := weirnet.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, path, c.LocalAddr().String())
	for _, bad := range []string{"unix", "tcp", "unixgram"} {
		if bad != "unixgram" {
			_, err = weirnet.ListenUnixgram(bad, &net.UnixAddr{Name: path + "2", Net: bad})
			require.ErrorAs(t, err, new(net.UnknownNetworkError))
		}
		if bad != "unix" {
			_, err = weirnet.ListenUnix(bad, &net.UnixAddr{Name: path + "2", Net: bad})
			require.ErrorAs(t, err, new(net.UnknownNetworkError))
		}
	}
}

// Without an address ListenIP takes all.
func TestListenIPWithoutAddress(t *testing.T) {
	c, err := weirnet.ListenIP("ip4:253", nil) // for experiments: RFC 3692
	if errors.Is(err, unix.EPERM) {
		machine.Missing(t, "there is no right to open raw sockets")
	}
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, "0.0.0.0", c.LocalAddr().String())
	_, err = weirnet.ListenIP("udp", nil)
	require.ErrorAs(t, err, new(net.UnknownNetworkError))
	for _, network := range []string{":253", "ip4:", "ip9:253", "ip4"} {
		_, err = weirnet.ListenIP(network, nil)
		require.Error(t, err, network)
	}
}
