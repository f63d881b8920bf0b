package net

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The tests of this file compare functions that compute with tables: each bound, and the
// values beside it.

// Some of Go's raw IPv4 sockets give the header with the packet.
func TestWithoutHeader(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		head byte
		room int
		n    int
		want string
	}{
		{0x45, 25, 25, "uvwxy"}, {0x46, 25, 25, "y"}, {0x45, 20, 20, ""}, {0x45, 19, 19, "same"}, {0x44, 25, 25, "same"}, {0x47, 25, 25, "same"}, {0x65, 25, 25, "same"},
		{0x46, 24, 24, ""}, {0x45, 40, 25, "uvwxy"},
	} {
		b := append([]byte{test.head}, "bcdefghijklmnopqrstuvwxyz"...)[:min(test.room, 26)]
		b = append(b, make([]byte, test.room-len(b))...)
		before := string(b)
		n := withoutHeader(b, test.n)
		if test.want == "same" {
			require.Equal(t, before, string(b), "%+v", test)
			require.Equal(t, test.n, n)
		} else {
			require.Equal(t, test.want, string(b[:n]), "%+v", test)
		}
	}
}

// Each kind of socket has the names and the address types of net.
func TestNetworksOfSockets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		family  socket.Family
		typ     socket.Type
		network string
		addr    net.Addr
	}{
		{socket.Inet, socket.Stream, "tcp", &net.TCPAddr{}}, {socket.Inet, socket.Dgram, "udp", &net.UDPAddr{}},
		{socket.Inet6, socket.Stream, "tcp", &net.TCPAddr{}}, {socket.Inet6, socket.Dgram, "udp", &net.UDPAddr{}},
		{socket.Unix, socket.Stream, "unix", &net.UnixAddr{}}, {socket.Unix, socket.Dgram, "unixgram", &net.UnixAddr{}}, {socket.Unix, socket.SeqPacket, "unixpacket", &net.UnixAddr{}},
		{socket.Inet, socket.Raw, "ip", &net.IPAddr{}},
	} {
		s, err := socket.New(test.family, test.typ, 0)
		if test.typ == socket.Raw {
			s, err = socket.New(test.family, test.typ, 253) // for experiments: RFC 3692
		}
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EAFNOSUPPORT) {
			t.Logf("%s is left out: %v", test.network, err)
			continue
		}
		require.NoError(t, err)
		defer s.Close()
		require.Equal(t, test.network, networkOf(s))
		local := socket.AddrFrom(netip.MustParseAddrPort("192.0.2.1:5"))
		if test.family == socket.Unix {
			local = socket.UnixAddr("/x")
		}
		require.IsType(t, test.addr, netAddr(s, local))
		require.Nil(t, netAddr(s, socket.Addr{}))
		c, err := NewConn(s)
		if test.typ == socket.SeqPacket {
			require.IsType(t, &UnixConn{}, c)
		}
		require.NoError(t, err)
	}
}

