package socket

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAddrIsSmallAndComparable(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Addr{}), uintptr(64))
	require.True(t, UnixAddr("@a") == UnixAddr("\x00a"))
	require.False(t, VsockAddr(1, 2) == VsockAddr(2, 1))
	require.False(t, NetlinkAddr(1, 2) == VsockAddr(2, 1))
}

var long = net.HardwareAddr("\x80\x00\x00\x48\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x02\xc9\x03\x00\x00\x00\x01")

func TestAddrTextAndKernelFormGoBothWays(t *testing.T) {
	for _, c := range []struct {
		family Family
		text   string
		addr   Addr
	}{
		{Inet, "192.0.2.1:80", AddrFrom(netip.MustParseAddrPort("192.0.2.1:80"))},
		{Inet6, "[2001:db8::1]:65535", AddrFrom(netip.MustParseAddrPort("[2001:db8::1]:65535"))},
		{Inet6, "[fe80::1%lo]:1", AddrFrom(netip.MustParseAddrPort("[fe80::1%lo]:1"))},
		{Inet6, "[::ffff:192.0.2.1]:7", AddrFrom(netip.MustParseAddrPort("[::ffff:192.0.2.1]:7"))},
		{Unix, "/run/a", UnixAddr("/run/a")},
		{Unix, "@a\x00b", UnixAddr("@a\x00b")},
		{Unix, "", UnixAddr("")},
		{Netlink, "17", NetlinkAddr(17, 0)},
		{Netlink, "0/0x11", NetlinkAddr(0, 0x11)},
		{Vsock, "2:1024", VsockAddr(2, 1024)},
		{Vsock, "any:any", VsockAddr(unix.VMADDR_CID_ANY, unix.VMADDR_PORT_ANY)},
		{Packet, "any/0x0003", PacketAddr(PacketInfo{Protocol: unix.ETH_P_ALL})},
		{Packet, "lo/0x0800", PacketAddr(PacketInfo{Protocol: unix.ETH_P_IP, Interface: 1})},
		{Packet, "lo/0x0800/02:00:5e:10:00:01", PacketAddr(PacketInfo{
			Protocol: unix.ETH_P_IP, Interface: 1, Address: net.HardwareAddr{2, 0, 0x5e, 0x10, 0, 1},
		})},
		{Packet, "lo/0x0800/" + long.String(), PacketAddr(PacketInfo{Protocol: unix.ETH_P_IP, Interface: 1, Address: long})},
	} {
		got, err := ParseAddr(c.family, c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.addr, got, c.text)
		require.Equal(t, c.text, c.addr.String())
		require.Equal(t, c.family, got.Family())
		require.Equal(t, c.family.String(), got.Network())
		var sa sockaddr
		require.NoError(t, sa.encode(c.addr), c.text)
		require.Equal(t, c.addr, sa.decode(), c.text)
	}
}

func TestAddrShortForms(t *testing.T) {
	for _, c := range []struct {
		family    Family
		text, out string
	}{
		{Inet, "192.0.2.1", "192.0.2.1:0"},
		{Inet6, "::1", "[::1]:0"},
		{Netlink, "0x10/3", "16/0x3"},
		{Vsock, "host:9", "2:9"},
		{Vsock, "local:0x10", "1:16"},
		{Packet, "lo", "lo/0x0000"},
		{Packet, "1/3", "lo/0x0003"},
	} {
		got, err := ParseAddr(c.family, c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.out, got.String())
	}
}

func TestAddrParts(t *testing.T) {
	ip := netip.MustParseAddrPort("192.0.2.1:80")
	require.Equal(t, ip, AddrFrom(ip).AddrPort())
	require.Equal(t, "192.0.2.1", AddrFrom(ip).Host())
	require.Equal(t, 80, AddrFrom(ip).Port())
	require.False(t, UnixAddr("/a").AddrPort().IsValid())
	cid, port := VsockAddr(3, 4).Vsock()
	require.Equal(t, [2]uint32{3, 4}, [2]uint32{cid, port})
	require.Equal(t, "3", VsockAddr(3, 4).Host())
	pid, groups := NetlinkAddr(5, 6).Netlink()
	require.Equal(t, [2]uint32{5, 6}, [2]uint32{pid, groups})
	info := PacketInfo{Protocol: 3, Interface: 1, Hardware: 772, Kind: unix.PACKET_OUTGOING, Address: net.HardwareAddr{1, 2}}
	require.Equal(t, info, PacketAddr(info).Packet())
	require.Equal(t, "lo", PacketAddr(info).Host())
	require.Zero(t, PacketAddr(info).Port())
	require.Equal(t, "none", Addr{}.Network())
}

