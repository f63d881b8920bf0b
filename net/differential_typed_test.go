package net_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The same with addresses of their own types.
func TestSameAsNetByAddress(t *testing.T) {
	t.Chdir(t.TempDir())
	local := net.IPv4(127, 0, 0, 1)
	ips := []net.IP{nil, {}, local, local.To4(), net.IPv6loopback, net.IPv4zero, net.IPv6unspecified, {1, 2, 3}, net.IPv4(192, 0, 2, 1), net.IPv4(224, 0, 0, 251), net.IPv4bcast, make(net.IP, 17)}
	tcp, udp, raw := []*net.TCPAddr{nil}, []*net.UDPAddr{nil}, []*net.IPAddr{nil}
	for _, ip := range ips {
		for _, port := range []int{0, 1, -1, 70000} {
			tcp, udp = append(tcp, &net.TCPAddr{IP: ip, Port: port}), append(udp, &net.UDPAddr{IP: ip, Port: port})
		}
		raw = append(raw, &net.IPAddr{IP: ip})
	}
	for _, zone := range []string{"lo", "nonesuch", "1", "-1", "99999999999"} {
		tcp = append(tcp, &net.TCPAddr{IP: net.IPv6loopback, Zone: zone}, &net.TCPAddr{IP: local, Zone: zone}, &net.TCPAddr{Zone: zone})
		udp = append(udp, &net.UDPAddr{IP: net.IPv6loopback, Zone: zone}, &net.UDPAddr{IP: local, Zone: zone}, &net.UDPAddr{Zone: zone})
		raw = append(raw, &net.IPAddr{IP: net.IPv6loopback, Zone: zone})
	}
	paths := []*net.UnixAddr{nil, {}, {Net: "unix"}, {Name: "s", Net: "unix"}, {Name: "s", Net: "unixgram"}, {Name: "s", Net: "nonesuch"}, {Name: "@", Net: "unix"}, {Name: "none/s"}, {Name: strings.Repeat("x", 108)}}
	reachable := func(ip net.IP) bool { return !ip.Equal(net.IPv4(192, 0, 2, 1)) }
	for _, network := range []string{"", "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "ip", "ip4:253", "ip6:253", "ip:icmp", "unix", "unixgram", "unixpacket", "nonesuch"} {
		for i, a := range tcp {
			same(t, fmt.Sprintf("ListenTCP(%q, %v)", network, a), func(l library) (any, error) { return l.listenTCP(network, a) })
			for _, from := range []*net.TCPAddr{nil, {IP: local}, tcp[len(tcp)-1-i]} {
				if a == nil || reachable(a.IP) {
					same(t, fmt.Sprintf("DialTCP(%q, %v, %v)", network, from, a), func(l library) (any, error) { return l.dialTCP(network, from, a) })
				}
			}
		}
		for i, a := range udp {
			same(t, fmt.Sprintf("ListenUDP(%q, %v)", network, a), func(l library) (any, error) { return l.listenUDP(network, a) })
			for _, from := range []*net.UDPAddr{nil, {IP: local}, udp[len(udp)-1-i]} {
				same(t, fmt.Sprintf("DialUDP(%q, %v, %v)", network, from, a), func(l library) (any, error) { return l.dialUDP(network, from, a) })
			}
			for _, ifi := range []*net.Interface{nil, {Index: 1, Name: "lo"}, {Index: 1 << 20, Name: "nonesuch"}} {
				same(t, fmt.Sprintf("ListenMulticastUDP(%q, %v, %v)", network, ifi, a), func(l library) (any, error) { return l.listenMulticast(network, ifi, a) })
			}
		}
		for i, a := range raw {
			same(t, fmt.Sprintf("ListenIP(%q, %v)", network, a), func(l library) (any, error) { return l.listenIP(network, a) })
			same(t, fmt.Sprintf("DialIP(%q, %v)", network, a), func(l library) (any, error) { return l.dialIP(network, raw[len(raw)-1-i], a) })
		}
		for _, a := range paths {
			same(t, fmt.Sprintf("ListenUnix(%q, %#v)", network, a), func(l library) (any, error) { return l.listenUnix(network, a) })
			same(t, fmt.Sprintf("ListenUnixgram(%q, %#v)", network, a), func(l library) (any, error) { return l.listenUnixgram(network, a) })
			for _, from := range paths {
				same(t, fmt.Sprintf("DialUnix(%q, %#v, %#v)", network, from, a), func(l library) (any, error) { return l.dialUnix(network, from, a) })
			}
		}
		for _, to := range []string{"", "127.0.0.1:1", "[::1]:1", "[::1%lo]:1", "0.0.0.0:0"} {
			for _, from := range []string{"", "127.0.0.1:0", "[::1]:0", "[::1%nonesuch]:0"} {
				f, _ := netip.ParseAddrPort(from)
				a, _ := netip.ParseAddrPort(to)
				with := fmt.Sprintf("(%q, %q, %q)", network, from, to)
				same(t, "Dialer.DialTCP"+with, func(l library) (any, error) { return l.dialerTCP(net.Dialer{}, network, f, a) })
				same(t, "Dialer.DialUDP"+with, func(l library) (any, error) { return l.dialerUDP(net.Dialer{}, network, f, a) })
				same(t, "Dialer.DialIP"+with, func(l library) (any, error) { return l.dialerIP(net.Dialer{}, network, f, a) })
			}
		}
	}
}

