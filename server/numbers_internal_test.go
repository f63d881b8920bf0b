package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The tests of this file compare functions that compute with tables: each bound, and the
// values beside it.

// Every number of the kernel's structure goes to a field of its own, in its unit.
func TestDescribeTCP(t *testing.T) {
	t.Parallel()
	k := &unix.TCPInfo{
		State: 1, Last_data_sent: 30, Last_data_recv: 20, Rtt: 1, Rttvar: 2, Min_rtt: 3, Rto: 4,
		Bytes_received: 5, Bytes_sent: 16, Bytes_retrans: 10, Total_retrans: 7, Lost: 8, Unacked: 9, Notsent_bytes: 10,
		Snd_cwnd: 11, Snd_ssthresh: 12, Snd_mss: 13, Snd_wnd: 14, Delivery_rate: 15, Pacing_rate: 16, Busy_time: 17, Rwnd_limited: 18, Sndbuf_limited: 19,
	}
	us := time.Microsecond
	require.Equal(t, &TCPInfo{
		State: "established", BytesIn: 5, BytesOut: 6, Idle: 20 * time.Millisecond,
		RTT: us, RTTVar: 2 * us, MinRTT: 3 * us, RTO: 4 * us, Retransmits: 7, Lost: 8, Unacked: 9, Unsent: 10,
		Cwnd: 11, SSThresh: 12, MSS: 13, PeerWindow: 14, DeliveryRate: 15, PacingRate: 16, BusyTime: 17 * us, PeerLimited: 18 * us, BufferLimited: 19 * us,
	}, describeTCP(k))
	for state, want := range map[uint8]string{8: "close-wait", 12: "new-syn-recv", 13: "13", 200: "200"} {
		require.Equal(t, want, describeTCP(&unix.TCPInfo{State: state}).State)
	}
}

// After the peer's FIN the kernel counts a byte more.
func TestTCPBytes(t *testing.T) {
	t.Parallel()
	for state := range uint8(13) {
		ended := state == unix.BPF_TCP_CLOSE_WAIT || state == unix.BPF_TCP_LAST_ACK || state == unix.BPF_TCP_CLOSING || state == unix.BPF_TCP_TIME_WAIT
		for _, received := range []uint64{0, 1, 2} {
			want := received
			if ended && received > 0 {
				want--
			}
			in, out := tcpBytes(&unix.TCPInfo{State: state, Bytes_received: received, Bytes_sent: 9, Bytes_retrans: 4})
			require.Equal(t, want, in, "state %d", state)
			require.EqualValues(t, 5, out)
		}
	}
}

// The state of a connection follows from its signals; the first in this order counts.
func TestInspectSaysTheState(t *testing.T) {
	c, _ := attached(t, &Server{Loops: 1})
	c.eng.do(func() {
		for _, test := range []struct {
			signals uint32
			queued  bool
			want    string
		}{
			{0, false, "open"}, {0, true, "open"}, {paused, false, "paused"}, {outputHigh | paused, true, "slow"},
			{closeAsked | outputHigh, true, "draining"}, {abortAsked, true, "draining"}, {closeAsked, false, "lingering"}, {abortAsked | paused, false, "lingering"},
			{writeFailed | closeAsked, true, "broken"}, {gone | writeFailed, true, ""},
		} {
			c.signals.Store(test.signals)
			c.out = nil
			if test.queued {
				c.out = &output{size: 1}
			}
			info, open := c.inspect(7)
			require.Equal(t, test.want != "", open, "%b", test.signals)
			if open {
				require.Equal(t, test.want, info.State, "%b", test.signals)
				require.Equal(t, 7, info.Loop)
				require.Nil(t, info.TCP)
				require.Equal(t, test.queued, info.Queued == 1)
			}
		}
		c.signals.Store(0)
		c.out = nil
	})
}

