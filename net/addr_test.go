package net_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
)

// A udpFace opens UDP sockets by one of the packages.
type udpFace struct {
	name   string
	listen func(network string, laddr *net.UDPAddr) (udpConn, error)
	dial   func(network string, laddr, raddr *net.UDPAddr) (udpConn, error)
}

var udpFaces = []udpFace{
	{
		"net",
		func(n string, l *net.UDPAddr) (udpConn, error) { return orNil(net.ListenUDP(n, l)) },
		func(n string, l, r *net.UDPAddr) (udpConn, error) { return orNil(net.DialUDP(n, l, r)) },
	},
	{
		"weir",
		func(n string, l *net.UDPAddr) (udpConn, error) { return orNil(weirnet.ListenUDP(n, l)) },
		func(n string, l, r *net.UDPAddr) (udpConn, error) { return orNil(weirnet.DialUDP(n, l, r)) },
	},
}

func orNil[C udpConn](c C, err error) (udpConn, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// sends returns every way to send a datagram to an address.
var sends = map[string]func(c udpConn, to *net.UDPAddr) error{
	"WriteTo":     func(c udpConn, to *net.UDPAddr) error { _, err := c.WriteTo([]byte("x"), to); return err },
	"WriteMsgUDP": func(c udpConn, to *net.UDPAddr) error { _, _, err := c.WriteMsgUDP([]byte("x"), nil, to); return err },
	"WriteToUDPAddrPort": func(c udpConn, to *net.UDPAddr) error {
		_, err := c.WriteToUDPAddrPort([]byte("x"), addrPort(to))
		return err
	},
	"WriteMsgUDPAddrPort": func(c udpConn, to *net.UDPAddr) error {
		_, _, err := c.WriteMsgUDPAddrPort([]byte("x"), nil, addrPort(to))
		return err
	},
}

func addrPort(a *net.UDPAddr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	return a.AddrPort()
}

// Sending to an address that is absent or does not fit the socket returns the error that
// net returns. The datagram does not reach another port or host.
func TestOddAddressesAsNetHasThem(t *testing.T) {
	receiver, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer receiver.Close()
	port := receiver.LocalAddr().(*net.UDPAddr).Port
	local := net.IPv4(127, 0, 0, 1)
	odd := []*net.UDPAddr{
		nil,
		{IP: local, Port: port},
		{IP: local, Port: port + 65536},
		{IP: local, Port: port - 65536},
		{IP: local, Port: -1},
		{IP: net.IP{127, 0, 1}, Port: port},
		{IP: make(net.IP, 15), Port: port},
		{Port: port},
		{IP: net.IPv6zero, Port: port},
		{IP: net.IPv4zero, Port: port},
		{IP: net.IPv6loopback, Port: port},
		{IP: local.To4(), Port: port, Zone: "lo"},
		{IP: local, Port: port, Zone: "nonesuch"},
		{IP: net.IPv6loopback, Port: port, Zone: "nonesuch"},
		{IP: net.IPv6loopback, Port: port, Zone: "4294967297"},
		{},
	}
	for _, network := range []string{"udp4", "udp", "udp6"} {
		if network != "udp4" && !nettest.SupportsIPv6() {
			t.Logf("%s is left out: the machine has no IPv6", network)
			continue
		}
		for _, connected := range []bool{false, true} {
			if connected && network == "udp6" {
				continue // the receiver has IPv4
			}
			for name, send := range sends {
				for _, to := range odd {
					var results []string
					for _, f := range udpFaces {
						c, err := f.listen(network, nil)
						if connected {
							require.NoError(t, err)
							c.Close()
							c, err = f.dial(network, nil, receiver.LocalAddr().(*net.UDPAddr))
						}
						require.NoError(t, err)
						err = send(c, to)
						results = append(results, fmt.Sprint(describe(err, c.LocalAddr()), ", arrived: ", arrived(receiver)))
						c.Close()
					}
					require.Equal(t, results[0], results[1], "%s, connected %v: %s to %v", network, connected, name, to)
				}
			}
		}
	}
}

// arrived reports whether a datagram has come. Over loopback a datagram arrives before
// the sender's call returns.
func arrived(c *net.UDPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := -1
	_ = raw.Control(func(fd uintptr) { n, _, _ = unix.Recvfrom(int(fd), make([]byte, 8), unix.MSG_DONTWAIT) })
	return n >= 0
}

// The socket is bound to LocalAddr exactly, or the dial fails.
func TestDialFromOddAddresses(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for _, from := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 70001},
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: -1},
		&net.TCPAddr{IP: net.IP{1, 2, 3}},
		(*net.TCPAddr)(nil),
		&net.TCPAddr{IP: net.IPv6loopback},
		&net.TCPAddr{IP: net.IPv6unspecified},
		&net.TCPAddr{IP: net.IPv4zero},
		&net.TCPAddr{},
		&net.UDPAddr{},
		&net.IPAddr{IP: net.IPv4(127, 0, 0, 1)},
	} {
		if a, ok := from.(*net.TCPAddr); ok && a != nil && len(a.IP) == 16 && a.IP.To4() == nil && !nettest.SupportsIPv6() {
			t.Logf("%v is left out: the machine has no IPv6", from)
			continue
		}
		results := make([]string, 2)
		for i, dial := range []func() (net.Conn, error){
			func() (net.Conn, error) { return (&net.Dialer{LocalAddr: from}).Dial("tcp", l.Addr().String()) },
			func() (net.Conn, error) { return (&weirnet.Dialer{LocalAddr: from}).Dial("tcp", l.Addr().String()) },
		} {
			c, err := dial()
			results[i] = describe(err, l.Addr())
			if err == nil {
				results[i] = fmt.Sprint(c.LocalAddr().(*net.TCPAddr).IP, " to ", c.RemoteAddr())
				c.Close()
			}
		}
		require.Equal(t, results[0], results[1], "from %v", from)
	}
}

