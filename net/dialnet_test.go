package net_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// These dials return the same errors as net's dials in the same run.
func TestDialEndsAsNets(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	refused := fmt.Sprint(closed.Addr().(*net.TCPAddr).Port)
	require.NoError(t, closed.Close())
	for _, c := range []struct{ network, address string }{
		{"tcp", "127.0.0.1:" + refused}, {"tcp4", "localhost:" + refused},
		{"tcp", "[::]:" + port}, {"tcp4", "[::]:" + port}, {"tcp4", "[::1]:" + port}, {"tcp", "0.0.0.0:" + port},
		{"tcp", ":" + port}, {"udp", "[::]:" + port}, {"udp", ":" + port},
		{"udp", "127.0.0.1:0"}, {"tcp", "127.0.0.1:0"}, {"udp4", "localhost:0"},
		{"tcp", ""}, {"unix", ""}, {"udp", "127.0.0.1"}, {"tcp", "127.0.0.1:http-nonesuch"},
		{"tcp", "127.0.0.1:70000"}, {"tcp", "127.0.0.1:-1"},
		{"nonesuch", "127.0.0.1:1"}, {"ip4", "127.0.0.1"}, {"ip4:nonesuch", "127.0.0.1"}, {"ip:", "127.0.0.1"},
		{"unix", "/no/such/path"}, {"unixgram", "@no-such-name"}, {"unix", string(make([]byte, 200))},
	} {
		var got [2]string
		for i, f := range faces {
			conn, err := f.DialTimeout(c.network, c.address, time.Minute)
			got[i] = describe(err)
			if err == nil {
				got[i] = fmt.Sprintf("to %v, %T", conn.RemoteAddr(), conn)
				conn.Close()
			}
		}
		require.Equal(t, got[0], got[1], "%s %q", c.network, c.address)
	}
}

// The name has addresses of one family only, in one case in the hosts file. The error
// still says why these addresses refused.
func TestRefusedDialToANameOfOneFamily(t *testing.T) {
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	port := fmt.Sprint(closed.Addr().(*net.TCPAddr).Port)
	require.NoError(t, closed.Close())
	one := &weirnet.Dialer{Resolver: zone{}.host("one.test", ips("127.0.0.1"), ips()).resolver(t)}
	for name, dial := range map[string]func() (net.Conn, error){
		"localhost": func() (net.Conn, error) { return weirnet.Dial("tcp", "localhost:"+port) },
		"one":       func() (net.Conn, error) { return one.Dial("tcp", "one.test.:"+port) },
	} {
		_, err := dial()
		var op *net.OpError
		require.ErrorAs(t, err, &op, name)
		require.IsType(t, &os.SyscallError{}, op.Err, name)
		require.ErrorIs(t, err, unix.ECONNREFUSED, name)
	}
}

// Dial does not bind the socket if LocalAddr sets nothing.
func TestDialFromAnUnspecifiedPath(t *testing.T) {
	unixAt := fmt.Sprintf("@weir-test-from-%d", os.Getpid())
	l, err := net.Listen("unix", unixAt)
	require.NoError(t, err)
	defer l.Close()
	c, err := (&weirnet.Dialer{LocalAddr: &net.UnixAddr{Net: "unix"}}).Dial("unix", unixAt)
	require.NoError(t, err)
	defer c.Close()
	reference, err := (&net.Dialer{LocalAddr: &net.UnixAddr{Net: "unix"}}).Dial("unix", unixAt)
	require.NoError(t, err)
	defer reference.Close()
	require.Equal(t, reference.LocalAddr(), c.LocalAddr())
}

// From the unspecified IPv6 address a dial reaches an IPv4 peer.
func TestDialFromTheUnspecifiedAddressOfIPv6(t *testing.T) {
	machine.NeedIPv6(t)
	peer, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer peer.Close()
	for _, dial := range []func(string, string) (net.Conn, error){
		(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv6unspecified}}).Dial,
		(&weirnet.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv6unspecified}}).Dial,
	} {
		c, err := dial("tcp", peer.Addr().String())
		require.NoError(t, err)
		require.Equal(t, peer.Addr().String(), c.RemoteAddr().String())
		c.Close()
	}
}

// Without a race each address has its part of the time. So an address that does not
// answer leaves time for the next one.
func TestDialInTurnDividesTheTime(t *testing.T) {
	port := hostsAt(t, map[string]role{"127.0.0.2": swallows, "127.0.0.3": accepts})
	d := weirnet.Dialer{
		FallbackDelay: -1, Timeout: 4500 * time.Millisecond,
		Resolver: zone{}.host("slow.test", ips("127.0.0.2", "127.0.0.3"), ips()).resolver(t),
	}
	start := time.Now()
	c, err := d.Dial("tcp", net.JoinHostPort("slow.test.", port))
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, "127.0.0.3:"+port, c.RemoteAddr().String())
	require.GreaterOrEqual(t, time.Since(start), 2*time.Second)
}

// Cancel ends a Dial, as the context does.
func TestDialerCancel(t *testing.T) {
	port := hostsAt(t, map[string]role{"127.0.0.2": swallows})
	cancel := make(chan struct{})
	d := weirnet.Dialer{Cancel: cancel, Control: func(string, string, syscall.RawConn) error { close(cancel); return nil }}
	_, err := d.Dial("tcp", "127.0.0.2:"+port)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "operation was canceled")
	require.False(t, errors.Is(err, context.DeadlineExceeded))
}

// The error of a Dial names LocalAddr if no address of the name suits it.
func TestDialFromTheOtherFamily(t *testing.T) {
	t.Parallel()
	resolver := zone{}.host("four.test", ips("127.0.0.1"), ips()).resolver(t)
	from := &net.TCPAddr{IP: net.IPv6loopback}
	_, want := (&net.Dialer{Resolver: resolver, LocalAddr: from}).Dial("tcp", "four.test.:80")
	_, got := (&weirnet.Dialer{Resolver: resolver, LocalAddr: from}).Dial("tcp", "four.test.:80")
	require.EqualError(t, got, want.Error())
}

// Listen on a unixgram network returns a listener whose Accept fails.
func TestListenerOfDatagrams(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/s"
	l, err := weirnet.Listen("unixgram", path)
	require.NoError(t, err)
	require.IsType(t, &weirnet.UnixListener{}, l)
	_, err = l.Accept()
	require.ErrorIs(t, err, unix.EOPNOTSUPP)
	require.NoError(t, l.Close())
	require.NoFileExists(t, path)
}