func TestMemoryBounds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		max    int64
		policy MemoryPolicy
		wrong  string
	}{
		{-1, 0, "MaxMemory is -1"}, {leastMemory - 1, 0, "MaxMemory is 1048575"}, {leastMemory, 0, ""}, {0, PauseReading, ""}, {0, PauseReading + 1, "MemoryPolicy is 2"},
	} {
		s := &Server{MaxMemory: test.max, MemoryPolicy: test.policy}
		err := s.checkMemory()
		if test.wrong != "" {
			require.ErrorContains(t, err, test.wrong)
			continue
		}
		require.NoError(t, err)
		if test.max == 0 {
			require.Equal(t, max(usableMemory()/4, leastMemory), s.MaxMemory)
		}
		require.Equal(t, s.MaxMemory, s.memory.most)
		require.Equal(t, s.MaxMemory/8*7, s.memory.high)
		require.Equal(t, s.MaxMemory/4*3, s.memory.low)
	}
	var info unix.Sysinfo_t
	require.NoError(t, unix.Sysinfo(&info))
	require.LessOrEqual(t, usableMemory(), int64(info.Totalram)*int64(info.Unit))
	require.Positive(t, usableMemory())
}

// An engine tells the server of what it holds in batches. The bounds include themselves.
func TestMemoryIsCountedInBatches(t *testing.T) {
	c, _ := attached(t, &Server{Loops: 1, MaxMemory: leastMemory, MemoryPolicy: PauseReading})
	e, m := c.eng, &c.eng.srv.memory
	e.do(func() {
		total := func() int64 { return m.total.Load() }
		e.hold(memoryBatch - 1)
		require.Zero(t, total())
		require.EqualValues(t, memoryBatch-1, e.srv.held())
		e.hold(0)
		e.hold(1)
		require.EqualValues(t, memoryBatch, total())
		e.hold(-memoryBatch + 1)
		require.EqualValues(t, memoryBatch, total())
		e.hold(-1)
		require.Zero(t, total())

		require.True(t, e.fits(leastMemory))
		require.False(t, e.fits(leastMemory+1))
		m.total.Store(m.high)
		require.True(t, e.mayRead())
		m.total.Store(m.high + 1)
		require.False(t, e.mayRead())
		e.srv.MemoryPolicy = EndLargest
		m.total.Store(m.most)
		require.True(t, e.mayRead())
		require.False(t, e.fits(1))
		m.total.Store(m.most + 1)
		require.False(t, e.mayRead())
		m.total.Store(0)
	})
}

// endLargest ends connections until enough is free: for what was asked, and down to the low
// mark if the high one is passed. It does not count a connection twice.
func TestEndLargestStopsInTime(t *testing.T) {
	for _, test := range []struct {
		name         string
		held, wanted int64
		holders      []int
		ended        int
	}{
		{"nothing is wanted", 0, 0, []int{10, 10}, 0},
		{"it fits exactly", 100, leastMemory - 100, []int{10}, 0},
		{"a byte is missing", 100, leastMemory - 99, []int{10, 10}, 1},
		{"ten bytes are missing", 100, leastMemory - 90, []int{10, 10}, 1},
		{"eleven bytes are missing", 100, leastMemory - 89, []int{10, 10, 10}, 2},
		{"at the high mark", leastMemory / 8 * 7, 0, []int{10}, 0},
		{"beyond the high mark", leastMemory/8*7 + 1, 0, []int{leastMemory/8 + 1, 10}, 1},
		{"beyond the high mark by small ones", leastMemory/8*7 + 1, 0, []int{leastMemory / 8, 10, 10}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := attached(t, &Server{Loops: 1, MaxMemory: leastMemory, Log: slog.New(slog.DiscardHandler)})
			s := c.eng.srv
			c.eng.do(func() { c.eng.service.Events.Open = nil })
			for range test.holders[1:] {
				a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
				require.NoError(t, err)
				defer b.Close()
				require.NoError(t, s.Attach(a, nil))
			}
			ended := 0
			c.eng.do(func() {
				s.memory.total.Store(test.held)
				s.memory.wanted.Store(test.wanted)
				s.memory.seeking.Store(true)
				var all []holder
				for x := c.eng.conns; x != nil; x = x.next { // the smallest first
					all = append(all, holder{c: x, bytes: test.holders[len(test.holders)-1-len(all)]})
				}
				s.endLargest(all)
				for _, h := range all {
					if h.c.signals.Load()&memoryAsked != 0 {
						ended++
					}
				}
				require.False(t, s.memory.seeking.Load())
				require.Zero(t, s.memory.wanted.Load())
				s.memory.total.Store(0)
			})
			require.Equal(t, test.ended, ended)
			require.EqualValues(t, test.ended, s.Stats().Ended)
		})
	}
}