// FuzzAddresses sends to addresses of any form, and binds them, by both packages. It
// replaces the address of another host by one of this host.
func FuzzAddresses(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, 70000, "", byte(0))
	f.Add([]byte{127, 0, 1}, 4464, "", byte(1))
	f.Add([]byte{}, -1, "lo", byte(2))
	f.Add(make([]byte, 16), 65535, "7x", byte(3))
	f.Add([]byte(net.IPv4zero), 9, "none", byte(4))
	f.Fuzz(func(t *testing.T, ip []byte, port int, zone string, how byte) {
		network := [...]string{"udp4", "udp", "udp6"}[how%3]
		if network != "udp4" {
			machine.NeedIPv6(t)
		}
		to := &net.UDPAddr{IP: own(ip), Port: port, Zone: zone}
		for name, send := range sends {
			var results [2]string
			for i, face := range udpFaces {
				c, err := face.listen(network, nil)
				require.NoError(t, err)
				results[i] = describe(send(c, to), c.LocalAddr())
				c.Close()
			}
			require.Equal(t, results[0], results[1], "%s, %s to %#v", network, name, to)
		}
		var results [2]string
		for range 5 { // another process may have the port for a moment
			for i, face := range udpFaces {
				c, err := face.listen(network, to)
				results[i] = describe(err)
				if err == nil {
					bound := c.LocalAddr().(*net.UDPAddr)
					results[i] = fmt.Sprint(bound.IP, bound.Zone, to.Port == 0 || bound.Port == to.Port)
					c.Close()
				}
			}
			if results[0] == results[1] {
				break
			}
		}
		require.Equal(t, results[0], results[1], "%s, listen on %#v", network, to)
	})
}

func own(ip net.IP) net.IP {
	switch {
	case ip.To4() != nil && !ip.IsUnspecified():
		return append(net.IP{127}, ip.To4()[1:]...)
	case len(ip) == net.IPv6len && ip.To4() == nil && !ip.IsUnspecified():
		return net.IPv6loopback
	}
	return ip
}

// FuzzAddressTexts listens on addresses of any text by both packages. No name is
// looked up outside of the test.
func FuzzAddressTexts(f *testing.F) {
	old := net.DefaultResolver
	f.Cleanup(func() { net.DefaultResolver = old })
	net.DefaultResolver = zone{}.host("one.test", ips("127.0.0.1"), ips("::1")).resolver(f)
	for _, seed := range []string{
		"127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "[::1]:0", "::1:0", "[::1%lo]:0", "[::1%9]:0", "[::ffff:127.0.0.1]:0",
		":0", ":", "", "one.test.:0", "one.test.:http", "none.test.:0", "127.0.0.1", "127.1:0", "0x7f.1:0", "127.0.0.01:0",
		"[127.0.0.1]:0", "localhost:0", "127.0.0.1:٠", "127.0.0.1:00", "127.0.0.1:+0", "[]:0", "[::]:0", "0.0.0.0:0", "224.0.0.1:0", "a b:0", "[::%0]:0",
	} {
		for network := range byte(6) {
			f.Add(network, seed)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, address string) {
		network := [...]string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"}[which%6]
		if network[len(network)-1] != '4' {
			machine.NeedIPv6(t)
		}
		var got [2]string
		for i, face := range faces {
			var at net.Addr
			if network[0] == 't' {
				l, err := face.Listen(network, address)
				if got[i] = describe(err); err == nil {
					at = l.Addr()
					l.Close()
				}
			} else {
				c, err := face.ListenPacket(network, address)
				if got[i] = describe(err); err == nil {
					at = c.LocalAddr()
					c.Close()
				}
			}
			if at != nil {
				host, _, err := net.SplitHostPort(at.String())
				require.NoError(t, err)
				got[i] = host
			}
		}
		require.Equal(t, got[0], got[1], "%s %q", network, address)
	})
}
