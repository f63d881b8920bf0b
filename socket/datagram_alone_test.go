package socket

import (
	"runtime"
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The only busy datagram socket of a loop waits without the loop, in each way to receive,
// and sees the end when its read side is shut.
func TestDatagramsAlone(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	}
	for name, receive := range map[string]func(s *Socket, b []byte) (int, error){
		"RecvFrom": func(s *Socket, b []byte) (int, error) { n, _, err := s.RecvFrom(b, 0); return n, err },
		"RecvMsg":  func(s *Socket, b []byte) (int, error) { return s.RecvMsg(&Message{Buffers: [][]byte{b}}, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { g.Close() })
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			t.Cleanup(func() { unix.Close(pair[1]) })
			s, err := Config{Group: g}.Adopt(pair[0])
			require.NoError(t, err)
			t.Cleanup(func() { s.Close() })
			b := make([]byte, 8)
			for range 100 {
				result := blocked(t, name, func() error { _, err := receive(s, b); return err })
				_, err := unix.Write(pair[1], []byte("x"))
				require.NoError(t, err)
				require.NoError(t, soon(t, result))
			}
			require.Greater(t, g.Loops()[0].Stats().Alone, uint64(50))
			result := blocked(t, name, func() error { _, err := receive(s, b); return err })
			require.NoError(t, s.Shutdown(unix.SHUT_RD))
			require.NoError(t, soon(t, result))
			_, err = receive(s, b) // no edge tells of the end
			require.NoError(t, err)
		})
	}
}
