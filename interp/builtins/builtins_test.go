package builtins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { weirtest.Main(m) }

func TestMessage(t *testing.T) {
	closed := weirtest.NewTCP(t)
	require.NoError(t, closed.Close())
	_, useAfterClose := closed.Recv(make([]byte, 1), 0)
	short := weirtest.NewTCP(t)
	_, unknownHost := LookupHost(t.Context(), 0, "no such host")
	_, otherFamily := LookupHost(t.Context(), socket.Inet6, "127.0.0.1")
	_, unknownService := LookupPort(t.Context(), socket.Dgram, "no-such-service")
	_, ofGo := net.DefaultResolver.LookupPort(t.Context(), "tcp", "no-such-service")
	for _, c := range []struct {
		err   error
		text  string
		errno syscall.Errno
	}{
		{unix.ECONNREFUSED, "Connection refused", unix.ECONNREFUSED},
		{fmt.Errorf("around: %w", unix.EXDEV), "Invalid cross-device link", unix.EXDEV},
		{useAfterClose, "Bad file descriptor", unix.EBADF},
		{&os.PathError{Op: "open", Err: os.ErrClosed}, "Bad file descriptor", unix.EBADF},
		{short.Connect("127.0.0.1", "70000"), "Servname not supported for ai_socktype", 0},
		{short.Connect("no such host", "1"), "Name or service not known", 0},
		{unknownHost, "Name or service not known", 0},
		{otherFamily, "Address family for hostname not supported", 0},
		{unknownService, "Servname not supported for ai_socktype", 0},
		{ofGo, "Servname not supported for ai_socktype", 0},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, "Temporary failure in name resolution", 0},
		{&socket.Error{Op: "connect", Errno: unix.EINTR, Err: &net.DNSError{Err: "operation was canceled"}}, "Interrupted system call", unix.EINTR},
		{errors.New("a mistake of the program"), "", 0},
		{io.EOF, "", 0},
	} {
		require.Error(t, c.err)
		text, errno := Message(c.err)
		require.Equal(t, c.text, text, "%v", c.err)
		require.Equal(t, c.errno, errno, "%v", c.err)
	}
	require.Equal(t, "RFS specific error", Strerror(unix.EDOTDOT))
}

func TestLookup(t *testing.T) {
	texts := func(addrs []socket.Addr) (all []string) {
		for _, a := range addrs {
			all = append(all, a.String())
		}
		return all
	}
	for _, c := range []struct {
		family        socket.Family
		host, service string
		want          string // the addresses, or the error
	}{
		{0, "127.0.0.1", "80", "127.0.0.1:80"},
		{0, "127.1", "0", "127.0.0.1:0"},
		{0, "0x7f000001", "http", "127.0.0.1:80"},
		{socket.Inet6, "::1", "65535", "[::1]:65535"},
		{0, "*", "1", "0.0.0.0:1 [::]:1"},
		{socket.Inet, "*", "1", "0.0.0.0:1"},
		{socket.Inet, "::1", "1", "Address family for hostname not supported"},
		{0, "", "1", "Name or service not known"},
		{0, "127.0.0.1", "65536", "Servname not supported for ai_socktype"},
	} {
		addrs, err := Lookup(t.Context(), socket.Stream, c.family, c.host, c.service)
		got := strings.Join(texts(addrs), " ")
		if err != nil {
			got = err.Error()
		}
		require.Equal(t, c.want, got, "%q %q", c.host, c.service)
	}
	for _, host := range []string{"127.0.0.1.1", "0b1.1", "1_0.1", "256.0.0.1", "127.0x1000000", ""} {
		_, ok := ParseIP(host)
		require.False(t, ok, host)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := LookupHost(ctx, 0, "localhost.test")
	var failed LookupError
	require.ErrorAs(t, err, &failed)
}

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		n    float64
		unit time.Duration
		want time.Duration
		ok   bool
	}{
		{1.5, time.Second, 1500 * time.Millisecond, true},
		{0, time.Second, 0, true},
		{1e-300, time.Millisecond, 1, true},
		{1e300, time.Millisecond, math.MaxInt64, true},
		{math.Inf(1), time.Second, math.MaxInt64, true},
		{-1, time.Second, 0, false},
		{math.NaN(), time.Second, 0, false},
	} {
		d, ok := Duration(c.n, c.unit)
		require.Equal(t, c.want, d, "%v", c.n)
		require.Equal(t, c.ok, ok, "%v", c.n)
	}
}

// A Sets that was cleared holds no entry any more, and allocates nothing for the next
// call.
func TestSets(t *testing.T) {
	a, b := weirtest.Pair(t, socket.Stream)
	_, err := a.WriteString("x")
	require.NoError(t, err)
	var s Sets
	call := func() {
		s.Want.Read = append(s.Want.Read, a, b)
		s.Want.Write = append(s.Want.Write, a)
		n, err := s.Select(context.Background(), weir.Forever)
		if err != nil || n != 2 || s.Ready.Read[0] != weir.Selectable(b) || s.Ready.Write[0] != weir.Selectable(a) {
			t.Errorf("%d ready, %v", n, err)
		}
		s.Clear()
	}
	call()
	require.Empty(t, s.Want.Read)
	for _, list := range [][]weir.Selectable{s.Want.Read, s.Want.Write, s.Ready.Read, s.Ready.Write} {
		for _, entry := range list[:cap(list)] {
			require.Nil(t, entry)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	_, err = s.Select(ctx, weir.Forever)
	require.ErrorIs(t, err, unix.EINTR)
	require.ErrorContains(t, err, "Ctrl-C")
}

func TestOnSignal(t *testing.T) {
	got := make(chan os.Signal, 2)
	stop := OnSignal(func(s os.Signal) { got <- s }, unix.SIGUSR1)
	require.NoError(t, unix.Kill(unix.Getpid(), unix.SIGUSR1))
	require.Equal(t, os.Signal(unix.SIGUSR1), weirtest.Take(t, got))
	stop()
	OnSignal(func(s os.Signal) { got <- s }, unix.SIGUSR2)() // without a signal stop does not wait
	require.Empty(t, got)
}
