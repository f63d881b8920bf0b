package net_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

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
			require.Less(t, time.Since(start), c.head+30*time.Second)
			require.Equal(t, "127.0.0.3:"+port, conn.RemoteAddr().String())
			conn.Close()
			requireNoneLeft(t, fds, goroutines)
		})
	}
}

// Without a race an address has at least two seconds, unless less time is left.
func TestDialInTurn(t *testing.T) {
	port := hostsAt(t, map[string]role{"127.0.0.2": swallows, "127.0.0.3": accepts})
	machine.WithTime(t, 400*time.Millisecond, func(limit time.Duration) bool {
		var tried []string
		d := weirnet.Dialer{
			FallbackDelay: -1, Timeout: min(limit, 2*time.Second),
			Resolver: zone{}.host("slow.test", ips("127.0.0.2", "127.0.0.3"), ips()).resolver(t),
			Control:  func(_, address string, _ syscall.RawConn) error { tried = append(tried, address); return nil },
		}
		_, err := d.Dial("tcp", net.JoinHostPort("slow.test.", port))
		if len(tried) == 0 && err != nil {
			return false // the time ended during the look-up
		}
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, []string{"127.0.0.2:" + port}, tried)
		require.ErrorContains(t, err, "127.0.0.2:"+port)
		return true
	})
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
		}, time.Minute, time.Millisecond)
	}
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
			require.Less(t, time.Since(start), 9*time.Second, "before the resolver gives up")
			require.Equal(t, want, c.RemoteAddr().String())
			c.Close()
			requireNoneLeft(t, fds, goroutines)
		})
	}
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