func TestBadAddresses(t *testing.T) {
	for _, c := range []struct {
		family Family
		text   string
		errno  unix.Errno
	}{
		{Inet, "192.0.2", unix.EINVAL},
		{Inet, "::1", unix.EAFNOSUPPORT},
		{Inet6, "192.0.2.1:1", unix.EAFNOSUPPORT},
		{Netlink, "x", unix.EINVAL},
		{Netlink, "1/x", unix.EINVAL},
		{Vsock, "2", unix.EINVAL},
		{Vsock, "2:host", unix.EINVAL},
		{Packet, "no-such-one", unix.ENODEV},
		{Packet, "lo/0x10000", unix.EINVAL},
		{Packet, "lo/3/zz", unix.EINVAL},
		{X25, "1", unix.EAFNOSUPPORT},
	} {
		_, err := ParseAddr(c.family, c.text)
		require.ErrorIs(t, err, c.errno, c.text)
	}
	require.Equal(t, Addr{}, AddrFrom(netip.AddrPort{}))
	var sa sockaddr
	require.ErrorIs(t, sa.encode(Addr{}), unix.EAFNOSUPPORT)
	require.ErrorIs(t, sa.encode(PacketAddr(PacketInfo{Address: make([]byte, 33)})), unix.ENAMETOOLONG)
	require.ErrorIs(t, sa.encode(AddrFrom(netip.MustParseAddrPort("[fe80::1%nowhere]:1"))), unix.ENODEV)
}

func TestAddrDecodesWithoutAllocation(t *testing.T) {
	for _, text := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%lo]:80"} {
		var sa sockaddr
		require.NoError(t, sa.encode(AddrFrom(netip.MustParseAddrPort(text))))
		var a Addr
		require.Zero(t, testing.AllocsPerRun(100, func() { a = sa.decode() }), text)
		require.Equal(t, text, a.String())
	}
}

func TestProtocolNames(t *testing.T) {
	for name, want := range map[string]Protocol{
		"": 0, "ip": 0, "tcp": 6, "udp": 17, "UDP": 17, "icmp": 1, "ipv6-icmp": 58, "17": 17, "262": 262,
	} {
		got, err := ProtocolByName(name)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	for _, name := range []string{"nonesuch", "-1", "99999999999"} {
		_, err := ProtocolByName(name)
		require.ErrorIs(t, err, unix.EPROTONOSUPPORT)
		require.ErrorContains(t, err, name)
	}
	require.Equal(t, "udp", Protocol(17).String())
	require.Equal(t, "4000", Protocol(4000).String())
	require.Equal(t,
		[]name[Protocol]{{17, "udp"}, {17, "UDP"}, {6, "tcp"}},
		parseProtocols([]byte("# head\nudp 17 UDP # user\n\nbad\nbad x\ntcp\t6")))
}

func TestAddrPath(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	file := Addr{family: uint16(Unix), path: "@file"} // the kernel reports a file of that name like this
	for want, a := range map[string]Addr{
		"/run/x":        UnixAddr("/run/x"),
		here + "/x":     UnixAddr("x"),
		here + "/@file": file,
	} {
		require.Equal(t, want, a.Path())
	}
	for _, a := range []Addr{{}, UnixAddr(""), UnixAddr("@x"), loopback(), PacketAddr(PacketInfo{Address: make([]byte, 20)})} {
		require.Empty(t, a.Path(), "%v", a)
	}
}

func TestAddrUnmap(t *testing.T) {
	from := func(s string) Addr { return AddrFrom(netip.MustParseAddrPort(s)) }
	require.Equal(t, from("127.0.0.1:80"), from("[::ffff:127.0.0.1]:80").Unmap())
	for _, a := range []Addr{{}, from("127.0.0.1:80"), from("[::1]:80"), from("[fe80::1%lo]:80"), UnixAddr("x")} {
		require.Equal(t, a, a.Unmap())
	}
}

func TestAddrFromSockaddr(t *testing.T) {
	for _, want := range []Addr{loopback(), UnixAddr("@x"), UnixAddr("/x"), NetlinkAddr(1, 2)} {
		var sa sockaddr
		require.NoError(t, sa.encode(want))
		require.Equal(t, want, AddrFromSockaddr(&sa.Raw, sa.Len))
	}
	var none unix.RawSockaddrAny
	require.False(t, AddrFromSockaddr(&none, 0).IsValid())
	none.Addr.Family = unix.AF_UNIX
	require.NotPanics(t, func() { AddrFromSockaddr(&none, 1<<31) })
}
