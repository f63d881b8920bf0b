package socket

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The first try of a fast open connects, and what it has sent counts only if it connects.
func TestOpenTo(t *testing.T) {
	const sent = 5
	for name, c := range map[string]struct {
		errno unix.Errno
		to    func(*testing.T) Addr
		limit time.Duration
		total int
		want  error
	}{
		"sent, connected":    {0, func(t *testing.T) Addr { return listening(t, Inet, 8).LocalAddr() }, time.Minute, sent, nil},
		"begun, connected":   {unix.EINPROGRESS, func(t *testing.T) Addr { return listening(t, Inet, 8).LocalAddr() }, time.Minute, sent, nil},
		"full, connected":    {unix.EAGAIN, func(t *testing.T) Addr { return listening(t, Inet, 8).LocalAddr() }, time.Minute, sent, nil},
		"already, connected": {unix.EALREADY, func(t *testing.T) Addr { return listening(t, Inet, 8).LocalAddr() }, time.Minute, sent, nil},
		"begun, refused":     {unix.EINPROGRESS, func(t *testing.T) Addr { return refusing(t, "127.0.0.1") }, time.Minute, 0, unix.ECONNREFUSED},
		"sent, refused":      {0, func(t *testing.T) Addr { return refusing(t, "127.0.0.1") }, time.Minute, 0, unix.ECONNREFUSED},
		"begun, no answer":   {unix.EINPROGRESS, func(t *testing.T) Addr { return fullListener(t, Inet).LocalAddr() }, 20 * time.Millisecond, sent, unix.EINPROGRESS},
		"already, no answer": {unix.EALREADY, func(t *testing.T) Addr { return fullListener(t, Inet).LocalAddr() }, 20 * time.Millisecond, sent, unix.EALREADY},
		"fails":              {unix.EPIPE, func(t *testing.T) Addr { return listening(t, Inet, 8).LocalAddr() }, time.Minute, sent, unix.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			to := c.to(t)
			s := unconnected(t, Inet)
			call := loop.Call{Timeout: c.limit}
			_, err := s.core.reg.Begin(loop.Write, &call)
			require.NoError(t, err)
			defer s.core.reg.End(loop.Write, true)
			total, tries := sent, 0
			err = s.openTo(&call, to, &total, func(fd int, waited bool) (bool, unix.Errno) {
				tries++
				require.Equal(t, s.Fd(), fd)
				require.False(t, waited)
				return true, c.errno
			})
			require.Equal(t, 1, tries)
			require.Equal(t, c.total, total)
			if c.want == nil {
				require.NoError(t, err)
				require.Equal(t, to, s.RemoteAddr())
				return
			}
			require.ErrorIs(t, err, c.want)
			var late *Error
			require.Equal(t, c.limit < time.Second, errors.As(err, &late) && late.Timeout())
			require.False(t, s.RemoteAddr().IsValid())
		})
	}
}

// A send that opens connects, sends all, and says why if it cannot.
func TestSendThatOpens(t *testing.T) {
	l := listening(t, Inet, 8)
	for name, send := range map[string]func(*Socket, Addr) (int, error){
		"address": func(s *Socket, to Addr) (int, error) { return s.SendToAddr([]byte("hello"), to, unix.MSG_FASTOPEN) },
		"name": func(s *Socket, to Addr) (int, error) {
			return s.SendTo([]byte("hello"), "localhost", addressPort(to), unix.MSG_FASTOPEN)
		},
		"message": func(s *Socket, to Addr) (int, error) {
			return s.SendMsg(&Message{Addr: to, Buffers: [][]byte{[]byte("hel"), []byte("lo")}}, unix.MSG_FASTOPEN)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := unconnected(t, Inet)
			n, err := send(s, l.LocalAddr())
			if isErrno(err, unix.EOPNOTSUPP) {
				t.Skip("the sysctl net.ipv4.tcp_fastopen forbids it")
			}
			require.NoError(t, err)
			require.Equal(t, 5, n)
			require.Equal(t, l.LocalAddr(), s.RemoteAddr())
			peer, err := l.Accept()
			require.NoError(t, err)
			defer peer.Close()
			buf := make([]byte, 5)
			n, err = peer.Recv(buf, unix.MSG_WAITALL)
			require.NoError(t, err)
			require.Equal(t, "hello", string(buf[:n]))

			s = unconnected(t, Inet)
			n, err = send(s, refusing(t, "127.0.0.1"))
			require.ErrorIs(t, err, unix.ECONNREFUSED)
			require.Zero(t, n)
			s = unconnected(t, Inet)
			require.NoError(t, s.SetSendTimeout(20*time.Millisecond))
			n, err = send(s, fullListener(t, Inet).LocalAddr())
			requireLate(t, err)
			require.Zero(t, n)
		})
	}
}

func requireLate(t *testing.T, err error) {
	t.Helper()
	var late *Error
	require.True(t, errors.As(err, &late), "%v", err)
	require.True(t, late.Timeout(), "%v", err)
	require.Equal(t, unix.EINPROGRESS, late.Errno)
}

func addressPort(a Addr) string { return strconv.Itoa(int(a.Port())) }