func TestInetAddresses(t *testing.T) {
	t.Parallel()
	ip4, ip16, six := net.IP{192, 0, 2, 1}, net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")
	for _, test := range []struct {
		ip           net.IP
		v4, wildcard bool
		four, six    string // in each family; "" for an error
	}{
		{nil, true, true, "0.0.0.0", "::"}, {net.IP{}, true, true, "0.0.0.0", "::"},
		{ip4, true, false, "192.0.2.1", "::ffff:192.0.2.1"}, {ip16, true, false, "192.0.2.1", "::ffff:192.0.2.1"},
		{six, false, false, "", "2001:db8::1"}, {net.IPv4zero, true, true, "0.0.0.0", "::"}, {net.IPv6zero, false, true, "", "::"},
		{net.IP{1, 2, 3}, true, false, "", ""}, {net.IP{1, 2, 3, 4, 5}, false, false, "", ""},
	} {
		a := inetAddr{ip: test.ip, port: 7}
		require.Equal(t, test.v4, a.v4(), "%v", test.ip)
		if len(test.ip) != 0 || test.ip == nil {
			require.Equal(t, test.wildcard, a.wildcard(), "%v", test.ip)
		}
		for family, want := range map[socket.Family]string{socket.Inet: test.four, socket.Inet6: test.six} {
			got, err := a.in(family)
			if want == "" {
				require.Error(t, err, "%v", test.ip)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, netip.AddrPortFrom(netip.MustParseAddr(want), 7), got.AddrPort(), "%v", test.ip)
		}
	}
	for port, fits := range map[int]bool{-1: false, 0: true, 65535: true, 65536: false} {
		_, err := inetAddr{ip: ip4, port: port}.in(socket.Inet)
		if fits {
			require.NoError(t, err)
		} else {
			require.Equal(t, syscall.EINVAL, err)
		}
	}
	for _, test := range []struct {
		ip   net.IP
		with string
		want bool
	}{{ip4, "1.1.1.1", true}, {ip16, "1.1.1.1", true}, {ip16, "::ffff:1.1.1.1", true}, {ip16, "::1", false}, {six, "::1", true}, {six, "1.1.1.1", false}, {nil, "1.1.1.1", false}} {
		require.Equal(t, test.want, inetAddr{ip: test.ip}.matches(netip.MustParseAddr(test.with)), "%v", test)
	}
	require.Equal(t, inetAddr{ip4, 1, "z"}, inetOf(&net.TCPAddr{IP: ip4, Port: 1, Zone: "z"}))
	require.Equal(t, inetAddr{ip4, 1, "z"}, inetOf(&net.UDPAddr{IP: ip4, Port: 1, Zone: "z"}))
	require.Equal(t, inetAddr{ip4, 0, "z"}, inetOf(&net.IPAddr{IP: ip4, Zone: "z"}))
	require.Equal(t, inetAddr{}, inetOf(&net.UnixAddr{}))

	for _, test := range []struct {
		family   socket.Family
		to, want string
	}{
		{socket.Inet, "192.0.2.1:7", "192.0.2.1:7"}, {socket.Inet, "[::ffff:192.0.2.1]:7", "192.0.2.1:7"}, {socket.Inet, "[::1]:7", ""},
		{socket.Inet6, "192.0.2.1:7", "[::ffff:192.0.2.1]:7"}, {socket.Inet6, "[::1%1]:7", "[::1%1]:7"},
	} {
		got, err := addrPortIn(test.family, netip.MustParseAddrPort(test.to))
		if test.want == "" {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, netip.MustParseAddrPort(test.want), got.AddrPort())
	}
	for _, family := range []socket.Family{socket.Inet, socket.Inet6} {
		_, err := addrPortIn(family, netip.AddrPort{})
		require.IsType(t, &net.AddrError{}, err)
	}
}

// A path needs room for its NUL byte, and an abstract name does not.
func TestUnixAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		fits bool
	}{
		{"/" + strings.Repeat("x", maxPath-2), true}, {"/" + strings.Repeat("x", maxPath-1), false}, {"@" + strings.Repeat("x", maxPath-1), true},
		{"\x00" + strings.Repeat("x", maxPath-1), true}, {"@" + strings.Repeat("x", maxPath), false}, {"", true},
	} {
		a, err := unixIn(&net.UnixAddr{Name: test.name, Net: "unix"})
		require.Equal(t, test.fits, err == nil, "%d bytes of %.2q", len(test.name), test.name)
		if !test.fits {
			require.Equal(t, syscall.EINVAL, err)
			continue
		}
		b, err := addrIn(socket.Unix, &net.UnixAddr{Name: test.name})
		require.NoError(t, err)
		require.Equal(t, a, b)
	}
	for name, want := range map[string]string{"/a\x00b": "/a", "@a\x00b": "@a\x00b", "/ab": "/ab"} {
		a, err := unixIn(&net.UnixAddr{Name: name})
		require.NoError(t, err)
		require.Equal(t, want, a.Host())
	}
}

