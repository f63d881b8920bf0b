package net_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
)

// A role says what a dial finds at an address.
type role int

const (
	accepts  role = iota // a listener with room
	refuses              // no socket that listens
	swallows             // a listener whose backlog is full, so the kernel does not answer
)

// hostsAt finds a port that is free at all hosts, plays each host's role at that port,
// and returns the port.
func hostsAt(t *testing.T, roles map[string]role) string {
	t.Helper()
	for range 100 {
		if port, ok := tryHosts(t, roles); ok {
			return port
		}
	}
	require.Fail(t, "no port is free on all hosts")
	return ""
}

func tryHosts(t *testing.T, roles map[string]role) (string, bool) {
	port := 0
	var opened []*socket.Socket
	for host, role := range roles {
		family := socket.Inet
		if strings.Contains(host, ":") {
			family = socket.Inet6
		}
		s, err := socket.Config{Address: host, Port: port}.New(family, socket.Stream, 0)
		if errors.Is(err, unix.EADDRINUSE) {
			for _, s := range opened {
				s.Close()
			}
			return "", false
		}
		weirtest.Keep(t, s, err)
		opened = append(opened, s)
		port = s.LocalAddr().Port()
		switch role { // a refusing host holds the port, and does not listen
		case accepts:
			require.NoError(t, s.Listen(128))
		case swallows:
			require.NoError(t, s.Listen(0))
			filler, err := socket.New(family, socket.Stream, 0)
			require.NoError(t, weirtest.Keep(t, filler, err).ConnectAddr(s.LocalAddr()))
		}
	}
	return fmt.Sprint(port), true
}

// openFDs returns how many descriptors the process has, those of the default group
// included.
func openFDs(t *testing.T) int {
	_, err := loop.Default()
	require.NoError(t, err)
	names, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(names)
}

// requireNoneLeft checks that everything that a dial has begun ends before the dial
// returns.
func requireNoneLeft(t *testing.T, fds, goroutines int) {
	t.Helper()
	require.LessOrEqual(t, openFDs(t), fds)
	// The resolver's own goroutines end a little later.
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		require.False(t, time.Now().After(end), "goroutines are left")
	}
}

// If the first address refuses, Dial tries the next one without a delay.
func TestDialGoesOnAtOnceAfterRefusal(t *testing.T) {
	localAddress(t, "tcp6")
	port := hostsAt(t, map[string]role{"::1": refuses, "127.0.0.1": accepts})
	d := weirnet.Dialer{
		FallbackDelay: time.Hour,
		Resolver:      zone{}.host("two.test", ips("127.0.0.1"), ips("::1")).resolver(t),
	}
	c, err := d.Dial("tcp", net.JoinHostPort("two.test.", port))
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, "127.0.0.1:"+port, c.RemoteAddr().String())
}

// An address that does not answer delays the next one by the head start. Dial gives it up
// when another address has answered.
func TestDialFallsBackFromSilence(t *testing.T) {
	for _, c := range []struct {
		silent    []string
		set, head time.Duration
	}{
		{[]string{"::1"}, 0, 250 * time.Millisecond},
		{[]string{"::1"}, 20 * time.Millisecond, 20 * time.Millisecond},
		{[]string{"127.0.0.2"}, 20 * time.Millisecond, 20 * time.Millisecond},
		{[]string{"::1", "127.0.0.2"}, 20 * time.Millisecond, 40 * time.Millisecond},
		{[]string{"127.0.0.2"}, 1, 10 * time.Millisecond}, // the shortest head start
	} {
		t.Run(fmt.Sprint(c.silent, c.set), func(t *testing.T) {
			roles := map[string]role{"127.0.0.3": accepts}
			var a, aaaa records
			for _, host := range c.silent {
				roles[host] = swallows
				if host == "::1" {
					localAddress(t, "tcp6")
					aaaa = ips(host)
				} else {
					a = ips(host)
				}
			}
			a.ips = append(a.ips, "127.0.0.3")
			port := hostsAt(t, roles)
			fds, goroutines := openFDs(t), runtime.NumGoroutine()
			d := weirnet.Dialer{FallbackDelay: c.set, Resolver: zone{}.host("slow.test", a, aaaa).resolver(t)}
			start := time.Now()
			conn, err := d.Dial("tcp", net.JoinHostPort("slow.test.", port))
			require.NoError(t, err)
			require.GreaterOrEqual(t, time.Since(start), c.head)
			require.Less(t, time.Since(start), c.head+5*time.Second)
			require.Equal(t, "127.0.0.3:"+port, conn.RemoteAddr().String())
			conn.Close()
			requireNoneLeft(t, fds, goroutines)
		})
	}
}