// relieve remembers the largest wish, and looks once at a time. A server that pauses reading
// ends nothing.
func TestRelieveRemembersTheLargestWish(t *testing.T) {
	c, _ := attached(t, &Server{Loops: 1})
	e, m := c.eng, &c.eng.srv.memory
	e.do(func() {
		m.seeking.Store(true) // nothing is ended now
		for _, n := range []int{5, 9, 9, 3, 0} {
			e.relieve(n)
		}
		require.EqualValues(t, 9, m.wanted.Load())
		e.srv.MemoryPolicy = PauseReading
		e.relieve(20)
		require.EqualValues(t, 9, m.wanted.Load())
		e.srv.MemoryPolicy = EndLargest
		m.wanted.Store(0)
		m.seeking.Store(false)
		e.relieve(1)
		require.True(t, m.seeking.Load())
	})
	require.Eventually(t, func() bool { return !m.seeking.Load() }, time.Minute, time.Millisecond)
}

func TestTimeoutsAreChecked(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FirstByte", "Idle", "Read", "Write", "Handshake", "Grace", "Linger", "MinRate"} {
		var bad Timeouts
		reflect.ValueOf(&bad).Elem().FieldByName(name).SetInt(-1)
		require.ErrorContains(t, bad.check(), "server: Timeouts."+name+" is -1")
		var good Timeouts
		reflect.ValueOf(&good).Elem().FieldByName(name).SetInt(1)
		require.NoError(t, good.check())
		require.EqualValues(t, 1, reflect.ValueOf(good).FieldByName(name).Int())
		require.Equal(t, name == "FirstByte" || name == "Idle", good.any)
	}
	var zero Timeouts
	require.NoError(t, zero.check())
	require.Equal(t, Timeouts{Linger: 5 * time.Second, Handshake: 10 * time.Second, Grace: 10 * time.Second}, zero)

	require.EqualValues(t, 250, (&Timeouts{MinRate: 100, Grace: 2500 * time.Millisecond}).leastBytes())
	idle := error(&TimeoutError{"idle", time.Second})
	require.EqualError(t, idle, "server: the connection's idle timeout of 1s is over")
	require.EqualError(t, &TimeoutError{ofRate, time.Second}, "server: for 1s the connection's peer was slower than Timeouts.MinRate")
	require.ErrorIs(t, idle, os.ErrDeadlineExceeded)
	require.ErrorIs(t, idle, unix.ETIMEDOUT)
	require.NotErrorIs(t, idle, unix.EPIPE)
}

// A window that has not begun does not pass. One passes at its end, if the bytes are enough.
func TestWindow(t *testing.T) {
	t.Parallel()
	limits := &Timeouts{MinRate: 10, Grace: 10 * time.Second} // 100 bytes
	for _, test := range []struct {
		w      window
		now    time.Duration
		passes bool
	}{
		{window{}, time.Hour, false},
		{window{since: 1, bytes: 100}, 10 * time.Second, false},
		{window{since: 1, bytes: 100}, 10*time.Second + 1, true},
		{window{since: 1, bytes: 99}, 10*time.Second + 1, false},
	} {
		w := test.w
		w.passed(test.now, limits)
		if test.passes {
			require.Equal(t, window{since: test.now}, w)
		} else {
			require.Equal(t, test.w, w)
		}
	}
	var w window
	w.begin(0)
	require.EqualValues(t, 1, w.since, "0 says that it has not begun")
	w.begin(9)
	require.EqualValues(t, 1, w.since)
	w = window{bytes: 5}
	w.begin(9)
	require.Equal(t, window{since: 9}, w)
}

