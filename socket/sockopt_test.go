package socket

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write docs/sockopts.md")

func TestSockoptDocs(t *testing.T) {
	const path = "../docs/sockopts.md"
	var b bytes.Buffer
	require.NoError(t, WriteSockoptDoc(&b))
	if *update {
		require.NoError(t, os.MkdirAll("../docs", 0o777))
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o666))
	}
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(written), b.String(), "run go test ./socket -run TestSockoptDocs -update")
}

func TestSockoptTable(t *testing.T) {
	names := map[string]bool{}
	rows := 0
	for o := range Sockopts() {
		rows++
		id := o.Level + " " + o.Name
		require.False(t, names[id], "%s is there twice", id)
		names[id] = true
		require.Equal(t, strings.ToUpper(o.Name), o.Name)
		require.GreaterOrEqual(t, o.Number[0], 0, id)
		require.Contains(t, []SockoptAccess{SockoptReadWrite, SockoptReadOnly, SockoptWriteOnly}, o.Access, id)
		require.NotEmpty(t, o.Source, id)
		require.True(t, strings.HasSuffix(o.Doc, ".") && !strings.Contains(o.Doc, "|"), id)
		found, err := findOption("test", o.Level, strings.ToLower(o.Name))
		require.NoError(t, err)
		require.Equal(t, o.Number, [2]int{found.level, found.number})
	}
	require.Greater(t, rows, 250)
	for range Sockopts() {
		break
	}
}

// These are the sizes of the structs in C.
func TestSockoptStructSizes(t *testing.T) {
	for _, c := range []struct {
		name string
		form *form
		size int
	}{
		{"tcp_info", tcpInfo, unix.SizeofTCPInfo},
		{"ip_mreqn", ipMreq, unix.SizeofIPMreqn},
		{"ip_mreq_source", sourceMreq, 12},
		{"ipv6_mreq", ipv6Mreq, unix.SizeofIPv6Mreq},
		{"group_req", groupReq, 136},
		{"group_source_req", sourceReq, 264},
		{"packet_mreq", packetMreq, 16},
		{"tpacket_req3", packetRing, 28},
		{"sock_filter", structs("hbbI", "", 0, false), unix.SizeofSockFilter},
		{"icmp6_filter", structs("IIIIIIII", "", 0, false), unix.SizeofICMPv6Filter},
	} {
		require.Equal(t, c.size, c.form.size, c.name)
	}
	o, err := findOption("test", "ipv6", "IPV6_PATHMTU")
	require.NoError(t, err)
	require.Equal(t, unix.SizeofIPv6MTUInfo, o.form.size)
}

// sockoptSockets opens a socket of each kind that has options of a level. It returns the
// kinds that the kernel refuses to this process.
func sockoptSockets(t *testing.T, level string) (sockets []*Socket, missing []string) {
	open := func(f Family, typ Type, p Protocol) *Socket {
		s, err := New(f, typ, p)
		if err != nil {
			missing = append(missing, err.Error())
			return nil
		}
		t.Cleanup(func() { s.Close() })
		sockets = append(sockets, s)
		return s
	}
	switch level {
	case "socket":
		open(Inet, Stream, 0)
		open(Inet, Dgram, 0)
		a, b, err := Pair(Unix, Stream, 0)
		require.NoError(t, err)
		t.Cleanup(func() { a.Close(); b.Close() })
		conn, _ := tcpPair(t)
		sockets = append(sockets, a, conn)
	case "tcp":
		open(Inet, Stream, 0)
		conn, _ := tcpPair(t)
		sockets = append(sockets, conn)
	case "udp":
		open(Inet, Dgram, 0)
		open(Inet6, Dgram, 0)
	case "udplite":
		open(Inet, Dgram, unix.IPPROTO_UDPLITE)
	case "ip":
		open(Inet, Dgram, 0)
		open(Inet, Raw, unix.IPPROTO_ICMP)
		conn, _ := tcpPair(t)
		sockets = append(sockets, conn)
	case "ipv6":
		open(Inet6, Dgram, 0)
		open(Inet6, Raw, 253)
		open(Inet6, Raw, unix.IPPROTO_RAW)
		open(Inet6, Stream, 0)
		if conn := open(Inet6, Dgram, 0); conn != nil {
			if err := conn.ConnectAddr(AddrFrom(netip.MustParseAddrPort("[::1]:9"))); err != nil {
				missing = append(missing, err.Error())
			}
		}
	case "raw":
		open(Inet, Raw, unix.IPPROTO_ICMP)
	case "icmpv6":
		open(Inet6, Raw, unix.IPPROTO_ICMPV6)
	case "packet":
		open(Packet, Raw, 0)
		open(Packet, Dgram, Protocol(swapped(unix.ETH_P_LOOPBACK)))
	case "netlink":
		open(Netlink, Raw, unix.NETLINK_ROUTE)
	case "vsock":
		open(Vsock, Stream, 0)
	default:
		t.Fatalf("no sockets for level %s", level)
	}
	return sockets, missing
}