// Without a race an address has at least two seconds, unless less time is left.
func TestDialInTurn(t *testing.T) {
	port := hostsAt(t, map[string]role{"127.0.0.2": swallows, "127.0.0.3": accepts})
	var tried []string
	d := weirnet.Dialer{
		FallbackDelay: -1, Timeout: 400 * time.Millisecond,
		Resolver: zone{}.host("slow.test", ips("127.0.0.2", "127.0.0.3"), ips()).resolver(t),
		Control:  func(_, address string, _ syscall.RawConn) error { tried = append(tried, address); return nil },
	}
	_, err := d.Dial("tcp", net.JoinHostPort("slow.test.", port))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, []string{"127.0.0.2:" + port}, tried)
	require.ErrorContains(t, err, "127.0.0.2:"+port)
}

// The families take turns, an IPv6 address first, and the error is the first one's.
func TestDialInterleavesFamilies(t *testing.T) {
	var mu sync.Mutex
	var tried []string
	why := errors.New("not today")
	d := weirnet.Dialer{
		Resolver: zone{}.host("many.test", ips("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"), ips("2001:db8::1", "2001:db8::2")).resolver(t),
		Control: func(network, address string, _ syscall.RawConn) error {
			mu.Lock()
			defer mu.Unlock()
			tried = append(tried, network+" "+address)
			return why
		},
	}
	for network, want := range map[string][]string{
		"tcp": {
			"tcp6 [2001:db8::1]:80", "tcp4 192.0.2.1:80", "tcp6 [2001:db8::2]:80",
			"tcp4 192.0.2.2:80", "tcp4 192.0.2.3:80", "tcp4 192.0.2.4:80",
		},
		"tcp4": {"tcp4 192.0.2.1:80", "tcp4 192.0.2.2:80", "tcp4 192.0.2.3:80", "tcp4 192.0.2.4:80"},
		"tcp6": {"tcp6 [2001:db8::1]:80", "tcp6 [2001:db8::2]:80"},
	} {
		// On a busy machine the addresses of one family may arrive too late to take
		// turns. So the test tries again.
		require.Eventually(t, func() bool {
			tried = nil
			_, err := d.Dial(network, "many.test.:80")
			require.ErrorIs(t, err, why)
			var op *net.OpError
			require.ErrorAs(t, err, &op)
			require.Equal(t, tried[0], controlName(op.Addr))
			require.ElementsMatch(t, want, tried)
			return slices.Equal(want, tried)
		}, 20*time.Second, time.Millisecond)
	}
}

func controlName(a net.Addr) string {
	if a.(*net.TCPAddr).IP.To4() != nil {
		return "tcp4 " + a.String()
	}
	return "tcp6 " + a.String()
}

