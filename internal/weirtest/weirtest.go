// Package weirtest holds what the tests of several packages share: sockets that
// close at a test's end, waits with a bound, and the check for leaks.
package weirtest

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
)

// Patience is how long a test waits for something that must happen.
const Patience = time.Minute

// Main runs a package's tests and exits. It closes the default group of loops,
// and fails when a goroutine is left.
func Main(m *testing.M) { machine.Main(tests{m}) }

type tests struct{ *testing.M }

func (t tests) Run() int {
	code := t.M.Run()
	if g, err := loop.Default(); err == nil {
		g.Close()
	}
	return code
}

// Keep requires that err is nil, and closes s at the end of the test.
func Keep(t testing.TB, s *socket.Socket, err error) *socket.Socket {
	t.Helper()
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// Pair returns two unix sockets that are connected to each other.
func Pair(t testing.TB, typ socket.Type) (a, b *socket.Socket) {
	t.Helper()
	a, b, err := socket.Pair(socket.Unix, typ, 0)
	require.NoError(t, err)
	return Keep(t, a, nil), Keep(t, b, nil)
}

// NewTCP returns a TCP socket of IPv4, unbound.
func NewTCP(t testing.TB) *socket.Socket {
	t.Helper()
	s, err := socket.New(socket.Inet, socket.Stream, 0)
	return Keep(t, s, err)
}

// Listen returns a TCP socket that listens on a free port of 127.0.0.1.
func Listen(t testing.TB) *socket.Socket {
	t.Helper()
	s, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	l := Keep(t, s, err)
	require.NoError(t, l.Listen(16))
	return l
}

// TCP returns the two ends of a connection over 127.0.0.1.
func TCP(t testing.TB) (a, b *socket.Socket) {
	t.Helper()
	l := Listen(t)
	a = NewTCP(t)
	require.NoError(t, a.ConnectAddr(l.LocalAddr()))
	b, err := l.Accept()
	return a, Keep(t, b, err)
}

// Take returns the next value of ch, and fails the test when none comes.
func Take[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(Patience):
		require.FailNow(t, "no value comes")
		panic("unreachable")
	}
}

// Eventually waits until f returns true. what says in a failure what f waits for.
func Eventually(t testing.TB, f func() bool, what string) {
	t.Helper()
	require.Eventually(t, f, Patience, time.Millisecond, what)
}