func TestRatesBounds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Accept", "AcceptBurst", "Read", "ReadBurst", "Write", "WriteBurst"} {
		check := func(v int64) error {
			r := Rates{Accept: 1, Read: 1, Write: 1}
			reflect.ValueOf(&r).Elem().FieldByName(name).SetInt(v)
			return r.check()
		}
		require.EqualError(t, check(-1), "server: Rates."+name+" is -1: it must not be negative")
		require.NoError(t, check(0))
		require.NoError(t, check(rate.Most))
		require.EqualError(t, check(rate.Most+1), fmt.Sprintf("server: Rates.%s is %d: the most is %d", name, rate.Most+1, rate.Most))
		if kind, burst := strings.CutSuffix(name, "Burst"); burst {
			var r Rates
			reflect.ValueOf(&r).Elem().FieldByName(name).SetInt(1)
			require.EqualError(t, r.check(), "server: Rates."+name+" is 1, and Rates."+kind+" is 0")
		}
	}
	require.Nil(t, newExtras(&Rates{}, socket.Addr{}))
	require.NotNil(t, newExtras(&Rates{}, socket.AddrFrom(netip.MustParseAddrPort("1.2.3.4:5"))))
	require.False(t, newExtras(&Rates{Read: 1}, socket.Addr{}).limitsWrite())
	require.True(t, newExtras(&Rates{Write: 1}, socket.Addr{}).limitsWrite())
	require.False(t, (*extras)(nil).limitsWrite())
}

// The connection goes on when the first of its waits is over. 0 says that it does not wait.
func TestRateEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ read, write, want time.Duration }{{0, 0, 0}, {5, 0, 5}, {0, 6, 6}, {5, 6, 5}, {6, 5, 5}, {5, 5, 5}} {
		require.Equal(t, test.want, (&Conn{extra: &extras{readAt: test.read, writeAt: test.write}}).rateEnds())
	}
	require.Zero(t, (&Conn{}).rateEnds())
}

func TestTrimAndShorten(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		n          int
		trimmed    []string
		shortened  []string
		altogether int
	}{
		{0, []string{""}, []string{"", "", ""}, 0}, {2, []string{"ab"}, []string{"ab", "", ""}, 2}, {3, []string{"abc"}, []string{"abc", "", ""}, 3},
		{4, []string{"abc", "d"}, []string{"abc", "d", ""}, 4}, {5, []string{"abc", "de"}, []string{"abc", "de", ""}, 5}, {6, []string{"abc", "de", "f"}, []string{"abc", "de", "f"}, 6}, {7, []string{"abc", "de", "f"}, []string{"abc", "de", "f"}, 6},
	} {
		text := func(bufs [][]byte) (list []string) {
			for _, b := range bufs {
				list = append(list, string(b))
			}
			return list
		}
		bufs := [][]byte{[]byte("abc"), []byte("de"), []byte("f")}
		require.Equal(t, test.trimmed, text(trim(bufs, test.n)))
		for _, b := range bufs[len(test.trimmed):] {
			require.Nil(t, b, "it does not keep what is cut off")
		}
		bufs = [][]byte{[]byte("abc"), []byte("de"), []byte("f")}
		require.Equal(t, test.altogether, shorten(bufs, test.n))
		require.Equal(t, test.shortened, text(bufs))
	}
}

func TestFarewellTimes(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	f := newFarewell(100*ms, 450*ms)
	require.Equal(t, 550*ms, f.deadline)
	require.Equal(t, 450*ms, f.limit)
	require.Equal(t, 550*ms, f.next())
	f.linger(100 * ms)
	for checks, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 228, 328, 428, 450, 450} {
		f.checks = checks
		require.Equal(t, 100*ms+want*ms, f.next(), "%d checks", checks)
	}
	for _, checks := range []int{0, 6, 7, 8} {
		f.checks, f.active = checks, false
		f.received()
		require.Equal(t, max(checks, 7), f.checks)
		require.True(t, f.active)
	}
	require.EqualValues(t, math.MaxInt64, newFarewell(1, math.MaxInt64).deadline)
	require.EqualValues(t, math.MaxInt64, newFarewell(0, math.MaxInt64).next())
	require.Equal(t, time.Duration(5), newFarewell(5, 0).deadline)

	// -1 is no descriptor: nothing is left to wait for.
	f = newFarewell(0, time.Second)
	f.linger(0)
	require.Equal(t, keepWaiting, f.check(-1, ms-1))
	require.Zero(t, f.checks)
	require.Equal(t, delivered, f.check(-1, ms))
	f.active = true
	require.Equal(t, keepWaiting, f.check(-1, ms))
	require.Equal(t, 1, f.checks)
	require.False(t, f.active)
	require.Equal(t, lingerOver, f.check(-1, time.Second))
}