// IPv4 addresses wait a moment for IPv6 ones, and no longer.
func TestDialDoesNotWaitForSlowFamily(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	for _, slow := range []string{"a", "aaaa"} {
		t.Run(slow, func(t *testing.T) {
			localAddress(t, "tcp6")
			port := hostsAt(t, map[string]role{"::1": accepts, "127.0.0.1": accepts})
			a, aaaa, want := ips("127.0.0.1"), ips("::1"), "127.0.0.1:"+port
			wait := 50 * time.Millisecond
			if aaaa.gate = never; slow == "a" {
				a.gate, aaaa.gate, want, wait = never, nil, "[::1]:"+port, 0
			}
			fds, goroutines := openFDs(t), runtime.NumGoroutine()
			d := weirnet.Dialer{Resolver: zone{}.host("slow.test", a, aaaa).resolver(t)}
			start := time.Now()
			c, err := d.Dial("tcp", net.JoinHostPort("slow.test.", port))
			require.NoError(t, err)
			require.GreaterOrEqual(t, time.Since(start), wait)
			require.Less(t, time.Since(start), 4*time.Second, "before the resolver gives up")
			require.Equal(t, want, c.RemoteAddr().String())
			c.Close()
			requireNoneLeft(t, fds, goroutines)
		})
	}
}

// bothLate returns a host whose IPv6 address comes some time after its IPv4 address, and
// within the 50 ms for which the IPv4 address waits.
func bothLate(t *testing.T) *net.Resolver {
	gate := make(chan struct{})
	a, aaaa := ips("127.0.0.1"), ips("::1")
	aaaa.gate = gate
	a.told = func() { time.AfterFunc(20*time.Millisecond, func() { close(gate) }) }
	return zone{}.host("both.test", a, aaaa).resolver(t)
}

// often repeats a test that a busy machine may spoil.
func often(t *testing.T, try func() bool) {
	t.Helper()
	for range 4 {
		if try() {
			return
		}
	}
	require.Fail(t, "it does not come about")
}

// Dial tries the IPv6 addresses first if they arrive soon after the IPv4 addresses.
func TestDialPrefersIPv6(t *testing.T) {
	localAddress(t, "tcp6")
	port := hostsAt(t, map[string]role{"::1": accepts, "127.0.0.1": accepts})
	often(t, func() bool {
		d := weirnet.Dialer{Resolver: bothLate(t)}
		c, err := d.Dial("tcp", net.JoinHostPort("both.test.", port))
		require.NoError(t, err)
		defer c.Close()
		return c.RemoteAddr().String() == "[::1]:"+port
	})
}

// Without a race, the end of the wait for IPv6 addresses does not start another attempt.
func TestDialInTurnAfterLateAddresses(t *testing.T) {
	localAddress(t, "tcp6")
	port := hostsAt(t, map[string]role{"::1": swallows, "127.0.0.1": accepts})
	often(t, func() bool {
		d := weirnet.Dialer{Resolver: bothLate(t), FallbackDelay: -1, Timeout: 300 * time.Millisecond}
		c, err := d.Dial("tcp", net.JoinHostPort("both.test.", port))
		if err == nil {
			c.Close()
		}
		return errors.Is(err, os.ErrDeadlineExceeded)
	})
}

// When an attempt fails, the next one starts at once, even if an earlier attempt still
// runs.
func TestDialGoesOnAtOnceDuringAnAttempt(t *testing.T) {
	const head = 150 * time.Millisecond
	port := hostsAt(t, map[string]role{"127.0.0.2": swallows, "127.0.0.3": refuses, "127.0.0.4": accepts})
	d := weirnet.Dialer{
		FallbackDelay: head,
		Resolver:      zone{}.host("some.test", ips("127.0.0.2", "127.0.0.3", "127.0.0.4"), ips()).resolver(t),
	}
	often(t, func() bool {
		start := time.Now()
		c, err := d.Dial("tcp", net.JoinHostPort("some.test.", port))
		took := time.Since(start)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.GreaterOrEqual(t, took, head)
		return took < 2*head
	})
}

func TestDialAllRefuse(t *testing.T) {
	port := hostsAt(t, map[string]role{"127.0.0.2": refuses, "127.0.0.3": refuses})
	d := weirnet.Dialer{Resolver: zone{}.host("none.test", ips("127.0.0.2", "127.0.0.3"), ips()).resolver(t)}
	fds, goroutines := openFDs(t), runtime.NumGoroutine()
	_, err := d.Dial("tcp", net.JoinHostPort("none.test.", port))
	require.ErrorIs(t, err, unix.ECONNREFUSED)
	require.Equal(t, fmt.Sprintf("dial tcp 127.0.0.2:%s: connect: connection refused", port), err.Error())
	require.False(t, err.(net.Error).Timeout())
	requireNoneLeft(t, fds, goroutines)
}