func TestSockaddrs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		at   socket.Addr
		want syscall.Sockaddr
		back unix.Sockaddr
	}{
		{socket.AddrFrom(netip.MustParseAddrPort("192.0.2.1:7")), &syscall.SockaddrInet4{Port: 7, Addr: [4]byte{192, 0, 2, 1}}, &unix.SockaddrInet4{Port: 7, Addr: [4]byte{192, 0, 2, 1}}},
		{socket.AddrFrom(netip.MustParseAddrPort("[::1%99999]:7")), &syscall.SockaddrInet6{Port: 7, ZoneId: 99999, Addr: [16]byte{15: 1}}, &unix.SockaddrInet6{Port: 7, ZoneId: 99999, Addr: [16]byte{15: 1}}},
		{socket.AddrFrom(netip.MustParseAddrPort("[::1]:7")), &syscall.SockaddrInet6{Port: 7, Addr: [16]byte{15: 1}}, &unix.SockaddrInet6{Port: 7, Addr: [16]byte{15: 1}}},
		{socket.UnixAddr("/x"), &syscall.SockaddrUnix{Name: "/x"}, &unix.SockaddrUnix{Name: "/x"}},
	} {
		require.Equal(t, test.want, sockaddrOf(test.at))
		require.Equal(t, test.at, addrOf(test.back))
	}
	require.False(t, addrOf(&unix.SockaddrNetlink{}).IsValid())
}

func TestZones(t *testing.T) {
	t.Parallel()
	all, err := net.Interfaces()
	require.NoError(t, err)
	for zone, want := range map[string]string{"": "", "12": "12", "12x": "12", "x12": "", "0": "", "007": "7", "16777214": "16777214", "16777215": "16777215", "16777216": "16777215", "99999999999999999999": "16777215"} {
		require.Equal(t, want, zoneText(zone), zone)
	}
	require.Zero(t, zoneIndex(""))
	require.EqualValues(t, 123456, zoneIndex("123456"))
	require.Zero(t, zoneIndex("nonesuch"))
	require.Equal(t, "123456", zoneName(123456))
	for _, i := range all {
		require.Equal(t, i.Name, zoneText(i.Name))
		require.EqualValues(t, i.Index, zoneIndex(i.Name))
		require.Equal(t, i.Name, zoneName(uint32(i.Index)))
	}
	// The names are fresh for a minute; a name that is not there is looked up again.
	z := zoneNames{asked: time.Now(), names: map[string]bool{"gone": true}}
	require.True(t, z.known("gone"))
	require.False(t, z.known("nonesuch"))
	require.False(t, z.known("gone"), "the names were read again")
	z = zoneNames{asked: time.Now().Add(-time.Minute), names: map[string]bool{"gone": true}}
	require.False(t, z.known("gone"))
}

// Times are rounded up to seconds. 0 is the usual time, and less leaves the option alone.
func TestKeepAliveTimes(t *testing.T) {
	t.Parallel()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	get := func(level, option int) int {
		v, err := unix.GetsockoptInt(fd, level, option)
		require.NoError(t, err)
		return v
	}
	for d, want := range map[time.Duration]int{1: 1, time.Second: 1, time.Second + 1: 2, 2 * time.Second: 2, 0: 33, -1: 99} {
		require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 99))
		require.NoError(t, setSeconds(fd, unix.TCP_KEEPIDLE, d, 33*time.Second))
		require.Equal(t, want, get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), "%v", d)
	}
	for _, test := range []struct {
		c                           net.KeepAliveConfig
		on, idle, interval, repeats int
	}{
		{net.KeepAliveConfig{Enable: true}, 1, 15, 15, 9}, {net.KeepAliveConfig{}, 0, 15, 15, 9},
		{net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: 2 * time.Second, Count: 3}, 1, 1, 2, 3},
		{net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}, 1, 97, 98, 99},
	} {
		for option, v := range map[int]int{unix.TCP_KEEPIDLE: 97, unix.TCP_KEEPINTVL: 98, unix.TCP_KEEPCNT: 99} {
			require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, option, v))
		}
		require.NoError(t, setKeepAlive(fd, test.c))
		require.Equal(t, [4]int{test.on, test.idle, test.interval, test.repeats}, [4]int{get(unix.SOL_SOCKET, unix.SO_KEEPALIVE), get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), get(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), get(unix.IPPROTO_TCP, unix.TCP_KEEPCNT)}, "%+v", test.c)
	}
	for _, test := range []struct {
		idle   time.Duration
		c      net.KeepAliveConfig
		on     int
		option int
	}{
		{0, net.KeepAliveConfig{}, 1, 15}, {-1, net.KeepAliveConfig{}, 0, 50}, {7 * time.Second, net.KeepAliveConfig{}, 1, 7},
		{7 * time.Second, net.KeepAliveConfig{Enable: true, Idle: 8 * time.Second}, 1, 8}, {-1, net.KeepAliveConfig{Enable: true, Idle: 8 * time.Second}, 1, 8}, {-1, net.KeepAliveConfig{Idle: 8 * time.Second}, 0, 50},
	} {
		require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0))
		require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 50))
		require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 0))
		prepareTCP(fd, test.idle, test.c)
		require.Equal(t, [3]int{test.on, test.option, 1}, [3]int{get(unix.SOL_SOCKET, unix.SO_KEEPALIVE), get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), get(unix.IPPROTO_TCP, unix.TCP_NODELAY)}, "%+v", test)
	}
	// Each option is refused by another kind of socket, and the error names the call.
	udp, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(udp)
	for _, c := range []net.KeepAliveConfig{{Idle: 1}, {Idle: -1, Interval: 1}, {Idle: -1, Interval: -1, Count: 1}} {
		require.ErrorContains(t, setKeepAlive(udp, c), "setsockopt: ")
	}
	require.NoError(t, setKeepAlive(udp, net.KeepAliveConfig{Idle: -1, Interval: -1, Count: -1}))
	require.ErrorContains(t, setKeepAlive(-1, net.KeepAliveConfig{}), "setsockopt: ")
}