// The engine halves what it receives at a time where a bulk connection takes too long, and
// doubles it where it takes little.
func TestAdapt(t *testing.T) {
	t.Parallel()
	e := &engine{srv: &Server{Chunk: 20 << 10}, most: 20 << 10}
	for _, step := range []struct {
		took time.Duration
		want int
	}{
		{longRead, 20 << 10}, {longRead + 1, 10 << 10}, {longRead + 1, 5 << 10}, {longRead + 1, firstRead}, {longRead + 1, firstRead},
		{shortRead, firstRead}, {shortRead - 1, 2 * firstRead}, {shortRead - 1, 4 * firstRead}, {shortRead - 1, 20 << 10},
	} {
		e.adapt(step.took)
		require.Equal(t, step.want, e.most)
	}
	e.srv.Chunk, e.most = 10, 10
	e.adapt(longRead + 1)
	require.Equal(t, 10, e.most)
}

func TestHeaderSizes(t *testing.T) {
	t.Parallel()
	v2 := func(size, have int) string {
		return "\r\n\r\n\x00\r\nQUIT\n\x21\x11" + string([]byte{byte(size >> 8), byte(size)}) + strings.Repeat("x", have)
	}
	for _, test := range []struct {
		p    string
		want int
		err  string
	}{
		{"", 0, ""}, {"P", 0, ""}, {"PROXY ", 0, ""}, {"PROXY x\n", 8, ""}, {"PROXY x\nmore\n", 8, ""},
		{"PROXY " + strings.Repeat("x", 100), 0, ""},
		{"PROXY " + strings.Repeat("x", 100) + "\n", 107, ""},
		{"PROXY " + strings.Repeat("x", 101), 0, "no end in 107 bytes"},
		{"PROXY " + strings.Repeat("x", 101) + "\n", 0, "no end in 107 bytes"},
		{v2(0, 0)[:15], 0, ""}, {v2(0, 0), 16, ""}, {v2(2, 1), 0, ""}, {v2(2, 2), 18, ""}, {v2(2, 9), 18, ""},
		{v2(longestV2, 0), 0, ""}, {v2(longestV2, longestV2), longestV2 + 16, ""}, {v2(longestV2+1, 0), 0, "it has 4113 bytes, and the most is 4112"},
		{"Q", 0, errNoHeader.Error()}, {"PROXX", 0, errNoHeader.Error()}, {"\r\nx", 0, errNoHeader.Error()},
	} {
		size, err := headerSize([]byte(test.p))
		require.Equal(t, test.want, size, "%.20q", test.p)
		if test.err == "" {
			require.NoError(t, err, "%.20q", test.p)
		} else {
			require.ErrorContains(t, err, test.err)
		}
	}
}

func TestProxyProtocolTrusts(t *testing.T) {
	t.Parallel()
	p, err := (&ProxyProtocol{From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/10")}, Direct: true}).checked()
	require.NoError(t, err)
	require.Equal(t, defaultHeaderTimeout, p.Timeout)
	for at, want := range map[string]bool{"192.0.2.9:1": true, "192.0.3.9:1": false, "[fe80::1%lo]:1": true, "[2001:db8::1]:1": false} {
		addr := socket.AddrFrom(netip.MustParseAddrPort(at))
		require.Equal(t, want, p.trusts(addr), at)
		require.Equal(t, want, p.greets(addr), at)
	}
	require.False(t, p.trusts(socket.UnixAddr("")))
	p, err = (&ProxyProtocol{Timeout: 1}).checked()
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Timeout)
	require.True(t, p.trusts(socket.UnixAddr("")))
	require.True(t, p.greets(socket.UnixAddr("")))
	p.From = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	require.True(t, p.greets(socket.UnixAddr("")), "it is refused")
	p, err = p.checked()
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Timeout)
	p, err = (*ProxyProtocol)(nil).checked()
	require.NoError(t, err)
	require.False(t, p.greets(socket.UnixAddr("")))
}