// A dial ends by its timeout and by its context: while it looks up a name, while it waits
// for one address, and while it waits for several.
func TestDialEnds(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	mute := records{gate: never}
	port := hostsAt(t, map[string]role{"127.0.0.2": swallows, "127.0.0.3": swallows})
	resolver := zone{}.host("mute.test", mute, mute).host("slow.test", ips("127.0.0.2", "127.0.0.3"), ips()).resolver(t)
	full := pathSocket(t, t.TempDir()+"/s")
	require.NoError(t, full.Listen(0))
	filler, err := socket.New(socket.Unix, socket.Stream, 0)
	require.NoError(t, weirtest.Keep(t, filler, err).ConnectAddr(full.LocalAddr()))
	const limit = 60 * time.Millisecond
	mine := errors.New("my own reason")

	for name, to := range map[string][2]string{
		"look-up": {"tcp", "mute.test.:" + port}, "look-up udp": {"udp", "mute.test.:" + port},
		"one": {"tcp", "127.0.0.2:" + port}, "several": {"tcp", "slow.test.:" + port},
		"unix": {"unix", full.LocalAddr().String()},
	} {
		for how, dial := range map[string]func(d weirnet.Dialer) error{
			"timeout": func(d weirnet.Dialer) error {
				d.Timeout = limit
				_, err := d.Dial(to[0], to[1])
				return err
			},
			"deadline": func(d weirnet.Dialer) error {
				d.Deadline, d.Timeout = time.Now().Add(limit), time.Hour
				_, err := d.Dial(to[0], to[1])
				return err
			},
			"context's deadline": func(d weirnet.Dialer) error {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				_, err := d.DialContext(ctx, to[0], to[1])
				return err
			},
			"context's deadline with a cause": func(d weirnet.Dialer) error {
				ctx, cancel := context.WithTimeoutCause(t.Context(), limit, mine)
				defer cancel()
				_, err := d.DialContext(ctx, to[0], to[1])
				if !strings.HasPrefix(name, "look-up") {
					require.ErrorIs(t, err, mine)
				}
				return err
			},
			"context": func(d weirnet.Dialer) error {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(limit, func() { cancel(mine) })
				_, err := d.DialContext(ctx, to[0], to[1])
				return err
			},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				fds, goroutines := openFDs(t), runtime.NumGoroutine()
				start := time.Now()
				err := dial(weirnet.Dialer{Resolver: resolver, FallbackDelay: 10 * time.Millisecond})
				require.Error(t, err)
				require.GreaterOrEqual(t, time.Since(start), limit)
				require.Less(t, time.Since(start), 4*time.Second)
				var op *net.OpError
				require.ErrorAs(t, err, &op)
				require.Equal(t, how != "context", op.Timeout(), "%v", err)
				if !strings.HasPrefix(name, "look-up") { // a look-up returns the resolver's error
					if how == "context" {
						require.ErrorIs(t, err, context.Canceled)
						require.ErrorIs(t, err, mine)
						require.ErrorContains(t, err, "operation was canceled")
					} else {
						require.ErrorIs(t, err, os.ErrDeadlineExceeded)
						require.ErrorIs(t, err, context.DeadlineExceeded)
						require.ErrorContains(t, err, "i/o timeout")
					}
				}
				if name == "several" {
					require.ErrorContains(t, err, "127.0.0.2:"+port)
				}
				requireNoneLeft(t, fds, goroutines)
			})
		}
	}
}