// Each of several addresses gets an equal part of the time that is left, but 2 seconds at
// least. The last one gets all.
func TestPart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		total time.Duration
		left  int
		want  time.Duration
	}{{time.Minute, 1, time.Minute}, {time.Minute, 3, 20 * time.Second}, {5 * time.Second, 3, 2 * time.Second}, {time.Second, 3, time.Second}} {
		ctx, cancel := context.WithTimeout(t.Context(), test.total)
		before := time.Now()
		got, stop := part(ctx, test.left)
		end, bounded := got.Deadline()
		require.True(t, bounded)
		require.InDelta(t, test.want, end.Sub(before), float64(time.Second)/2)
		stop()
		cancel()
	}
	got, stop := part(t.Context(), 3)
	defer stop()
	_, bounded := got.Deadline()
	require.False(t, bounded)
}

// The Dialer's bound is the earlier one of Timeout and Deadline.
func TestBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ timeout, deadline, want time.Duration }{{0, 0, 0}, {time.Hour, 0, time.Hour}, {0, time.Hour, time.Hour}, {time.Hour, 2 * time.Hour, time.Hour}, {2 * time.Hour, time.Hour, time.Hour}} {
		d := &Dialer{Timeout: test.timeout}
		if test.deadline != 0 {
			d.Deadline = time.Now().Add(test.deadline)
		}
		ctx, cancel := d.bounded(t.Context())
		end, bounded := ctx.Deadline()
		require.Equal(t, test.want != 0, bounded)
		if bounded {
			require.InDelta(t, test.want, time.Until(end), float64(time.Minute))
			require.NoError(t, ctx.Err())
		}
		cancel()
		require.Equal(t, bounded, ctx.Err() != nil, "cancel ends a context of its own")
	}
	stop := make(chan struct{})
	d := &Dialer{Cancel: stop}
	ctx, cancel := d.bounded(t.Context())
	defer cancel()
	require.NoError(t, ctx.Err())
	close(stop)
	<-ctx.Done()
}

// An answer leaves from the local address, and on the interface only of a link-local one.
func TestSourceOfAnswers(t *testing.T) {
	t.Parallel()
	for local, index := range map[string]uint32{"2001:db8::1": 0, "fe80::1": 3, "::ffff:192.0.2.1": 0} {
		b := source(&ReplyAddr{Local: netip.MustParseAddr(local), Interface: 3})
		info := unix.Inet6Pktinfo{Addr: netip.MustParseAddr(local).As16(), Ifindex: index}
		require.Equal(t, unix.PktInfo6(&info), b, local)
	}
	four := netip.MustParseAddr("192.0.2.1")
	require.Equal(t, unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: four.As4()}), source(&ReplyAddr{Local: four, Interface: 3}))
	for _, none := range []netip.Addr{{}, netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("ff02::1")} {
		require.Nil(t, source(&ReplyAddr{Local: none}))
	}
}