// tcpPair returns the ends of a connection over loopback.
func tcpPair(t *testing.T) (client, server *Socket) {
	t.Helper()
	l, err := Config{Address: "127.0.0.1"}.New(Inet, Stream, 0)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.Listen(1))
	client, err = New(Inet, Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	require.NoError(t, client.ConnectAddr(l.LocalAddr()))
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return client, server
}

// These options cannot be set to their present value. Each has a value to set and the
// value that a read then returns. nil accepts any value, because the kernel rounds or
// changes it.
var sockoptSamples = map[string]struct{ set, get any }{
	"SO_RCVBUF":           {8192, 16384},
	"SO_SNDBUF":           {8192, 16384},
	"SO_RCVLOWAT":         {7, 7},
	"SO_RCVTIMEO":         {1500.25, 1500.25},
	"SO_SNDTIMEO":         {20, 20.0},
	"SO_RCVTIMEO_OLD":     {0.5, 0.5},
	"SO_RCVTIMEO_NEW":     {nil, 0.0},
	"SO_SNDTIMEO_OLD":     {1.1, 1.1},
	"SO_SNDTIMEO_NEW":     {time.Second, 1000.0},
	"SO_LINGER":           {[]int{1, 5}, []int{1, 5}},
	"SO_BINDTODEVICE":     {"lo", "lo"},
	"SO_BINDTOIFINDEX":    {"lo", 1},
	"SO_ATTACH_FILTER":    {[]int{6, 0, 0, 0xffff}, []int{6, 0, 0, 0xffff}},
	"SO_MAX_PACING_RATE":  {1 << 20, 1 << 20},
	"SO_MARK":             {0xf0000001, 0xf0000001},
	"SO_PRIORITY":         {3, 3},
	"SO_PEEK_OFF":         {4, 4},
	"SO_TXTIME":           {[]any{unix.CLOCK_TAI, 0}, []int{unix.CLOCK_TAI, 0}},
	"TCP_CONGESTION":      {"reno", "reno"},
	"TCP_MAXSEG":          {1000, nil}, // less by the size of the TCP options when connected
	"TCP_DEFER_ACCEPT":    {3, 3},
	"TCP_USER_TIMEOUT":    {12345, 12345},
	"TCP_KEEPIDLE":        {77, 77},
	"TCP_FASTOPEN_KEY":    {"0123456789abcdef", []byte("0123456789abcdef")},
	"TCP_NOTSENT_LOWAT":   {uint32(4096), 4096},
	"TCP_REPAIR_QUEUE":    {2, 2},
	"TCP_QUEUE_SEQ":       {0xfffffff0, 0xfffffff0},
	"TCP_TIMESTAMP":       {5, nil}, // the clock runs
	"TCP_ULP":             {"tls", "tls"},
	"UDP_SEGMENT":         {1000, 1000},
	"IP_TOS":              {0x10, 0x10},
	"IP_TTL":              {42, 42},
	"IP_MULTICAST_TTL":    {4, 4},
	"IP_MULTICAST_IF":     {"127.0.0.1", "127.0.0.1"},
	"IP_OPTIONS":          {[]int{1, 1, 1, 1}, []byte{1, 1, 1, 1}},
	"IP_LOCAL_PORT_RANGE": {[]int{40000, 40100}, []int{40000, 40100}},
	"IP_UNICAST_IF":       {"lo", 1},
	"IP_RECVERR_RFC4884":  {true, true},
	"IPV6_UNICAST_IF":     {"lo", 1},
	"IPV6_MULTICAST_IF":   {"lo", 1},
	"IPV6_UNICAST_HOPS":   {9, 9},
	"IPV6_CHECKSUM":       {2, 2},
	"IPV6_MTU":            {1300, nil},
	"IPV6_HOPOPTS":        {[]byte{0, 0, 1, 4, 0, 0, 0, 0}, []byte{0, 0, 1, 4, 0, 0, 0, 0}},
	"IPV6_DSTOPTS":        {[]byte{0, 0, 1, 4, 0, 0, 0, 0}, []byte{0, 0, 1, 4, 0, 0, 0, 0}},
	"IPV6_RTHDRDSTOPTS":   {[]byte{0, 0, 1, 4, 0, 0, 0, 0}, nil}, // the kernel sends it only with a routing header
	"ICMP_FILTER":         {1 << 8, 1 << 8},
	"ICMPV6_FILTER":       {[]int{1, 2, 3, 4, 5, 6, 7, 0xffffffff}, []int{1, 2, 3, 4, 5, 6, 7, 0xffffffff}},
	"PACKET_FANOUT":       {[]int{77, 0}, nil},
	"PACKET_VERSION":      {2, 2},

	"SO_VM_SOCKETS_CONNECT_TIMEOUT": {1500.0, 1500.0},
}