// listenAtOnePort listens at two hosts, at a port that is free at both.
func listenAtOnePort(t *testing.T, host1, host2 string) (l1, l2 net.Listener) {
	t.Helper()
	for {
		l1, err := weirnet.Listen("tcp", host1+":0")
		require.NoError(t, err)
		t.Cleanup(func() { l1.Close() })
		l2, err := weirnet.Listen("tcp", fmt.Sprint(host2, ":", l1.Addr().(*net.TCPAddr).Port))
		if err == nil {
			t.Cleanup(func() { l2.Close() })
			return l1, l2
		}
		require.ErrorIs(t, err, unix.EADDRINUSE)
	}
}

// If several attempts connect at the same moment, Dial closes all but one.
func TestDialClosesTheLosers(t *testing.T) {
	l1, l2 := listenAtOnePort(t, "127.0.0.2", "127.0.0.3")
	port := fmt.Sprint(l1.Addr().(*net.TCPAddr).Port)
	var accepted atomic.Int64
	var ended sync.WaitGroup
	for _, l := range []net.Listener{l1, l2} {
		ended.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted.Add(1)
				ended.Go(func() { io.Copy(io.Discard, c); c.Close() })
			}
		})
	}
	group, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer group.Close()
	resolver := zone{}.host("both.test", ips("127.0.0.2", "127.0.0.3"), ips()).resolver(t)
	const dials = 40
	for range dials {
		d := weirnet.Dialer{
			FallbackDelay: 10 * time.Millisecond, Resolver: resolver, Group: group,
			Control: func(_, address string, _ syscall.RawConn) error {
				if strings.HasPrefix(address, "127.0.0.2:") {
					time.Sleep(10 * time.Millisecond) // as long as the head start
				}
				return nil
			},
		}
		c, err := d.Dial("tcp", net.JoinHostPort("both.test.", port))
		require.NoError(t, err)
		require.Equal(t, 1, group.Loops()[0].Registered())
		require.NoError(t, c.Close())
	}
	l1.Close()
	l2.Close()
	ended.Wait() // each connection of the server has ended
	require.GreaterOrEqual(t, accepted.Load(), int64(dials))
	t.Logf("%d connections for %d dials", accepted.Load(), dials)
}

func TestDialUnknownName(t *testing.T) {
	resolver := zone{}.resolver(t)
	for _, network := range []string{"tcp", "tcp4", "udp"} {
		_, want := (&net.Dialer{Resolver: resolver}).Dial(network, "nowhere.test.:80")
		_, got := (&weirnet.Dialer{Resolver: resolver}).Dial(network, "nowhere.test.:80")
		require.Equal(t, describe(want), describe(got))
		var dns *net.DNSError
		require.ErrorAs(t, got, &dns)
		require.True(t, dns.IsNotFound)
	}
	// The name has addresses of the other family only.
	resolver = zone{}.host("four.test", ips("127.0.0.1"), ips()).resolver(t)
	_, err := (&weirnet.Dialer{Resolver: resolver}).Dial("tcp6", "four.test.:80")
	require.ErrorContains(t, err, "four.test")
}

func TestDialFromLocalAddress(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		var from net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
		to := ""
		if network == "udp" {
			from = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}
			p, err := weirnet.ListenPacket("udp", "127.0.0.1:0")
			require.NoError(t, err)
			defer p.Close()
			to = p.LocalAddr().String()
		} else {
			l, err := weirnet.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			to = l.Addr().String()
		}
		d := weirnet.Dialer{LocalAddr: from}
		c, err := d.Dial(network, to)
		require.NoError(t, err)
		host, _, err := net.SplitHostPort(c.LocalAddr().String())
		require.NoError(t, err)
		require.Equal(t, "127.0.0.2", host)
		require.NoError(t, c.Close())
	}
	for _, c := range []struct {
		from        net.Addr
		network, to string
	}{
		{&net.UDPAddr{}, "tcp", "127.0.0.1:80"},
		{&net.UnixAddr{Name: "/x", Net: "unix"}, "tcp", "127.0.0.1:80"},
		{&net.TCPAddr{}, "unix", "/no/such/path"},
	} {
		_, err := (&weirnet.Dialer{LocalAddr: c.from}).Dial(c.network, c.to)
		require.ErrorContains(t, err, "mismatched local address type")
	}
	_, err := (&weirnet.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}).Dial("tcp", "[::1]:80")
	require.ErrorContains(t, err, "no suitable address found")
}