// net's default applies until SetMultipathTCP was called.
func TestMultipathChoice(t *testing.T) {
	t.Parallel()
	for _, usual := range []bool{true, false} {
		var m multipath
		require.Equal(t, usual, m.or(func() bool { return usual }))
		for _, use := range []bool{true, false} {
			m.set(use)
			require.Equal(t, use, m.or(func() bool { return usual }))
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer sys.Close(fd)
	require.False(t, usesMultipath(fd))
}

func TestErrorsOfADialThatEnds(t *testing.T) {
	t.Parallel()
	late, gone := &dialEnded{io.EOF, true}, &dialEnded{io.EOF, false}
	require.EqualError(t, late, "i/o timeout")
	require.EqualError(t, gone, "operation was canceled")
	require.True(t, late.Timeout() && late.Temporary())
	require.False(t, gone.Timeout() || gone.Temporary())
	for _, target := range []error{context.DeadlineExceeded, context.Canceled, io.EOF, io.ErrUnexpectedEOF} {
		require.Equal(t, target == context.DeadlineExceeded || target == io.EOF, errors.Is(late, target), "%v", target)
		require.Equal(t, target == context.Canceled || target == io.EOF, errors.Is(gone, target), "%v", target)
	}
}

// The names of networks, and which socket each needs.
func TestFamilies(t *testing.T) {
	t.Parallel()
	four, six := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv6loopback}
	both := supports().mapped || !supports().ipv4
	dual := func(otherwise socket.Family) socket.Family {
		if both {
			return socket.Inet6
		}
		return otherwise
	}
	for _, test := range []struct {
		network       string
		local, remote net.Addr
		listen        bool
		family        socket.Family
		only          bool
	}{
		{"tcp4", nil, nil, false, socket.Inet, false}, {"tcp6", nil, nil, false, socket.Inet6, true}, {"unix", nil, nil, false, socket.Unix, false},
		{"tcp", nil, four, false, socket.Inet, false}, {"tcp", nil, six, false, socket.Inet6, false}, {"tcp", four, nil, false, socket.Inet, false}, {"tcp", six, nil, false, socket.Inet6, false},
		{"tcp", four, six, false, socket.Inet6, false}, {"tcp", six, four, false, socket.Inet6, false}, {"tcp", four, four, false, socket.Inet, false}, {"tcp", nil, nil, false, socket.Inet, false},
		{"tcp", four, nil, true, socket.Inet, false}, {"tcp", six, nil, true, socket.Inet6, false},
		{"tcp", nil, nil, true, dual(socket.Inet), false}, {"tcp", &net.TCPAddr{}, nil, true, dual(socket.Inet), false}, {"tcp", &net.TCPAddr{IP: net.IPv6zero}, nil, true, socket.Inet6, false},
	} {
		parsed, err := parseNetwork(test.network)
		require.NoError(t, err)
		family, only := parsed.family(test.local, test.remote, test.listen)
		require.Equal(t, test.family, family, "%+v", test)
		require.Equal(t, test.only, only, "%+v", test)
	}
	for network, want := range map[string][2]string{"tcp": {"tcp4", "tcp6"}, "udp4": {"udp4", "udp4"}, "unix": {"unix", "unix"}} {
		parsed, err := parseNetwork(network)
		require.NoError(t, err)
		require.Equal(t, want, [2]string{parsed.controlled(socket.Inet), parsed.controlled(socket.Inet6)})
	}
	for network, want := range map[string]string{"tcp": "", "tcp4": "4", "tcp6": "6", "ip4:1": "4", "ip6:1": "6", "ip:1": ""} {
		parsed, err := parseNetwork(network)
		require.NoError(t, err)
		require.Equal(t, want, parsed.suffix())
		for _, ip := range []string{"192.0.2.1", "::ffff:192.0.2.1", "::1"} {
			require.Equal(t, want == "" || (want == "6") == (ip == "::1"), parsed.allows(netip.MustParseAddr(ip)), "%s %s", network, ip)
		}
	}
}

// The wildcard of IPv6 stands for both wildcards.
func TestSuitable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ network, ips, want string }{
		{"tcp", "::", "[::]:7 0.0.0.0:7"}, {"tcp", ":: ::1", "[::]:7 [::1]:7"}, {"tcp4", "::", "0.0.0.0:7"}, {"tcp6", "::", "[::]:7"}, {"tcp", "::%1", "[::%1]:7 0.0.0.0:7"},
		{"tcp", "::1", "[::1]:7"}, {"tcp4", "::1", ""}, {"tcp6", "192.0.2.1", ""}, {"tcp4", "::1 192.0.2.1", "192.0.2.1:7"}, {"tcp", "::ffff:192.0.2.1", "192.0.2.1:7"},
	} {
		parsed, err := parseNetwork(test.network)
		require.NoError(t, err)
		var ips []netip.Addr
		for ip := range strings.FieldsSeq(test.ips) {
			ips = append(ips, netip.MustParseAddr(ip))
		}
		found, err := parsed.suitable(ips, 7, "host")
		var texts []string
		for _, a := range found {
			texts = append(texts, a.String())
		}
		require.Equal(t, test.want, strings.Join(texts, " "))
		if test.want == "" {
			require.EqualError(t, err, "address host: no suitable address found")
		} else {
			require.NoError(t, err)
		}
	}
	list := func(texts string) (all []netip.AddrPort) {
		for x := range strings.FieldsSeq(texts) {
			all = append(all, netip.MustParseAddrPort(x))
		}
		return all
	}
	require.Equal(t, "192.0.2.1:1", firstIPv4(list("[::1]:1 192.0.2.1:1 192.0.2.2:1")).String())
	require.Equal(t, "[::1]:1", firstIPv4(list("[::1]:1 [::2]:1")).String())
}