// The same with each field of a Dialer and of a ListenConfig.
func TestSameAsNetByField(t *testing.T) {
	t.Chdir(t.TempDir())
	peer, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer peer.Close()
	go func() {
		for c, err := peer.Accept(); err == nil; c, err = peer.Accept() {
			c.Close()
		}
	}()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancelLate := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancelLate()
	open := make(chan struct{})
	defer close(open) // a goroutine that a Dial of net leaves behind waits for it
	refuse := errors.New("refused by the program")
	for name, d := range map[string]net.Dialer{
		"zero":             {},
		"Timeout":          {Timeout: time.Minute},
		"Timeout of 1 ns":  {Timeout: 1},
		"negative Timeout": {Timeout: -1},
		"Deadline":         {Deadline: time.Now().Add(time.Hour)},
		"past Deadline":    {Deadline: time.Unix(1, 0)},
		"FallbackDelay":    {FallbackDelay: -1},
		"KeepAlive":        {KeepAlive: -1},
		"KeepAliveConfig":  {KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 1 << 60, Interval: -1, Count: 1 << 30}},
		"Cancel":           {Cancel: open},
		"Resolver":         {Resolver: &net.Resolver{PreferGo: true}},
		"Control":          {Control: func(network, address string, _ syscall.RawConn) error { return fmt.Errorf("%s %s", network, address) }},
		"Control's error":  {Control: func(string, string, syscall.RawConn) error { return refuse }},
		"Control's errno":  {Control: func(string, string, syscall.RawConn) error { return unix.EPERM }},
		"ControlContext": {ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return fmt.Errorf("%s %s", network, address)
		}},
		"Control that reads":  {Control: func(_, _ string, c syscall.RawConn) error { return c.Read(func(uintptr) bool { return true }) }},
		"LocalAddr TCP":       {LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}},
		"LocalAddr TCP6":      {LocalAddr: &net.TCPAddr{IP: net.IPv6loopback}},
		"LocalAddr nil TCP":   {LocalAddr: (*net.TCPAddr)(nil)},
		"LocalAddr nil UDP":   {LocalAddr: (*net.UDPAddr)(nil)},
		"LocalAddr nil Unix":  {LocalAddr: (*net.UnixAddr)(nil)},
		"LocalAddr nil IP":    {LocalAddr: (*net.IPAddr)(nil)},
		"LocalAddr UDP":       {LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}},
		"LocalAddr IP":        {LocalAddr: &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)}},
		"LocalAddr IPNet":     {LocalAddr: &net.IPNet{IP: net.IPv4(127, 0, 0, 1)}},
		"LocalAddr Unix":      {LocalAddr: &net.UnixAddr{Name: "from", Net: "unix"}},
		"LocalAddr Unix auto": {LocalAddr: &net.UnixAddr{Net: "unixgram"}},
		"LocalAddr elsewhere": {LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}},
		"LocalAddr's port":    {LocalAddr: &net.TCPAddr{Port: 70000}},
	} {
		for _, to := range [][2]string{
			{"tcp", peer.Addr().String()}, {"tcp6", peer.Addr().String()}, {"tcp", "127.0.0.1:1"}, {"udp", "127.0.0.1:1"}, {"ip4:253", "127.0.0.1"},
			{"unix", "none"}, {"unixgram", "none"}, {"unixpacket", "none"}, {"nonesuch", "none"}, {"tcp", ""}, {"udp", ""}, {"unix", ""},
		} {
			for which, ctx := range map[string]context.Context{"": context.Background(), "cancelled ": cancelled, "late ": late} {
				what := fmt.Sprintf("%sDialer with %s, Dial(%q, %q)", which, name, to[0], to[1])
				same(t, what, func(l library) (any, error) { return l.dialer(ctx, d, to[0], to[1]) })
			}
		}
	}
	for name, lc := range map[string]net.ListenConfig{
		"zero":               {},
		"KeepAlive":          {KeepAlive: -1},
		"KeepAliveConfig":    {KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 1 << 60, Interval: -1, Count: 1 << 30}},
		"Control":            {Control: func(network, address string, _ syscall.RawConn) error { return fmt.Errorf("%s %s", network, address) }},
		"Control's errno":    {Control: func(string, string, syscall.RawConn) error { return unix.EPERM }},
		"Control that reads": {Control: func(_, _ string, c syscall.RawConn) error { return c.Read(func(uintptr) bool { return true }) }},
		"Control that binds": {Control: func(_, _ string, c syscall.RawConn) (err error) {
			return errors.Join(c.Control(func(fd uintptr) { err = unix.Bind(int(fd), &unix.SockaddrInet4{}) }), err)
		}},
	} {
		for _, at := range [][2]string{{"tcp", ":0"}, {"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"udp", ":0"}, {"udp", "224.0.0.251:0"}, {"udp", ""}, {"ip4:253", "127.0.0.1"}, {"unix", "s"}, {"unixgram", "s"}, {"unixpacket", "s"}, {"unix", ""}, {"nonesuch", ""}} {
			for which, ctx := range map[string]context.Context{"": context.Background(), "nil ": nil, "cancelled ": cancelled} {
				what := fmt.Sprintf("%sListenConfig with %s, (%q, %q)", which, name, at[0], at[1])
				same(t, what, func(l library) (any, error) { return l.config(ctx, lc, at[0], at[1]) })
				same(t, what+" packet", func(l library) (any, error) { return l.configPacket(ctx, lc, at[0], at[1]) })
			}
		}
	}
}

