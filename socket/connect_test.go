package socket

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// refusing returns an address with a port on which no socket listens. A socket
// is bound to it until the test ends, so that no other program gets the port.
func refusing(t *testing.T, host string) Addr {
	t.Helper()
	s, err := Config{Address: host}.New(Inet, Stream, 0)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s.LocalAddr()
}

func ips(t *testing.T, name string, hostIPs ...string) string {
	hosts.Store(name, func(context.Context) (found []netip.Addr) {
		for _, ip := range hostIPs {
			found = append(found, netip.MustParseAddr(ip))
		}
		return found
	})
	t.Cleanup(func() { hosts.Delete(name) })
	return name + "." // the resolver uses no search list
}

func TestConnectFails(t *testing.T) {
	refused := refusing(t, "127.0.0.1")
	port := strconv.Itoa(refused.Port())
	dir := t.TempDir()
	require.NoError(t, unix.Mknod(filepath.Join(dir, "file"), unix.S_IFREG|0o600, 0))
	gone := listening(t, Unix, 1)
	require.NoError(t, gone.Close())
	long := strings.Repeat("x", 108)
	for _, c := range []struct {
		name          string
		family        Family
		host, service string
		errno         unix.Errno
		says          string
	}{
		{"refused", Inet, "127.0.0.1", port, unix.ECONNREFUSED, "connect 127.0.0.1:" + port},
		{"refused by name", Inet, "localhost", port, unix.ECONNREFUSED, "connect localhost:" + port},
		{"refused by all addresses", Inet, ips(t, "all.test", "127.0.0.1", "127.0.0.2", "127.0.0.3"), port, unix.ECONNREFUSED, "all.test"},
		{"port 0", Inet, "127.0.0.1", "", unix.ECONNREFUSED, "connect 127.0.0.1"},
		{"unreachable", Inet, "224.0.0.1", "80", unix.ENETUNREACH, "224.0.0.1:80"},
		{"unreachable, broadcast", Inet, "255.255.255.255", "80", unix.ENETUNREACH, "255.255.255.255:80"},
		{"no such host", Inet, "nowhere.invalid.", "80", unix.EADDRNOTAVAIL, "no such host"},
		{"no such host, inet6", Inet6, "nowhere.invalid.", "80", unix.EADDRNOTAVAIL, "nowhere.invalid"},
		{"no address of the family", Inet6, ips(t, "four.test", "127.0.0.1"), "80", unix.EADDRNOTAVAIL, "four.test"},
		{"no host", Inet, "", "80", unix.EADDRNOTAVAIL, "no such host"},
		{"no such service", Inet, "127.0.0.1", "no-such-service", unix.EADDRNOTAVAIL, "no-such-service"},
		{"port out of range", Inet, "127.0.0.1", "65536", unix.EINVAL, "a port is 0 to 65535"},
		{"negative port", Inet, "127.0.0.1", "-1", unix.EINVAL, "a port is 0 to 65535"},
		{"port of many digits", Inet, "127.0.0.1", "99999999999999999999", unix.EINVAL, "99999999999999999999"},
		{"port with spaces", Inet, "127.0.0.1", " 80", unix.EADDRNOTAVAIL, "unknown port"},
		{"other family", Inet, "::1", "80", unix.EAFNOSUPPORT, "[::1]:80"},
		{"other family, inet6", Inet6, "127.0.0.1", "80", unix.EAFNOSUPPORT, "127.0.0.1:80"},
		{"no such interface", Inet6, "fe80::1%none9", "80", unix.ENODEV, "none9"},
		{"no such path", Unix, filepath.Join(dir, "nobody"), "", unix.ENOENT, "nobody"},
		{"no socket", Unix, filepath.Join(dir, "file"), "", unix.ECONNREFUSED, "file"},
		{"closed listener", Unix, "@weir-nobody", "ignored", unix.ECONNREFUSED, "connect @weir-nobody:"},
		{"no path", Unix, "", "", unix.EINVAL, "connect"},
		{"a NUL byte in a path", Unix, "/tmp/a\x00b", "", unix.EINVAL, "NUL"},
		{"path too long", Unix, long, "", unix.ENAMETOOLONG, "at most 107"},
		{"abstract name too long", Unix, "@" + long, "", unix.ENAMETOOLONG, "at most 108"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := unconnected(t, c.family)
			before := descriptors(t)
			for range 2 { // the second call does not get the error of the first
				err := s.Connect(c.host, c.service)
				require.Error(t, err)
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, c.errno, e.Errno, "%v", err)
				require.Equal(t, "connect", e.Op)
				require.ErrorContains(t, err, c.says)
				require.False(t, s.RemoteAddr().IsValid())
			}
			require.LessOrEqual(t, descriptors(t), before)
			if c.family != Inet6 {
				require.NoError(t, s.ConnectAddr(listening(t, c.family, 1).LocalAddr()), "it can be used again")
			}
		})
	}
}