// sockoptSample returns a value to set, and the value that a read then returns. If the
// option has no sample, sockoptSample reverses a boolean and leaves another value
// unchanged.
func sockoptSample(o Sockopt, now any) (set, get any) {
	if sample, ok := sockoptSamples[o.Name]; ok {
		return sample.set, sample.get
	}
	if b, ok := now.(bool); ok {
		return !b, !b
	}
	return now, now
}

// sockoptBefore has what a test must set before an option.
var sockoptBefore = map[string][]struct {
	name  string
	value any
}{
	"TCP_REPAIR_QUEUE":  {{"TCP_REPAIR", 1}},
	"TCP_QUEUE_SEQ":     {{"TCP_REPAIR", 1}, {"TCP_REPAIR_QUEUE", 2}},
	"TCP_REPAIR_WINDOW": {{"TCP_REPAIR", 1}},
	"TCP_TIMESTAMP":     {{"TCP_REPAIR", 1}},
}

// sockoptForgets has obsolete options, which the kernel accepts and ignores.
var sockoptForgets = map[string]bool{"SO_BSDCOMPAT": true, "TCP_THIN_DUPACK": true}

// lacking reports whether the kernel lacks the option or the protocol, lacks it for this
// kind of socket, or refuses it to this process.
func lacking(err error) bool {
	for _, errno := range []error{unix.ENOPROTOOPT, unix.EPERM, unix.EACCES, unix.EOPNOTSUPP, unix.ENOENT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// roundTrip sets an option, and reads it back.
func roundTrip(t *testing.T, s *Socket, o Sockopt) error {
	for _, b := range sockoptBefore[o.Name] {
		if err := s.Setsockopt(o.Level, b.name, b.value); err != nil {
			return err
		}
	}
	now, err := s.Getsockopt(o.Level, o.Name)
	if err != nil {
		return err
	}
	set, want := sockoptSample(o, now)
	if err := s.Setsockopt(o.Level, o.Name, set); err != nil {
		return err
	}
	got, err := s.Getsockopt(o.Level, o.Name)
	require.NoError(t, err, "%s reads back", o.Name)
	require.Equal(t, string(o.Kind), kindOf(got), o.Name)
	if want != nil && !sockoptForgets[o.Name] {
		assert.Equal(t, want, got, "%s of %v", o.Name, set)
	}
	return nil
}

// roundTripOnAny sets an option and reads it back on the first socket that has it. If no
// socket has it, it returns the reason.
func roundTripOnAny(t *testing.T, o Sockopt) error {
	err := errors.New(o.Name + ": no socket of this sort")
	sockets, missing := sockoptSockets(t, o.Level)
	for _, s := range sockets {
		if err = roundTrip(t, s, o); err == nil {
			return nil
		}
		assert.True(t, lacking(err) || errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.EINVAL), "%v", err)
	}
	if len(missing) > 0 { // one of these kinds may have the option
		return fmt.Errorf("%w (%s)", err, strings.Join(missing, "; "))
	}
	assert.False(t, errors.Is(err, unix.EINVAL), "%v", err)
	return err
}

// Each option that can be set and read returns the value that was set, on some socket.
func TestSockoptRoundTrip(t *testing.T) {
	tried := 0
	var refused []string
	for o := range Sockopts() {
		if o.Access != SockoptReadWrite || o.Name == "IPV6_ADDRFORM" {
			continue
		}
		tried++
		t.Run(o.Name, func(t *testing.T) { // the end of the subtest closes its sockets
			if err := roundTripOnAny(t, o); err != nil {
				refused = append(refused, err.Error())
			}
		})
	}
	t.Logf("%d of %d options read back as set; not so on this kernel, or for this process:\n%s", tried-len(refused), tried, strings.Join(refused, "\n"))
	require.Greater(t, tried-len(refused), tried/2)
}

// An IPv6 socket that is connected to an IPv4 host becomes an IPv4 one.
func TestSockoptAddrForm(t *testing.T) {
	machine.NeedIPv6(t)
	s, err := New(Inet6, Dgram, 0)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.ConnectAddr(AddrFrom(netip.MustParseAddrPort("[::ffff:127.0.0.1]:9"))))
	require.NoError(t, s.Setsockopt("ipv6", "IPV6_ADDRFORM", unix.AF_INET))
	v, err := s.Getsockopt(nil, "SO_DOMAIN")
	require.NoError(t, err)
	require.Equal(t, unix.AF_INET, v)
}