// The layout of inet_diag_msg, which sock_diag(7) gives.
func TestHandshakeOf(t *testing.T) {
	t.Parallel()
	m := make([]byte, diagMessage)
	for i := range m {
		m[i] = byte(i)
	}
	m[0] = unix.AF_INET6
	require.Equal(t, handshake{
		local:  netip.MustParseAddrPort("[809:a0b:c0d:e0f:1011:1213:1415:1617]:1029"),
		client: netip.MustParseAddrPort("[1819:1a1b:1c1d:1e1f:2021:2223:2425:2627]:1543"),
	}, handshakeOf(m))
}

// A control message of appendLocal is one of the kernel's own layout, which localOf reads.
func TestLocalAddressesInControlMessages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		local string
		six   bool
	}{{"192.0.2.1", false}, {"192.0.2.1", true}, {"2001:db8::1", true}} {
		b := appendLocal([]byte("12345678"), netip.MustParseAddr(test.local), test.six)
		require.Equal(t, "12345678", string(b[:8]))
		cmsgs, err := unix.ParseSocketControlMessage(b[8:])
		require.NoError(t, err)
		require.Len(t, cmsgs, 1)
		m := &socket.Message{Control: b[8:], ControlLen: len(b) - 8}
		asked, answer := localOf(m)
		if test.six {
			require.EqualValues(t, unix.IPPROTO_IPV6, cmsgs[0].Header.Level)
			require.Equal(t, test.local, asked.String())
			require.Equal(t, test.local, answer.String())
		} else {
			require.EqualValues(t, unix.IPPROTO_IP, cmsgs[0].Header.Level)
			require.Equal(t, "0.0.0.0", asked.String(), "the kernel alone sets the other field")
			require.Equal(t, test.local, answer.String())
		}
	}
	b := appendLocal(nil, netip.MustParseAddr("ff02::1"), true)
	asked, answer := localOf(&socket.Message{Control: b, ControlLen: len(b)})
	require.Equal(t, "ff02::1", asked.String())
	require.False(t, answer.IsValid(), "no answer leaves from a multicast address")
	asked, answer = localOf(&socket.Message{})
	require.False(t, asked.IsValid() || answer.IsValid())
}

