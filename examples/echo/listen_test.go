package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/seed-2334f180/weir/examples/internal/programtest"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The server listens once at each address of a name, with one port. It leaves out
// addresses that the machine does not have.
func TestListenAtEveryAddressOfAName(t *testing.T) {
	noSuchHost := &net.DNSError{Err: "no such host", IsNotFound: true}
	for _, c := range []struct {
		name  string
		found []string
		err   error
		want  []string
	}{
		{"both families", []string{"127.0.0.1", "::1"}, nil, []string{"127.0.0.1", "::1"}},
		{"IPv6 alone", []string{"::1"}, nil, []string{"::1"}},
		{"twice", []string{"127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1"}, nil, []string{"127.0.0.1"}},
		{"another machine's", []string{"192.0.2.1", "127.0.0.1", "2001:db8::1"}, nil, []string{"127.0.0.1"}},
		{"only another machine's", []string{"192.0.2.1"}, nil, nil},
		{"none", nil, nil, nil},
		{"no such name", nil, noSuchHost, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if slices.Contains(c.want, "::1") {
				machine.NeedIPv6(t)
			}
			listeners, err := listen(options{host: "name"}, func(_ context.Context, network, host string) (ips []netip.Addr, err error) {
				require.Equal(t, "ip name", network+" "+host)
				for _, ip := range c.found {
					ips = append(ips, netip.MustParseAddr(ip))
				}
				return ips, c.err
			})
			require.Equal(t, c.want == nil, err != nil, err)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
			var got []string
			for _, l := range listeners {
				defer l.Close()
				got = append(got, l.LocalAddr().Host())
				require.Equal(t, listeners[0].LocalAddr().Port(), l.LocalAddr().Port())
			}
			require.Equal(t, c.want, got)
		})
	}
}

// If the kernel chooses a port for one address and the port is in use at another, listen
// tries another port. It does not replace a port that the user gives.
func TestListenAtAPortThatIsFreeEverywhere(t *testing.T) {
	hosts := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	for _, c := range []struct{ taken, want, opened int }{
		{0, 2, 2},
		{3, 2, 5},
		{1000, 1, attempts},
	} {
		var opened []*socket.Socket
		at := func(ip netip.Addr, port int) (*socket.Socket, error) {
			if ip == hosts[1] && c.taken > 0 {
				c.taken--
				return nil, unix.EADDRINUSE
			}
			l, err := listenAt(ip, port)
			opened = append(opened, l)
			return l, err
		}
		listeners, errs := listenAtAll(hosts, options{host: "name"}, at)
		require.Len(t, listeners, c.want)
		require.Len(t, errs, len(hosts)-c.want)
		require.Len(t, opened, c.opened)
		for _, l := range opened {
			require.Equal(t, slices.Contains(listeners, l), l.Close() == nil, "the others are closed")
		}
	}
	l, err := listenAt(hosts[1], 0)
	require.NoError(t, err)
	defer l.Close()
	port := l.LocalAddr().Port()
	opened, errs := listenAtAll(hosts[1:], options{host: "name", port: port}, listenAt)
	require.Empty(t, opened)
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], unix.EADDRINUSE)
}

// Without a host, the server serves clients of both families at one port.
func TestAllAddresses(t *testing.T) {
	machine.NeedIPv6(t)
	p := launch(t, weirtest.Command(context.Background(), "-address", ":0"))
	_, port, err := net.SplitHostPort(p.Addr)
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "::1"} {
		p.Addr = net.JoinHostPort(host, port)
		c := dial(t, p)
		served(t, c)
		require.NoError(t, c.Close())
	}
	p.stop()
}

func TestName(t *testing.T) {
	p := launch(t, weirtest.Command(context.Background(), "-address", "localhost:0"))
	_, port, err := net.SplitHostPort(p.Addr)
	require.NoError(t, err)
	p.Addr = net.JoinHostPort("localhost", port)
	c := dial(t, p)
	served(t, c)
	require.NoError(t, c.Close())
	p.stop()
}

// If there are several listeners and the number of connections is bounded, each waiting
// client gets its turn.
func TestListenersShareTheSlots(t *testing.T) {
	machine.NeedIPv6(t)
	listeners, err := listen(options{host: "name"}, func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}, nil
	})
	require.NoError(t, err)
	var clients []net.Conn
	for _, l := range listeners {
		for range 3 {
			clients = append(clients, dial(t, &program{Program: &programtest.Program{Addr: l.LocalAddr().String()}}))
		}
	}
	s := newServer(options{max: 1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.serve(ctx, listeners) }()
	last := clients[3] // the first client in the backlog of the second listener
	served(t, clients[0])
	require.NoError(t, clients[0].Close())
	served(t, last)
	for _, c := range clients {
		if c != last && c != clients[0] {
			c.Close()
		}
	}
	require.NoError(t, last.Close())
	cancel()
	require.NoError(t, <-ended)
	s.drain()
	require.Empty(t, s.conns)
	for _, l := range listeners {
		require.True(t, errors.Is(l.Close(), net.ErrClosed))
	}
}

// A listener that fails ends the server. A connection that the server has not accepted
// takes no slot.
func TestServeEndsWithAListener(t *testing.T) {
	listeners, err := listen(options{host: "127.0.0.1"}, nil)
	require.NoError(t, err)
	require.NoError(t, listeners[0].Shutdown(unix.SHUT_RDWR))
	s := newServer(options{max: 2})
	require.ErrorIs(t, s.serve(t.Context(), listeners), unix.EINVAL)
	require.Empty(t, s.slots)
}