// Each option that can be read returns a value of its kind.
func TestSockoptGet(t *testing.T) {
	sockets := map[string][]*Socket{}
	var refused []string
	for o := range Sockopts() {
		if o.Access == SockoptWriteOnly {
			continue
		}
		if sockets[o.Level] == nil {
			sockets[o.Level], _ = sockoptSockets(t, o.Level)
		}
		err := errors.New(o.Name + ": no socket of this sort")
		for _, s := range sockets[o.Level] {
			var v any
			if v, err = s.Getsockopt(o.Level, o.Name); err == nil {
				require.Equal(t, string(o.Kind), kindOf(v), o.Name)
				if o.Name == "SO_PEERPIDFD" {
					unix.Close(v.(int))
				}
				break
			}
		}
		if err != nil {
			refused = append(refused, err.Error())
		}
	}
	t.Logf("not on this kernel, or not on these sockets:\n%s", strings.Join(refused, "\n"))
}

// The kernel's answer has exactly the size in the table. A char or a long in the place of
// an int would fail here.
func TestSockoptSizes(t *testing.T) {
	sizes := map[SockoptKind]int{SockoptBool: 4, SockoptInt: 4, SockoptMillis: 16}
	checked := 0
	for level := range map[string]bool{"socket": true, "tcp": true, "ip": true, "ipv6": true, "netlink": true, "packet": true, "vsock": true} {
		sockets, _ := sockoptSockets(t, level)
		for _, s := range sockets {
			for o := range Sockopts() {
				if o.Level != level || o.Access == SockoptWriteOnly || sizes[o.Kind] == 0 || o.Name == "SO_PEERPIDFD" || strings.Contains(o.Name, "TIMEO_") || strings.HasSuffix(o.Name, "TIMEO") {
					continue
				}
				want := sizes[o.Kind]
				if o.Takes == "64 bits" {
					want = 8
				}
				buf := make([]byte, 64)
				if n, errno := sys.Getsockopt(s.Fd(), o.Number[0], o.Number[1], buf, uint32(want)); errno == 0 {
					assert.Equal(t, want, n, o.Name)
					checked++
				}
				if n, errno := sys.Getsockopt(s.Fd(), o.Number[0], o.Number[1], buf, 64); errno == 0 && !sockoptGrows[o.Name] {
					assert.Equal(t, want, n, o.Name)
				}
			}
		}
	}
	require.Greater(t, checked, 100)
}

// sockoptGrows has the ints at the beginning of a struct. The kernel returns more of the
// struct if the caller requests more bytes.
var sockoptGrows = map[string]bool{"SO_TIMESTAMPING": true, "SO_TIMESTAMPING_NEW": true, "SO_TIMESTAMPING_OLD": true}

// kindOf returns the kind of a value.
func kindOf(v any) string {
	return strings.ReplaceAll(fmt.Sprintf("%T", v), "uint8", "byte")
}