func TestDialUnixFromAPath(t *testing.T) {
	dir := t.TempDir()
	server, err := weirnet.ListenPacket("unixgram", dir+"/server")
	require.NoError(t, err)
	defer server.Close()
	d := weirnet.Dialer{LocalAddr: &net.UnixAddr{Name: dir + "/client", Net: "unixgram"}}
	c, err := d.Dial("unixgram", dir+"/server")
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	n, from, err := server.ReadFrom(make([]byte, 8))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, &net.UnixAddr{Name: dir + "/client", Net: "unixgram"}, from)
}

// An empty host and the unspecified address mean the local system.
func TestDialLocalSystem(t *testing.T) {
	l, err := weirnet.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	for _, host := range []string{"", "0.0.0.0", "::"} {
		c, err := weirnet.Dial("tcp", net.JoinHostPort(host, port))
		require.NoError(t, err)
		require.Equal(t, l.Addr(), c.RemoteAddr())
		c.Close()
	}
	if nettest.SupportsIPv6() {
		_, err = weirnet.Dial("tcp6", net.JoinHostPort("", port))
		require.ErrorIs(t, err, unix.ECONNREFUSED)
		require.ErrorContains(t, err, "dial tcp6 :"+port)
	}
}

// TCP connects a socket with itself if it is given the port that it dials.
func TestDialNeverConnectsWithItself(t *testing.T) {
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		to := l.Addr().(*net.TCPAddr).AddrPort()
		require.NoError(t, l.Close()) // the port is free again
		attempts := 0
		d := weirnet.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
			attempts++
			c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, int(to.Port())<<16|int(to.Port()))
			})
			return err
		}}
		fds := openFDs(t)
		_, err = d.Dial("tcp", to.String())
		if errors.Is(err, unix.ENOPROTOOPT) {
			machine.Missing(t, "the kernel has no IP_LOCAL_PORT_RANGE")
		}
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			continue // the kernel gave the port to another program
		}
		require.ErrorIs(t, err, unix.ECONNREFUSED)
		require.Greater(t, attempts, 1)
		require.LessOrEqual(t, openFDs(t), fds)
		return
	}
	t.Fatal("no port stays free")
}

