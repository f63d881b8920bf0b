package socket

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func newTCP(t *testing.T) *Socket {
	t.Helper()
	s, err := New(Inet, Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func newUDP(t *testing.T, f Family) *Socket {
	t.Helper()
	s, err := New(f, Dgram, 0)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSockoptLevels(t *testing.T) {
	s := newTCP(t)
	for _, level := range []any{"tcp", "TCP", "IPPROTO_TCP", "sol_tcp", "6", 6, int64(6), 6.0, Protocol(6)} {
		require.NoError(t, s.Setsockopt(level, "TCP_NODELAY", true), "%v", level)
		v, err := s.Getsockopt(level, "tcp_nodelay")
		require.NoError(t, err)
		require.Equal(t, true, v)
	}
	for _, level := range []any{nil, "socket", "SOL_SOCKET", 1, "unix", "local"} {
		v, err := s.Getsockopt(level, "SO_TYPE")
		require.NoError(t, err, "%v", level)
		require.Equal(t, unix.SOCK_STREAM, v)
	}
}

func TestSockoptErrors(t *testing.T) {
	s := newTCP(t)
	for _, c := range []struct {
		level any
		name  string
		value any
		errno syscall.Errno
		says  string
	}{
		{nil, "SO_RVCTIMEO", 1, unix.ENOPROTOOPT, "did you mean SO_RCVTIMEO?"},
		{nil, "rcvtimeo", 1, unix.ENOPROTOOPT, "did you mean SO_RCVTIMEO"},
		{nil, "TCP_NODELAY", 1, unix.ENOPROTOOPT, "did you mean TCP_NODELAY of level tcp"},
		{"tcp", "SO_KEEPALIV", 1, unix.ENOPROTOOPT, "SO_KEEPALIVE of level socket"},
		{nil, "xyzzyxyzzyx", 1, unix.ENOPROTOOPT, "level socket has no such option"},
		{nil, "", 1, unix.ENOPROTOOPT, "no such option"},
		{nil, string(make([]byte, 1<<20)), 1, unix.ENOPROTOOPT, "no such option"},
		{4711, "SO_TYPE", 1, unix.ENOPROTOOPT, "level 4711 has no such option; did you mean SO_TYPE of level socket"},
		{"tpc", "TCP_NODELAY", 1, unix.ENOPROTOOPT, "did you mean tcp"},
		{"nonsense", "TCP_NODELAY", 1, unix.ENOPROTOOPT, "the known ones are socket, unix"},
		{3.5, "SO_TYPE", 1, unix.EINVAL, "a level is nil, a number or a name"},
		{[]int{1}, "SO_TYPE", 1, unix.EINVAL, "a level is nil, a number or a name"},

		{nil, "SO_KEEPALIVE", "yes", unix.EINVAL, `SO_KEEPALIVE "yes": invalid argument (true, false, nil or an integer is needed`},
		{nil, "SO_RCVBUF", nil, unix.EINVAL, "SO_RCVBUF nil: invalid argument (an integer is needed"},
		{nil, "SO_RCVBUF", 1.5, unix.EINVAL, "SO_RCVBUF 1.5"},
		{nil, "SO_RCVBUF", 1 << 31, unix.EINVAL, "out of range"},
		{nil, "SO_RCVBUF", uint64(1 << 40), unix.EINVAL, "out of range"},
		{nil, "SO_RCVBUF", math.Inf(1), unix.EINVAL, "out of range"},
		{nil, "SO_RCVBUF", math.NaN(), unix.EINVAL, "an integer is needed"},
		{nil, "SO_RCVBUF", time.Second, unix.EINVAL, "an integer is needed"},
		{nil, "SO_MARK", -1, unix.EINVAL, "out of range"},
		{nil, "SO_LINGER", "x", unix.EINVAL, "[active seconds]"},
		{nil, "SO_LINGER", []int{1, 2, 3}, unix.EINVAL, "too long"},
		{nil, "SO_LINGER", []int{}, unix.EINVAL, "empty"},
		{nil, "SO_LINGER", []any{1, nil}, unix.EINVAL, "field 2: an integer is needed"},
		{nil, "SO_BINDTODEVICE", 1, unix.EINVAL, "a string is needed"},
		{nil, "SO_ATTACH_FILTER", []int{6, 0, 0}, unix.EINVAL, "multiple of 4"},
		{nil, "SO_RCVTIMEO", "1", unix.EINVAL, "milliseconds are needed"},
		{nil, "SO_RCVTIMEO", true, unix.EINVAL, "milliseconds are needed"},
		{nil, "SO_RCVTIMEO", math.NaN(), unix.EDOM, "not negative"},
		{nil, "SO_SNDTIMEO", -0.5, unix.EDOM, "not negative"},
		{nil, "SO_SNDTIMEO", -999, unix.EDOM, "not negative"},
		{nil, "SO_BINDTOIFINDEX", "no such interface", unix.ENODEV, "no interface"},
		{"ip", "IP_ADD_MEMBERSHIP", 7, unix.EINVAL, "field 1: an address is needed"},
		{"ip", "IP_ADD_MEMBERSHIP", []int{224, 0, 0, 256}, unix.EINVAL, "0 to 255"},
		{"ip", "IP_ADD_MEMBERSHIP", "::1", unix.EINVAL, "not an address of 4 bytes"},
		{"ip", "IP_OPTIONS", 3, unix.EINVAL, "bytes are needed"},
		{"ip", "MCAST_JOIN_GROUP", []any{1, "nonsense"}, unix.EINVAL, "field 2"},
		{"tcp", "TCP_CONGESTION", "no such", unix.ENOENT, "TCP_CONGESTION"},

		// These errors come from the kernel.
		{nil, "SO_TYPE", 1, unix.ENOPROTOOPT, "SO_TYPE"},
		{nil, "SO_SNDLOWAT", 1, unix.ENOPROTOOPT, "SO_SNDLOWAT"},
		{"tcp", "TCP_INFO", []int{1}, unix.ENOPROTOOPT, "TCP_INFO"},
	} {
		err := s.Setsockopt(c.level, c.name, c.value)
		var e *Error
		require.ErrorAs(t, err, &e, "%v %.20s", c.level, c.name)
		require.Equal(t, "setsockopt", e.Op)
		require.Equal(t, c.errno, e.Errno, "%v", err)
		require.ErrorContains(t, err, c.says)
		require.Less(t, len(err.Error()), 400)
	}
	// An option that can only be set gets the same errors.
	_, err := s.Getsockopt("ip", "IP_ADD_MEMBERSHIP")
	require.ErrorIs(t, err, unix.ENOPROTOOPT)
}

// Setsockopt converts booleans, integers and nil where that is useful.
func TestSockoptValues(t *testing.T) {
	s := newTCP(t)
	for _, v := range []any{true, 1, 1.0, int8(7), uint64(1)} {
		require.NoError(t, s.Setsockopt(nil, "SO_KEEPALIVE", v))
		got, err := s.Getsockopt(nil, "SO_KEEPALIVE")
		require.NoError(t, err)
		require.Equal(t, true, got, "%v", v)
		require.NoError(t, s.Setsockopt(nil, "SO_KEEPALIVE", nil))
		got, err = s.Getsockopt(nil, "SO_KEEPALIVE")
		require.NoError(t, err)
		require.Equal(t, false, got)
	}
	require.NoError(t, s.Setsockopt("ip", "IP_TTL", true))
	v, err := s.Getsockopt("ip", "IP_TTL")
	require.NoError(t, err)
	require.Equal(t, 1, v)

	// These values have only the first field, or leave fields out.
	for _, v := range []any{[]int{1}, []float64{1, 0}, []any{true, nil}[:1], true, 1} {
		require.NoError(t, s.Setsockopt(nil, "SO_LINGER", v), "%v", v)
		got, err := s.Getsockopt(nil, "SO_LINGER")
		require.NoError(t, err)
		require.Equal(t, []int{1, 0}, got)
	}

	t.Run("an option without a value", func(t *testing.T) {
		err := s.Setsockopt(nil, "SO_ATTACH_FILTER", []int{6, 0, 0, 0xffff})
		machine.NeedPermission(t, "SO_ATTACH_FILTER", err)
		require.NoError(t, err)
		require.NoError(t, s.Setsockopt(nil, "SO_DETACH_FILTER", nil))
		v, err := s.Getsockopt(nil, "SO_ATTACH_FILTER")
		require.NoError(t, err)
		require.Equal(t, []int{}, v)
	})
}

// Set and get agree with the helpers of x/sys, where x/sys has one.
func TestSockoptAgainstSys(t *testing.T) {
	a, b, err := Pair(Unix, Stream, 0)
	require.NoError(t, err)
	defer a.Close()
	defer b.Close()
	cred, err := unix.GetsockoptUcred(a.Fd(), unix.SOL_SOCKET, unix.SO_PEERCRED)
	require.NoError(t, err)
	v, err := a.Getsockopt(nil, "SO_PEERCRED")
	require.NoError(t, err)
	require.Equal(t, []int{int(cred.Pid), int(cred.Uid), int(cred.Gid)}, v)

	client, _ := tcpPair(t)
	info, err := unix.GetsockoptTCPInfo(client.Fd(), unix.IPPROTO_TCP, unix.TCP_INFO)
	require.NoError(t, err)
	v, err = client.Getsockopt("tcp", "TCP_INFO")
	require.NoError(t, err)
	fields := v.([]int)
	require.EqualValues(t, info.State, fields[0])
	require.EqualValues(t, info.Snd_mss, fields[8+2])
	require.EqualValues(t, info.Total_retrans, fields[8+23])
	require.EqualValues(t, info.Max_pacing_rate, uint64(fields[8+25]))
	require.EqualValues(t, info.Rcv_wnd, fields[8+24+4+6+4+2+2+4])
	require.EqualValues(t, info.Rehash, fields[8+24+4+6+4+2+2+5])

	// The timeouts of the class do not change those of the kernel.
	require.NoError(t, client.Setsockopt(nil, "SO_RCVTIMEO", 5000))
	tv, err := unix.GetsockoptTimeval(client.Fd(), unix.SOL_SOCKET, unix.SO_RCVTIMEO)
	require.NoError(t, err)
	require.Zero(t, tv.Nano())
}

// Every form of a multicast membership joins the group. Leaving the group proves that.
func TestSockoptMemberships(t *testing.T) {
	udp := newUDP(t, Inet)
	for _, v := range []any{
		[]string{"239.1.2.3", "127.0.0.1"},
		[]any{"239.1.2.3", "0.0.0.0", "lo"},
		[]any{"239.1.2.3", "0.0.0.0", 1},
		[]int{239, 1, 2, 3, 127, 0, 0, 1},
		[]int{239, 1, 2, 3, 127, 0, 0, 1, 1},
		[]any{netip.MustParseAddr("239.1.2.3"), []int{127, 0, 0, 1}},
		[]any{net.IPv4(239, 1, 2, 3).To4(), "127.0.0.1"},
	} {
		require.NoError(t, udp.Setsockopt("ip", "IP_ADD_MEMBERSHIP", v), "%v", v)
		require.ErrorIs(t, udp.Setsockopt("ip", "IP_ADD_MEMBERSHIP", v), unix.EADDRINUSE)
		require.NoError(t, udp.Setsockopt("ip", "IP_DROP_MEMBERSHIP", v), "%v", v)
		require.ErrorIs(t, udp.Setsockopt("ip", "IP_DROP_MEMBERSHIP", v), unix.EADDRNOTAVAIL)
	}
	source := []string{"239.1.2.3", "127.0.0.1", "127.0.0.9"}
	require.NoError(t, udp.Setsockopt("ip", "IP_ADD_SOURCE_MEMBERSHIP", source))
	require.NoError(t, udp.Setsockopt("ip", "IP_DROP_SOURCE_MEMBERSHIP", source))
	group := []any{"lo", "239.1.2.4"}
	require.NoError(t, udp.Setsockopt("ip", "MCAST_JOIN_GROUP", group))
	require.NoError(t, udp.Setsockopt("ip", "MCAST_BLOCK_SOURCE", append(group, "127.0.0.9")))
	require.NoError(t, udp.Setsockopt("ip", "IP_MSFILTER", []any{"239.1.2.4", "127.0.0.1", 0, "127.0.0.8", "127.0.0.7"}))
	require.NoError(t, udp.Setsockopt("ip", "IP_UNBLOCK_SOURCE", []any{"239.1.2.4", "127.0.0.1", "127.0.0.7"}))
	require.NoError(t, udp.Setsockopt("ip", "MCAST_LEAVE_GROUP", group))
	require.NoError(t, udp.Setsockopt("ip", "IP_MULTICAST_IF", []any{"0.0.0.0", "127.0.0.1", 1}))
	v, err := udp.Getsockopt("ip", "IP_MULTICAST_IF")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", v)

	t.Run("IPv6", func(t *testing.T) {
		machine.NeedIPv6(t)
		udp := newUDP(t, Inet6)
		for _, v := range []any{
			[]any{"ff02::1234", "lo"},
			[]any{"ff02::1234", 1},
			[]int{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 1},
		} {
			require.NoError(t, udp.Setsockopt("ipv6", "IPV6_JOIN_GROUP", v), "%v", v)
			require.NoError(t, udp.Setsockopt("ipv6", "IPV6_DROP_MEMBERSHIP", v), "%v", v)
		}
		require.NoError(t, udp.Setsockopt("ipv6", "MCAST_JOIN_GROUP", []any{1, "ff02::1234"}))
	})
}

// Negative and fractional timeouts work as in the kernel.
func TestSockoptTimeouts(t *testing.T) {
	s := newTCP(t)
	for _, c := range []struct {
		set  any
		kept time.Duration
		get  float64
	}{
		{10000, 10 * time.Second, 10000},
		{0.5, 500 * time.Microsecond, 0.5},
		{2.007, 2007 * time.Microsecond, 2.007}, // the product is a little more in floating point
		{0.0000001, 1, 0.000001},
		{math.SmallestNonzeroFloat64, 1, 0.000001},
		{0.0000015, 2, 0.000002},
		{0, 0, 0}, {0.0, 0, 0}, {math.Copysign(0, -1), 0, 0}, {nil, 0, 0}, {false, 0, 0},
		{-1000, -1, 0}, {-1000.5, -1, 0}, {math.Inf(-1), -1, 0}, {int64(math.MinInt64), -1, 0},
		{math.Inf(1), 0, 0}, {1e300, 0, 0}, {int64(math.MaxInt64), 0, 0}, {uint64(math.MaxUint64), 0, 0},
		{2 * time.Millisecond, 2 * time.Millisecond, 2}, {-2 * time.Second, -1, 0},
		{uint8(3), 3 * time.Millisecond, 3}, {float32(0.25), 250 * time.Microsecond, 0.25},
	} {
		for _, o := range []struct {
			name string
			t    *timeout
		}{{"SO_RCVTIMEO", &s.core.recvTimeout}, {"SO_SNDTIMEO", &s.core.sendTimeout}} {
			require.NoError(t, s.Setsockopt(nil, o.name, c.set), "%v", c.set)
			require.EqualValues(t, c.kept, o.t.d.Load(), "%v", c.set)
			v, err := s.Getsockopt(nil, o.name+"_NEW")
			require.NoError(t, err)
			require.Equal(t, c.get, v, "%v", c.set)
		}
	}
	require.NoError(t, s.SetRecvTimeout(1500*time.Millisecond))
	v, err := s.Getsockopt(nil, "SO_RCVTIMEO")
	require.NoError(t, err)
	require.Equal(t, 1500.0, v)
}

// A timeout that a program sets by name bounds a call. With a negative timeout no call
// waits: a call returns what has arrived.
func TestSockoptTimeoutWorks(t *testing.T) {
	a, b, err := Pair(Unix, Stream, 0)
	require.NoError(t, err)
	defer a.Close()
	defer b.Close()
	buf := make([]byte, 8)
	const limit = 30 * time.Millisecond
	require.NoError(t, a.Setsockopt(nil, "SO_RCVTIMEO", 30))
	began := time.Now()
	_, err = a.Recv(buf, 0)
	require.ErrorIs(t, err, unix.EAGAIN)
	require.GreaterOrEqual(t, time.Since(began), limit)

	require.NoError(t, a.Setsockopt(nil, "SO_RCVTIMEO", -1000))
	_, err = a.Recv(buf, 0)
	require.ErrorIs(t, err, unix.EAGAIN)
	_, err = b.Send([]byte("x"), 0)
	require.NoError(t, err)
	n, err := a.Recv(buf, 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// If the answer is longer than the buffer, the socket asks the kernel again. The kernel
// reports that in one of two ways.
func TestSockoptGrows(t *testing.T) {
	s, err := New(Netlink, Raw, unix.NETLINK_ROUTE)
	require.NoError(t, err)
	defer s.Close()
	const group = 33
	require.NoError(t, s.Setsockopt("netlink", "NETLINK_ADD_MEMBERSHIP", group))
	o, err := findOption("test", "netlink", "NETLINK_LIST_MEMBERSHIPS")
	require.NoError(t, err)
	short := *o.form
	short.size = 4
	b, err := (&option{row: &row{number: o.number, form: &short}, level: o.level}).get(s.Fd())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(b), 8)
	require.Equal(t, 1, o.form.decode(b).([]int)[1])

	groups := make([]uint32, 100)
	for i := range groups {
		groups[i] = uint32(i + 1000)
	}
	made := make(chan error)
	var a *Socket
	go func() {
		runtime.LockOSThread() // without UnlockOSThread: the thread ends with the goroutine
		_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0)
		if errno != 0 {
			made <- errno
			return
		}
		var peer *Socket
		var err error
		if a, peer, err = Pair(Unix, Stream, 0); err == nil {
			peer.Close()
		}
		made <- err
	}()
	err = <-made
	machine.NeedPermission(t, "setgroups", err)
	require.NoError(t, err)
	defer a.Close()
	v, err := a.Getsockopt(nil, "SO_PEERGROUPS")
	require.NoError(t, err)
	require.Len(t, v, len(groups))
	require.Equal(t, 1099, v.([]int)[99])
}

// Reading SO_ERROR clears the kernel's error, and the error that the socket keeps for the
// next call.
func TestSockoptError(t *testing.T) {
	s := newUDP(t, Inet)
	gone := newUDP(t, Inet)
	require.NoError(t, gone.Setsockopt(nil, "SO_REUSEADDR", 0))
	require.NoError(t, bindTo(gone.Fd(), AddrFrom(netip.MustParseAddrPort("127.0.0.1:0"))))
	require.NoError(t, s.ConnectAddr(gone.LocalAddr()))
	require.NoError(t, gone.Close())
	_, err := s.Send([]byte("x"), 0)
	require.NoError(t, err)
	v, err := s.Getsockopt(nil, "SO_ERROR") // over loopback the refusal arrives before send returns
	require.NoError(t, err)
	require.Equal(t, int(unix.ECONNREFUSED), v)
	v, err = s.Getsockopt(nil, "SO_ERROR")
	require.NoError(t, err)
	require.Equal(t, 0, v)

	s.core.owed.Store(uint32(unix.ECONNRESET))
	v, err = s.Getsockopt(nil, "SO_ERROR")
	require.NoError(t, err)
	require.Equal(t, int(unix.ECONNRESET), v)
	require.NoError(t, s.core.takeOwed())
}

func TestSockoptClosed(t *testing.T) {
	s := newTCP(t)
	require.NoError(t, s.Close())
	for o := range Sockopts() {
		_, err := s.Getsockopt(o.Level, o.Name)
		require.ErrorIs(t, err, unix.EBADF, o.Name)
		require.ErrorIs(t, err, net.ErrClosed, o.Name)
	}
	require.ErrorIs(t, s.Setsockopt(nil, "SO_RCVTIMEO", 1), unix.EBADF)
	require.ErrorIs(t, s.Setsockopt(nil, "SO_RCVLOWAT", 1), unix.EBADF)
	require.ErrorIs(t, s.Setsockopt("tcp", "TCP_NODELAY", 1), net.ErrClosed)
}

func TestSockoptConcurrent(t *testing.T) {
	a, _ := tcpPair(t)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			buf := make([]byte, 4)
			for i := range 200 {
				switch (g + i) % 4 {
				case 0:
					_ = a.Setsockopt(nil, "SO_RCVTIMEO", 0.01)
				case 1:
					_ = a.Setsockopt(nil, "SO_RCVLOWAT", g+i)
				case 2:
					_, _ = a.Getsockopt("tcp", "TCP_INFO")
				default:
					_ = a.Setsockopt("tcp", "TCP_NODELAY", i%2)
				}
				if g == 0 {
					_, _ = a.Recv(buf, unix.MSG_DONTWAIT)
				}
			}
		})
	}
	all.Wait()
	v, err := a.Getsockopt(nil, "SO_RCVLOWAT")
	require.NoError(t, err)
	require.EqualValues(t, v, a.core.lowWater.Load(), "the copy is what the kernel has")
}

// No value causes a panic. Options that share a form are tried once, for speed.
func FuzzSockoptValue(f *testing.F) {
	var options []*option
	for o := range Sockopts() {
		r, err := findOption("test", o.Level, o.Name)
		require.NoError(f, err)
		if !slices.ContainsFunc(options, func(other *option) bool { return other.form == r.form }) {
			options = append(options, r)
		}
	}
	f.Add(1, 2.5, "x", []byte{1})
	f.Fuzz(func(t *testing.T, i int, x float64, s string, b []byte) {
		var nothing *int
		for _, r := range options {
			if r.form.decode != nil {
				r.form.decode(b)
			}
			for _, v := range []any{i, x, s, b, []any{i, x, s, b, nil}, []any{[]any{i}}, nothing, struct{}{}, errors.New(s), func() {}, map[string]int{}} {
				var err error
				if r.form.encode == nil {
					_, err = timeoutOf(v)
				} else {
					_, err = r.form.encode(v)
				}
				if err != nil && r.refuse("test", v, err).Error() == "" {
					t.Fatal("an error without a text")
				}
			}
		}
	})
}