// The pauses of a listener double up to a bound, and one series of failures is logged once.
func TestRestsGrow(t *testing.T) {
	var log bytes.Buffer
	l := listening(t, &Server{Loops: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	onLoopOf(t, l, func() {
		s := l.eng.srv
		for _, want := range []time.Duration{10, 20, 40, 80, 100, 100} {
			l.failures = 0
			require.False(t, l.failed(unix.EMFILE))
			require.True(t, l.scarce)
			require.True(t, l.resting)
			require.Equal(t, want*time.Millisecond, l.pause)
			require.EqualValues(t, 1, s.resting.Load())
			require.True(t, l.sleeps.Load())
		}
		require.EqualValues(t, 1, s.Stats().Pauses)
		l.pending = true
		require.False(t, l.failed(unix.EAGAIN), "there is nothing more to accept")
		require.False(t, l.pending)
		require.Zero(t, l.pause)
		require.Zero(t, s.resting.Load())
		require.False(t, l.sleeps.Load())
		l.works()
		require.Zero(t, s.resting.Load())
		for _, errno := range []error{unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
			require.False(t, l.failed(errnoOf(errno)))
			require.True(t, l.scarce)
		}
		l.works()
		l.resting = false
	})
	require.Equal(t, 2, strings.Count(log.String(), "accepting pauses"), log.String())
	require.Equal(t, 2, strings.Count(log.String(), "accepting goes on"), log.String())
}

// A listener that rests for lack of descriptors goes on when one is free, and only then.
func TestReadyWhileAListenerRests(t *testing.T) {
	l := listening(t, &Server{Loops: 1, Log: slog.New(slog.DiscardHandler)})
	onLoopOf(t, l, func() {
		for _, test := range []struct{ scarce, freed, rests bool }{{true, true, false}, {true, false, true}, {false, true, true}} {
			l.freed = l.eng.srv.freed.Load()
			l.resting, l.scarce = true, test.scarce
			if test.freed {
				l.eng.srv.freed.Add(1)
			}
			l.pending = false
			l.Ready(0)
			require.Equal(t, test.rests, l.resting, "%+v", test)
			require.False(t, l.pending)
			l.Ready(1)
			require.Equal(t, test.rests, l.pending, "a listener that does not rest finds nothing")
			l.Expire()
			require.False(t, l.resting || l.pending)
		}
	})
}

func TestServiceFits(t *testing.T) {
	t.Parallel()
	data := func(*Conn) error { return nil }
	handler, finish := func(*Session) error { return nil }, func(*Session, error) {}
	for _, test := range []struct {
		v     Service
		wrong string
	}{
		{Service{Handler: handler}, ""}, {Service{Handler: handler, Begin: handler, Finish: finish}, ""}, {Service{Events: Events{Data: data, Open: data}}, ""}, {Service{}, ""},
		{Service{Handler: handler, Events: Events{Data: data}}, "X.Handler and X.Events.Data are both set"},
		{Service{Handler: handler, Events: Events{Open: data}}, "X.Handler serves connections without"},
		{Service{Handler: handler, Events: Events{End: data}}, "X.Handler serves connections without"},
		{Service{Handler: handler, Events: Events{Pressure: func(*Conn, bool) {}}}, "X.Handler serves connections without"},
		{Service{Handler: handler, Events: Events{Closed: func(*Conn, error) {}}}, "X.Handler serves connections without"},
		{Service{Begin: handler}, "are for a X with Handler"}, {Service{Finish: finish}, "are for a X with Handler"},
	} {
		if err := test.v.check("X"); test.wrong == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, test.wrong)
		}
	}
	packet := func(*PacketConn, []byte, socket.Addr) {}
	for _, test := range []struct {
		v    Service
		typ  socket.Type
		fits bool
	}{
		{Service{}, socket.Stream, false}, {Service{}, socket.Dgram, false}, {Service{Handler: handler}, socket.Stream, true}, {Service{Handler: handler}, socket.Dgram, false},
		{Service{Events: Events{Data: data}}, socket.Stream, true}, {Service{Events: Events{Data: data}}, socket.Dgram, false}, {Service{Events: Events{Packet: packet}}, socket.Dgram, true}, {Service{Events: Events{Packet: packet}}, socket.Stream, false},
	} {
		require.Equal(t, test.fits, test.v.serves(test.typ) == nil)
	}
}

// A service has one engine for each loop, however often it is used.
func TestEnginesOfAService(t *testing.T) {
	srv := &Server{Loops: 2, Events: Events{Data: func(*Conn) error { return nil }}}
	defer srv.Close()
	require.NoError(t, srv.start())
	v := &Service{Events: srv.Events}
	first, err := srv.enginesFor(v)
	require.NoError(t, err)
	again, err := srv.enginesFor(v)
	require.NoError(t, err)
	require.Len(t, first, 2)
	require.Same(t, first[0], again[0])
	require.Len(t, srv.everyEngine(), 4)
	other, err := srv.enginesFor(&Service{Events: srv.Events})
	require.NoError(t, err)
	require.NotSame(t, first[0], other[0])
	own, err := srv.enginesFor(nil)
	require.NoError(t, err)
	require.Same(t, srv.engines[0], own[0])
}

