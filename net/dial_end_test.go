package net_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
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
	"golang.org/x/sys/unix"
)

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
	mine := errors.New("my own reason")

	for name, to := range map[string][2]string{
		"look-up": {"tcp", "mute.test.:" + port}, "look-up udp": {"udp", "mute.test.:" + port},
		"one": {"tcp", "127.0.0.2:" + port}, "several": {"tcp", "slow.test.:" + port},
		"unix": {"unix", full.LocalAddr().String()},
	} {
		for how, dial := range map[string]func(d weirnet.Dialer, limit time.Duration) error{
			"timeout": func(d weirnet.Dialer, limit time.Duration) error {
				d.Timeout = limit
				_, err := d.Dial(to[0], to[1])
				return err
			},
			"deadline": func(d weirnet.Dialer, limit time.Duration) error {
				d.Deadline, d.Timeout = time.Now().Add(limit), time.Hour
				_, err := d.Dial(to[0], to[1])
				return err
			},
			"context's deadline": func(d weirnet.Dialer, limit time.Duration) error {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				_, err := d.DialContext(ctx, to[0], to[1])
				return err
			},
			"context's deadline with a cause": func(d weirnet.Dialer, limit time.Duration) error {
				ctx, cancel := context.WithTimeoutCause(t.Context(), limit, mine)
				defer cancel()
				_, err := d.DialContext(ctx, to[0], to[1])
				if lookUp := (*net.DNSError)(nil); !errors.As(err, &lookUp) {
					require.ErrorIs(t, err, mine)
				}
				return err
			},
			"context": func(d weirnet.Dialer, limit time.Duration) error {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(limit, func() { cancel(mine) })
				_, err := d.DialContext(ctx, to[0], to[1])
				return err
			},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				machine.WithTime(t, 60*time.Millisecond, func(limit time.Duration) bool {
					fds, goroutines := openFDs(t), runtime.NumGoroutine()
					start := time.Now()
					err := dial(weirnet.Dialer{Resolver: resolver, FallbackDelay: 10 * time.Millisecond}, limit)
					var lookUp *net.DNSError
					if name == "several" && errors.As(err, &lookUp) {
						return false // the time ended during the look-up
					}
					require.Error(t, err)
					require.GreaterOrEqual(t, time.Since(start), limit)
					require.Less(t, time.Since(start), 9*time.Second)
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
					return true
				})
			})
		}
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

// A Listen needs no context, as in net.
func TestNilContext(t *testing.T) {
	var none context.Context
	_, err := new(weirnet.Dialer).DialContext(none, "tcp", "127.0.0.1:80")
	require.ErrorContains(t, err, "nil context")
	l, err := new(weirnet.ListenConfig).Listen(none, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	c, err := new(weirnet.ListenConfig).ListenPacket(none, "udp", "localhost:0")
	require.NoError(t, err)
	c.Close()
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
