package socket

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A Shutdown that fails has not happened: a connect in progress goes on as if there had
// been none.
func TestShutdownThatFailsIsForgotten(t *testing.T) {
	s := unconnected(t, Inet)
	require.ErrorIs(t, s.Shutdown(unix.SHUT_RDWR), unix.ENOTCONN)
	require.ErrorIs(t, s.Shutdown(7), unix.EINVAL)
	require.Zero(t, s.core.shutdowns.Load())
	a, _ := tcpPair(t)
	require.NoError(t, a.Shutdown(unix.SHUT_WR))
	require.NotZero(t, a.core.shutdowns.Load())
}

// A Write that has sent a part when the connection is reset says so: after the first
// error, send(2) says EPIPE, and the kernel keeps the reason.
func TestWriteNamesWhatBrokeTheConnection(t *testing.T) {
	for name, write := range map[string]func(*Socket, []byte) (int, error){
		"Write": (*Socket).Write, "Fwrite": (*Socket).Fwrite,
	} {
		t.Run(name, func(t *testing.T) {
			a, peer := tcpPair(t)
			sent := 0
			writing := blocked(t, name, func() (err error) {
				sent, err = write(a, make([]byte, 64<<20))
				return err
			})
			require.NoError(t, unix.SetsockoptLinger(peer.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
			require.NoError(t, peer.Close())
			require.ErrorIs(t, soon(t, writing), unix.ECONNRESET)
			require.Positive(t, sent)
		})
	}
}
