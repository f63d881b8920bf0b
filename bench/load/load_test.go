package load

import (
	"testing"
	"time"

	"github.com/seed-2334f180/weir/bench/benchtest"
	"github.com/seed-2334f180/weir/bench/child"
	"github.com/seed-2334f180/weir/bench/subjects"
	"github.com/seed-2334f180/weir/bench/subjects/wrong"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestMain lets the test's binary be a child, as the program's binary is.
func TestMain(m *testing.M) {
	wrong.Register()
	benchtest.Main(m, subjects.Roles, Roles)
}

// alone is a place for a server or a generator with one thread.
var alone = child.Place{Threads: 1}

func TestGeneratorNoticesARefusingServer(t *testing.T) {
	_, err := child.Ask[Result](benchtest.Context(t), alone, "echo-load", Order{
		Addr: "127.0.0.1:1", Conns: 1, Size: 1, Burst: 1, Window: time.Millisecond, Patience: time.Second,
	})
	require.ErrorContains(t, err, "connection 1 of 1: connect: connection refused")
}

func TestManyConnectionsHaveSeveralSources(t *testing.T) {
	for index, want := range map[int][4]byte{
		0:         {0, 0, 0, 0}, // the kernel chooses
		8191:      {0, 0, 0, 0},
		8192:      {127, 0, 0, 2},
		16384:     {127, 0, 0, 3},
		1<<20 - 1: {127, 0, 0, 128},
	} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, bindSource(fd, index))
		name, err := unix.Getsockname(fd)
		require.NoError(t, err)
		require.NoError(t, unix.Close(fd))
		require.Equal(t, want, name.(*unix.SockaddrInet4).Addr, index)
		require.Zero(t, name.(*unix.SockaddrInet4).Port, "the port is chosen when the destination is known: it may then be another one's, too")
	}
}

// No two messages that are compared with each other's answers are the same.
func TestStamps(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range []*exchange{newExchange(16, 1, false), newExchange(16, 4, true)} {
		clear(seen)
		for index := range 3 {
			for seq := range uint32(5) {
				x.stamp(index, seq)
				for at := 0; at < len(x.send); at += x.size {
					require.False(t, seen[string(x.send[at:at+x.size])])
					seen[string(x.send[at:at+x.size])] = true
				}
			}
		}
	}
	x := newExchange(16, 2, true)
	x.stamp(1, 1)
	require.NoError(t, x.check(0, x.want))
	require.EqualError(t, x.check(0, x.send), "byte 4 came back as 0x51, not 0x41")
	require.NoError(t, x.check(5, x.send[5:16]), "but for the kind, an answer is its request")
}

// A window that is too short for the answers that are out ends with one sent within it.
func TestShortWindowIsMadeLonger(t *testing.T) {
	server, addr, err := subjects.StartServer(benchtest.Context(t), alone, "echo-server", subjects.Order{Subject: "net", Size: 1 << 20})
	require.NoError(t, err)
	defer server.Stop() //nolint:errcheck // not what is tested
	got, err := child.Ask[Result](benchtest.Context(t), alone, "echo-load", Order{
		Addr: addr, ServerPID: server.Pid(), Conns: 4, Size: 1 << 20, Burst: 1,
		Window: 1, Patience: time.Minute,
	})
	require.NoError(t, err)
	require.Greater(t, got.Requests, int64(4))
	require.Positive(t, got.Elapsed) // the server's time may be 0: see cpuTime
}