func TestConnectByName(t *testing.T) {
	l := listening(t, Inet, 8)
	port := strconv.Itoa(l.LocalAddr().Port())
	for _, host := range []string{"127.0.0.1", "localhost", ips(t, "one.test", "127.0.0.1"), ips(t, "last.test", "127.0.0.2", "127.0.0.3", "127.0.0.1")} {
		t.Run(host, func(t *testing.T) {
			s := unconnected(t, Inet)
			require.NoError(t, s.SetSendTimeout(time.Minute))
			require.NoError(t, s.Connect(host, port))
			require.Equal(t, l.LocalAddr(), s.RemoteAddr(), "the one that answered")
			accepted, err := l.Accept()
			require.NoError(t, err)
			require.Equal(t, s.LocalAddr(), accepted.RemoteAddr())
			require.NoError(t, accepted.Close())
		})
	}
	t.Run("service", func(t *testing.T) {
		err := unconnected(t, Inet).Connect("127.77.77.77", "discard")
		require.True(t, isErrno(err, unix.ECONNREFUSED), "%v", err)
		require.ErrorContains(t, err, "connect 127.77.77.77:discard")
		for service, want := range map[string]uint16{"http": 80, "HTTP": 80, "https": 443, "0080": 80, "": 0} {
			got, err := lookupPort(context.Background(), Stream, service)
			require.NoError(t, err)
			require.Equal(t, want, got, service)
		}
	})
}

// connect(2) has finished the first connect. If SO_ERROR had finished it, the kernel
// would let the second connect finish it, and return 0.
func TestConnectTwice(t *testing.T) {
	for _, family := range []Family{Inet, Unix} {
		l := listening(t, family, 2)
		s := connectedTo(t, l)
		err := s.ConnectAddr(l.LocalAddr())
		require.True(t, isErrno(err, unix.EISCONN), "%v", err)
		require.True(t, s.RemoteAddr().IsValid())
		put(t, s, "it works on")
	}
}

