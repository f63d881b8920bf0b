package net_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/loop"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
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
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		require.False(t, time.Now().After(end), "goroutines are left")
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
	for begin := time.Now(); time.Since(begin) < weirtest.Patience; {
		if try() {
			return
		}
	}
	require.Fail(t, "it does not come about")
}

func controlName(a net.Addr) string {
	if a.(*net.TCPAddr).IP.To4() != nil {
		return "tcp4 " + a.String()
	}
	return "tcp6 " + a.String()
}
