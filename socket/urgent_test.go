package socket_test

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// urgentPair returns the two ends of a TCP connection: a Socket, and one of Go's net.
func urgentPair(t *testing.T) (*socket.Socket, *net.TCPConn) {
	t.Helper()
	l := weirtest.Listen(t)
	c, err := net.Dial("tcp", l.LocalAddr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(weirtest.Patience)))
	s, err := l.Accept()
	return weirtest.Keep(t, s, err), c.(*net.TCPConn)
}

// urge sends a byte as TCP urgent data.
func urge(t *testing.T, c *net.TCPConn, b byte) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	var failed error
	require.NoError(t, raw.Write(func(fd uintptr) bool {
		failed = unix.Sendto(int(fd), []byte{b}, unix.MSG_OOB, nil)
		return failed != unix.EAGAIN
	}))
	require.NoError(t, failed)
}

// A relay by splice(2) passes on all bytes in front of urgent bytes and behind them, at
// random places, and also in the last segments.
func TestSpliceStepsOverUrgentData(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		from, client := urgentPair(t)
		to, server := urgentPair(t)
		relayed := make(chan error, 1)
		go func() {
			_, err := to.ReadFrom(from)
			if err == nil {
				err = to.Shutdown(unix.SHUT_WR)
			}
			relayed <- err
		}()
		sent, got := sha256.New(), sha256.New()
		for round := range 5 {
			// One urgent byte at a time: a second one makes the first one ordinary data, if
			// the receiver has not passed it.
			before, behind := make([]byte, random.IntN(5000)), make([]byte, 1+random.IntN(200_000))
			for i := range before {
				before[i] = byte(random.Uint32())
			}
			for i := range behind {
				behind[i] = byte(random.Uint32())
			}
			if random.IntN(4) == 0 {
				behind = behind[:1]
			}
			for _, p := range [][]byte{before, behind} {
				sent.Write(p)
			}
			go func() {
				client.Write(before)
				urge(t, client, '!')
				client.Write(behind)
				if round == 4 {
					client.CloseWrite()
				}
			}()
			_, err := io.CopyN(got, server, int64(len(before)+len(behind)))
			require.NoError(t, err, "seed %d, round %d", seed, round)
		}
		n, err := io.Copy(got, server)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, sent.Sum(nil), got.Sum(nil))
		require.NoError(t, weirtest.Take(t, relayed))
	}
}

// All of it, the urgent byte and the end, is there before the relay begins.
func TestSpliceStepsOverUrgentDataBeforeTheEnd(t *testing.T) {
	for _, behind := range []string{"", "behind"} {
		from, client := urgentPair(t)
		to, server := urgentPair(t)
		_, err := client.Write([]byte("before"))
		require.NoError(t, err)
		urge(t, client, '!')
		_, err = client.Write([]byte(behind))
		require.NoError(t, err)
		require.NoError(t, client.CloseWrite())
		for { // until the end has arrived
			info := tcpState(t, from)
			if info == 8 { // TCP_CLOSE_WAIT
				break
			}
		}
		n, err := to.ReadFrom(from)
		require.NoError(t, err)
		require.EqualValues(t, len("before"+behind), n)
		require.NoError(t, to.Close())
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Equal(t, "before"+behind, string(got))
	}
}

func tcpState(t *testing.T, s *socket.Socket) uint8 {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(s.Fd(), unix.IPPROTO_TCP, unix.TCP_INFO)
	require.NoError(t, err)
	return info.State
}