// One send timeout bounds the look-up and all attempts together.
func TestConnectHasOneTimeout(t *testing.T) {
	l := fullListener(t, Inet, Config{Address: "127.0.0.2"})
	port := l.LocalAddr().Port()
	fullListener(t, Inet, Config{Address: "127.0.0.3", Port: port})
	machine.WithTime(t, 200*time.Millisecond, func(lookup time.Duration) bool {
		limit := lookup * 3 / 2
		hosts.Store("busy.test", func(ctx context.Context) []netip.Addr {
			select {
			case <-time.After(lookup):
			case <-ctx.Done():
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
		})
		s := unconnected(t, Inet)
		require.NoError(t, s.SetSendTimeout(limit))
		stalled := machine.Stalls(t)
		defer stalled()
		start := time.Now()
		err := s.Connect("busy.test.", fmt.Sprint(port))
		took := time.Since(start)
		if stalled() > lookup/4 {
			return false
		}
		blockedCall{late: unix.EINPROGRESS}.requireTimeout(t, err)
		require.GreaterOrEqual(t, took, limit)
		require.Less(t, took, lookup+limit, "the look-up's time counts")
		err = s.Connect("busy.test.", fmt.Sprint(port))
		blockedCall{late: unix.EALREADY}.requireTimeout(t, err)
		return true
	})
}

// Shutdown ends a connect as in the kernel, and another connect can follow. On a unix
// socket it does not end the connect.
func TestShutdownDuringConnect(t *testing.T) {
	for _, how := range []int{unix.SHUT_RD, unix.SHUT_WR, unix.SHUT_RDWR} {
		l := fullListener(t, Inet)
		s := unconnected(t, Inet)
		require.ErrorIs(t, s.Shutdown(how), unix.ENOTCONN)
		connecting := blocked(t, "ConnectAddr", func() error { return s.ConnectAddr(l.LocalAddr()) })
		require.ErrorIs(t, s.Shutdown(7), unix.EINVAL)
		require.NoError(t, s.Shutdown(how))
		err := soon(t, connecting)
		require.True(t, isErrno(err, unix.ECONNRESET), "%v", err)
		require.NoError(t, s.ConnectAddr(listening(t, Inet, 1).LocalAddr()))
	}
	l := fullListener(t, Unix)
	s := unconnected(t, Unix)
	connecting := blocked(t, "ConnectAddr", func() error { return s.ConnectAddr(l.LocalAddr()) })
	require.NoError(t, s.Shutdown(unix.SHUT_RD))
	for range 2 {
		accepted, err := l.Accept()
		require.NoError(t, err)
		defer accepted.Close()
	}
	require.NoError(t, soon(t, connecting))
	put(t, s, "x")
}

// An event wakes a connect just before Shutdown makes its system call. The connect waits
// for the result of that system call.
func TestConnectLooksTooEarlyForShutdown(t *testing.T) {
	l := fullListener(t, Inet)
	s := unconnected(t, Inet)
	connecting := blocked(t, "ConnectAddr", func() error { return s.ConnectAddr(l.LocalAddr()) })
	s.core.shutdowns.Add(1) // the first step of Shutdown
	for range 10 {
		s.core.reg.Doubt()
		parked(t, "ConnectAddr", 1)
		require.Empty(t, connecting)
	}
	require.NoError(t, s.Shutdown(unix.SHUT_WR))
	err := soon(t, connecting)
	require.True(t, isErrno(err, unix.ECONNRESET), "%v", err)
}

// If the connection is established just before Shutdown, the connect succeeds and
// Shutdown shuts the connection down. The results of the two calls agree in either order.
func TestShutdownJustAfterConnect(t *testing.T) {
	for range 100 {
		l := listening(t, Inet, 1)
		s := unconnected(t, Inet)
		connecting := make(chan error)
		go func() { connecting <- s.ConnectAddr(l.LocalAddr()) }()
		for s.Shutdown(unix.SHUT_WR) != nil {
		}
		if err := soon(t, connecting); err != nil {
			require.True(t, isErrno(err, unix.ECONNRESET), "%v", err)
			continue
		}
		accepted, err := l.Accept()
		require.NoError(t, err)
		_, err = accepted.ReadString()
		require.ErrorContains(t, err, "EOF")
		accepted.Close()
		s.Close()
	}
}

func TestUnixConnectWaitsForTheBacklog(t *testing.T) {
	for name, path := range map[string]string{"path": filepath.Join(t.TempDir(), "socket"), "abstract": fmt.Sprintf("@weir-backlog-%d", os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			l, err := Config{Filename: path}.New(Unix, Stream, 0)
			require.NoError(t, err)
			defer l.Close()
			require.NoError(t, l.Listen(0))
			first := unconnected(t, Unix)
			require.NoError(t, first.Connect(path, ""))
			require.Equal(t, path, first.RemoteAddr().String())

			s := unconnected(t, Unix)
			require.NoError(t, s.SetSendTimeout(30*time.Millisecond))
			start := time.Now()
			blockedCall{late: unix.EAGAIN}.requireTimeout(t, s.Connect(path, ""))
			require.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond)

			require.NoError(t, s.SetSendTimeout(time.Minute))
			connecting := blocked(t, "Connect", func() error { return s.Connect(path, "") })
			accepted, err := l.Accept()
			require.NoError(t, err)
			defer accepted.Close()
			require.NoError(t, soon(t, connecting))

			third := unconnected(t, Unix)
			connecting = blocked(t, "Connect", func() error { return third.Connect(path, "") })
			require.NoError(t, l.Close())
			err = soon(t, connecting)
			require.True(t, isErrno(err, unix.ECONNREFUSED), "%v", err)
		})
	}
}