// Nobody answers with a control message alone: a stream needs a byte with it, and a datagram
// does not.
func TestControlMessagesWithoutData(t *testing.T) {
	t.Parallel()
	for _, typ := range []socket.Type{socket.Stream, socket.SeqPacket, socket.Dgram} {
		a, b, err := socket.Pair(socket.Unix, typ, 0)
		require.NoError(t, err)
		defer a.Close()
		defer b.Close()
		c := &conn{sock: a}
		for _, test := range []struct {
			data, control int
			adds          bool
		}{{0, 0, false}, {0, 1, typ != socket.Dgram}, {1, 0, false}, {1, 1, false}} {
			m := takeMessage(make([]byte, test.data), make([]byte, test.control), socket.Addr{})
			require.Equal(t, test.adds, m.carry(c, make([]byte, test.data), make([]byte, test.control)), "%v %+v", typ, test)
			if test.adds {
				require.Len(t, m.buffer[0], 1)
			} else {
				require.Len(t, m.buffer[0], test.data)
			}
			m.free()
			require.Nil(t, m.buffer[0])
			require.Nil(t, m.Control)
		}
		rights := unix.UnixRights(0)
		n, oobn, err := c.writeMsg(nil, rights, socket.Addr{})
		require.NoError(t, err)
		require.Zero(t, n, "%v", typ)
		require.Equal(t, len(rights), oobn)
		m := socket.Message{Buffers: [][]byte{make([]byte, 8)}, Control: make([]byte, 64)}
		got, err := b.RecvMsg(&m, 0)
		require.NoError(t, err)
		require.Equal(t, typ != socket.Dgram, got == 1, "%v", typ)
		all, err := unix.ParseSocketControlMessage(m.Control[:m.ControlLen])
		require.NoError(t, err)
		fds, err := unix.ParseUnixRights(&all[0])
		require.NoError(t, err)
		unix.Close(fds[0])
		require.NoError(t, b.Close())
		n, oobn, err = c.writeMsg([]byte("x"), rights, socket.Addr{})
		require.Error(t, err)
		require.Zero(t, n)
		require.Zero(t, oobn)
	}
}