// A name ends where its arguments begin, and they cannot be all of it.
func TestShortFrames(t *testing.T) {
	t.Parallel()
	for function, want := range map[string]string{"f(0x1)": "f", "(x)": "(x)", "a.(*T).M(0x1)": "a.(*T).M", "f": "f"} {
		require.Equal(t, want+" (f.go:1)", frames([]byte("goroutine 1 [running]:\n"+function+"\n\t/a/f.go:1 +0x1\n")))
	}
}

// A policy may choose a loop that is not in the group.
func TestEngineOn(t *testing.T) {
	t.Parallel()
	a, b, c := new(loop.Loop), new(loop.Loop), new(loop.Loop)
	engines := []*engine{{loop: a}, {loop: b}}
	require.Same(t, engines[0], engineOn(engines, a))
	require.Same(t, engines[1], engineOn(engines, b))
	require.Same(t, engines[0], engineOn(engines, c))
}

func TestStallsHaveABound(t *testing.T) {
	t.Parallel()
	s := &Server{}
	require.Nil(t, s.Stalls())
	require.Zero(t, s.longestStall())
	w := &watchdog{srv: s}
	s.watchdog = w
	for i := range mostStalls + 2 {
		w.stalled(Stall{Loop: i % 2, For: time.Duration(i)})
	}
	require.Len(t, s.Stalls(), mostStalls)
	require.Equal(t, Stall{Loop: 1, For: mostStalls + 1}, s.Stalls()[0])
	require.Equal(t, Stall{Loop: 0, For: 2}, s.Stalls()[mostStalls-1])
	require.EqualValues(t, mostStalls+1, s.longestStall())
	require.EqualValues(t, mostStalls+2, s.counters.stalls.Load())
	w.lasts(0, 100, true)
	require.Equal(t, Stall{Loop: 1, For: mostStalls + 1}, s.Stalls()[0])
	require.Equal(t, Stall{Loop: 0, For: 100, Over: true}, s.Stalls()[1])
	require.NotEqual(t, time.Duration(100), s.Stalls()[3].For, "the latest stall alone")
	require.EqualValues(t, 100, s.longestStall())
	w.lasts(1, 50, false)
	require.Equal(t, Stall{Loop: 1, For: 50}, s.Stalls()[0])
	require.EqualValues(t, 100, s.longestStall())
}

// What the program, the peer or the server ends in good order is not logged.
func TestEndsThatAreLogged(t *testing.T) {
	x := &Session{}
	a, b, err := socket.Pair(socket.Unix, socket.Stream, 0)
	require.NoError(t, err)
	defer a.Close()
	defer b.Close()
	x.Socket = *a.WithContext(t.Context())
	for _, test := range []struct {
		why  error
		want string
	}{
		{nil, ""}, {io.EOF, ""}, {net.ErrClosed, ""}, {ErrClosed, ""}, {unix.ECONNRESET, ""}, {unix.EPIPE, ""}, {loop.ErrClosed, ""}, {loop.ErrLoopClosed, ""}, {ErrMemoryFull, ""},
		{fmt.Errorf("wrapped: %w", io.EOF), ""},
		{&TimeoutError{"idle", 1}, "level=DEBUG msg=\"server: a connection was too slow\""},
		{os.ErrDeadlineExceeded, "level=DEBUG"},
		{errors.New("wrong"), "level=ERROR msg=\"server: a handler ended its connection\""},
		{io.ErrUnexpectedEOF, "level=ERROR"},
		{&net.OpError{Err: errors.New("no timeout")}, "level=ERROR"},
	} {
		var log bytes.Buffer
		(&Server{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}).logEnd(x, test.why)
		if test.want == "" {
			require.Empty(t, log.String(), "%v", test.why)
		} else {
			require.Contains(t, log.String(), test.want, "%v", test.why)
		}
	}
	secure := newSecured(&x.Socket, &tls.Config{}, tls.Server)
	x.secureBy(secure)
	var log bytes.Buffer
	s := &Server{Log: slog.New(slog.NewTextHandler(&log, nil))}
	s.logEnd(x, io.ErrUnexpectedEOF)
	require.Empty(t, log.String())
	s.logEnd(x, errors.New("wrong"))
	require.Contains(t, log.String(), "a TLS handshake has failed")
}