// The same with files of every kind.
func TestSameAsNetByFile(t *testing.T) {
	t.Chdir(t.TempDir())
	var files []*os.File
	add := func(name string, fd int, err error) {
		if err == nil {
			f := os.NewFile(uintptr(fd), name)
			t.Cleanup(func() { f.Close() })
			files = append(files, f)
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6, unix.AF_UNIX, unix.AF_NETLINK, unix.AF_PACKET} {
		for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET, unix.SOCK_RAW} {
			fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, 0)
			add(fmt.Sprintf("family %d type %d", family, typ), fd, err)
			if family == unix.AF_INET && typ == unix.SOCK_STREAM || family == unix.AF_UNIX {
				fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, 0)
				if err == nil {
					err = unix.Listen(fd, 1)
				}
				add(fmt.Sprintf("listening family %d type %d", family, typ), fd, err)
				if pair, err := unix.Socketpair(family, typ|unix.SOCK_CLOEXEC, 0); err == nil {
					add(fmt.Sprintf("pair of type %d", typ), pair[0], nil)
					add(fmt.Sprintf("pair of type %d", typ), pair[1], nil)
				}
			}
		}
	}
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	gone, err := os.Open(os.DevNull)
	require.NoError(t, err)
	gone.Close()
	dir, err := os.Open("/")
	require.NoError(t, err)
	defer dir.Close()
	for _, f := range append(files, r, null, gone, dir, nil) {
		name := "nil"
		if f != nil {
			name = f.Name()
		}
		same(t, "FileConn of "+name, func(l library) (any, error) { return l.fileConn(f) })
		same(t, "FileListener of "+name, func(l library) (any, error) { return l.fileListener(f) })
		same(t, "FilePacketConn of "+name, func(l library) (any, error) { return l.filePacketConn(f) })
	}
}