func TestDialOnAGroup(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer g.Close()
	l, err := (&weirnet.ListenConfig{Group: g, Backlog: 5}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := weirnet.Dialer{Group: g}
	c, err := d.DialSocket(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	s, err := l.Accept()
	require.NoError(t, err)
	require.Equal(t, 3, g.Loops()[0].Registered())
	_, err = c.WriteLine("hello")
	require.NoError(t, err)
	require.NoError(t, errors.Join(c.Close(), s.Close(), l.Close()))
	require.Zero(t, g.Loops()[0].Registered())
}

// Control functions get the arguments that net's get, before the bind.
func TestControlIsThatOfNet(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	path := t.TempDir()
	type callback = func(network, address string, c syscall.RawConn) error
	for i, call := range []func(face string, control callback) error{
		func(face string, f callback) error {
			d := &net.Dialer{Control: f}
			if face == "weir" {
				c, err := (&weirnet.Dialer{Control: f}).Dial("tcp", l.Addr().String())
				return closed(c, err)
			}
			c, err := d.Dial("tcp", l.Addr().String())
			return closed(c, err)
		},
		func(face string, f callback) error {
			if face == "weir" {
				c, err := (&weirnet.ListenConfig{Control: f}).Listen(t.Context(), "tcp", "127.0.0.1:0")
				return closed(c, err)
			}
			c, err := (&net.ListenConfig{Control: f}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			return closed(c, err)
		},
		func(face string, f callback) error {
			if face == "weir" {
				c, err := (&weirnet.ListenConfig{Control: f}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
				return closed(c, err)
			}
			c, err := (&net.ListenConfig{Control: f}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
			return closed(c, err)
		},
		func(face string, f callback) error {
			if face == "weir" {
				c, err := (&weirnet.ListenConfig{Control: f}).Listen(t.Context(), "unix", path+"/s")
				return closed(c, err)
			}
			c, err := (&net.ListenConfig{Control: f}).Listen(t.Context(), "unix", path+"/s")
			return closed(c, err)
		},
	} {
		var told [2]string
		for j, face := range []string{"net", "weir"} {
			require.NoError(t, call(face, func(network, address string, c syscall.RawConn) error {
				told[j] = network + " " + address
				if face == "weir" { // a weir Dial waits for nothing here
					require.Error(t, c.Read(func(uintptr) bool { return false }))
					require.Error(t, c.Write(func(uintptr) bool { return false }))
				}
				return c.Control(func(fd uintptr) { require.Positive(t, int(fd)) })
			}))
			why := errors.New("not today")
			err := call(face, func(string, string, syscall.RawConn) error { return why })
			require.ErrorIs(t, err, why)
		}
		require.Equal(t, told[0], told[1], "%d", i)
	}
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	d := weirnet.Dialer{
		Timeout: time.Minute,
		Control: func(string, string, syscall.RawConn) error { return errors.New("the other one goes before") },
		ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
			require.Equal(t, "mine", ctx.Value(key{}))
			return nil
		},
	}
	c, err := d.DialContext(ctx, "tcp", l.Addr().String())
	require.NoError(t, closed(c, err))
}

func closed(c io.Closer, err error) error {
	if err != nil {
		return err
	}
	return c.Close()
}

func TestNilContextIsAnError(t *testing.T) {
	var none context.Context
	_, err := new(weirnet.Dialer).DialContext(none, "tcp", "127.0.0.1:80")
	require.ErrorContains(t, err, "nil context")
	_, err = new(weirnet.ListenConfig).Listen(none, "tcp", "127.0.0.1:0")
	require.ErrorContains(t, err, "nil context")
	_, err = new(weirnet.ListenConfig).ListenPacket(none, "udp", "127.0.0.1:0")
	require.ErrorContains(t, err, "nil context")
}

// If the context is done before the dial begins, the error says that the operation was
// canceled.
func TestDialWithContextThatIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := weirnet.Dialer{Resolver: zone{}.host("one.test", ips("127.0.0.1"), ips()).resolver(t)}
	for _, to := range [][2]string{{"tcp", "one.test.:80"}, {"tcp", "127.0.0.1:80"}, {"udp", "127.0.0.1:80"}, {"unix", "/no/such/path"}} {
		_, err := d.DialContext(ctx, to[0], to[1])
		require.ErrorContains(t, err, "operation was canceled")
		require.False(t, err.(net.Error).Timeout())
	}
}

// At whatever moment its time ends, a dial returns a connection or an error, and leaves
// no other socket.
func TestDialEndsAtAnyMoment(t *testing.T) {
	port := hostsAt(t, map[string]role{"127.0.0.2": refuses, "127.0.0.3": accepts})
	group, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	defer group.Close()
	resolver := zone{}.host("two.test", ips("127.0.0.2", "127.0.0.3"), ips()).resolver(t)
	for i := range time.Duration(100) { // the listener's backlog holds 100 connections
		d := weirnet.Dialer{Resolver: resolver, Group: group, Timeout: 1 + i*20*time.Microsecond}
		c, err := d.Dial("tcp", net.JoinHostPort("two.test.", port))
		if err == nil {
			require.NoError(t, c.Close())
		} else {
			require.True(t, err.(net.Error).Timeout() || errors.Is(err, unix.ECONNREFUSED), "%v", err)
		}
		require.Zero(t, group.Loops()[0].Registered())
	}
}
