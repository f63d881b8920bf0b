package weir_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// silent returns a TCP listener whose kernel does not answer until Accept, because its
// backlog is full. A client asks again after a second.
func silent(t *testing.T) *socket.Socket {
	s, err := socket.Config{Address: "127.0.0.1"}.New(socket.Inet, socket.Stream, 0)
	l := weirtest.Keep(t, s, err)
	require.NoError(t, l.Listen(0))
	require.NoError(t, weirtest.NewTCP(t).ConnectAddr(l.LocalAddr()))
	return l
}

// waitWritable waits until a socket is reported as writable: by Select, or by a Selector
// at which it was registered before it connected.
var waitWritable = map[string]func(t *testing.T, s *socket.Socket) (wait func()){
	"Select": func(t *testing.T, s *socket.Socket) func() {
		return func() {
			ready, err := weir.Select(nil, []*socket.Socket{s}, nil, time.Minute)
			require.NoError(t, err)
			require.Len(t, ready.Write, 1)
		}
	},
	"Selector": func(t *testing.T, s *socket.Socket) func() {
		selector := newSelector(t)
		require.NoError(t, selector.Register(s, weir.Writable, nil))
		return func() {
			ready, err := selector.Wait(context.Background(), time.Minute, nil)
			require.NoError(t, err)
			require.Len(t, ready, 1)
			require.Equal(t, weir.Writable, ready[0].Ready)
		}
	},
}

// ConnectStart does not wait. Select and Selector report the end of the connect, and
// ConnectFinish says what it was.
func TestConnectStart(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(t *testing.T, s, l *socket.Socket) // what ends the connect
		want error
	}{
		{"connected", func(t *testing.T, s, l *socket.Socket) {
			a, err := l.Accept()
			weirtest.Keep(t, a, err)
		}, nil},
		{"refused", func(t *testing.T, s, l *socket.Socket) { require.NoError(t, l.Close()) }, unix.ECONNREFUSED},
		{"timed out", func(t *testing.T, s, l *socket.Socket) {}, unix.ETIMEDOUT},
		{"shut down", func(t *testing.T, s, l *socket.Socket) { require.NoError(t, s.Shutdown(unix.SHUT_RDWR)) }, unix.ECONNRESET},
	} {
		for by, prepare := range waitWritable {
			t.Run(c.name+", "+by, func(t *testing.T) {
				t.Parallel() // the kernel takes a second
				l, s := silent(t), weirtest.NewTCP(t)
				if c.want == unix.ETIMEDOUT {
					require.NoError(t, s.Setsockopt(unix.IPPROTO_TCP, "TCP_USER_TIMEOUT", 100))
				}
				wait := prepare(t, s)
				to := l.LocalAddr()
				done, err := s.ConnectStart(to)
				require.NoError(t, err)
				require.False(t, done)
				ready, err := weir.Select(nil, []*socket.Socket{s}, nil, weir.NoWait)
				require.NoError(t, err)
				require.Empty(t, ready.Write)
				done, err = s.ConnectFinish()
				require.NoError(t, err)
				require.False(t, done, "it goes on connecting")

				c.act(t, s, l)
				wait()
				done, err = s.ConnectFinish()
				if c.want == nil {
					require.NoError(t, err)
					require.True(t, done)
					require.Equal(t, to, s.RemoteAddr())
				} else {
					require.ErrorIs(t, err, c.want)
					require.ErrorContains(t, err, "connect "+to.String())
					require.False(t, done)
				}
				_, err = s.ConnectFinish()
				require.ErrorIs(t, err, unix.EINVAL, "it has ended")
			})
		}
	}
}

// These connects end before ConnectStart returns, or immediately afterwards.
func TestConnectStartThatEndsAtOnce(t *testing.T) {
	l, refusing := weirtest.Listen(t), weirtest.NewTCP(t)
	require.NoError(t, unix.Bind(refusing.Fd(), &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name := fmt.Sprintf("@weir-start-%d", time.Now().UnixNano())
	u, err := socket.Config{Filename: name}.New(socket.Unix, socket.Stream, 0)
	weirtest.Keep(t, u, err)
	require.NoError(t, u.Listen(0))
	for _, c := range []struct {
		name   string
		family socket.Family
		typ    socket.Type
		to     socket.Addr
		want   error
	}{
		{"tcp", socket.Inet, socket.Stream, l.LocalAddr(), nil},
		{"udp", socket.Inet, socket.Dgram, l.LocalAddr(), nil},
		{"refused", socket.Inet, socket.Stream, refusing.LocalAddr(), unix.ECONNREFUSED},
		{"unix", socket.Unix, socket.Stream, u.LocalAddr(), nil},
		{"unix, full", socket.Unix, socket.Stream, u.LocalAddr(), unix.EAGAIN},
		{"another family", socket.Inet, socket.Stream, u.LocalAddr(), unix.EAFNOSUPPORT},
	} {
		t.Run(c.name, func(t *testing.T) {
			made, err := socket.New(c.family, c.typ, 0)
			s := weirtest.Keep(t, made, err)
			done, err := s.ConnectStart(c.to)
			if err == nil && !done {
				require.Equal(t, socket.Stream, c.typ)
				require.Equal(t, socket.Inet, c.family)
				_, err = weir.Select(nil, list{s}, nil, time.Minute)
				require.NoError(t, err)
				done, err = s.ConnectFinish()
			}
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
				require.False(t, done)
			} else {
				require.NoError(t, err)
				require.True(t, done)
				require.Equal(t, c.to, s.RemoteAddr())
			}
			_, err = s.ConnectFinish()
			require.ErrorIs(t, err, unix.EINVAL)
		})
	}
}

// Close ends a connect, and the Select that waits for it.
func TestCloseEndsAConnectStart(t *testing.T) {
	l, s := silent(t), weirtest.NewTCP(t)
	done, err := s.ConnectStart(l.LocalAddr())
	require.NoError(t, err)
	require.False(t, done)
	result := parked(t, s, func() (set, error) { return weir.Select(nil, list{s}, nil, weir.Forever) })
	require.NoError(t, s.Close())
	require.ErrorIs(t, weirtest.Take(t, result), unix.EBADF)
	_, err = s.ConnectFinish()
	require.ErrorIs(t, err, unix.EBADF)
	_, err = s.ConnectStart(l.LocalAddr())
	require.ErrorIs(t, err, unix.EBADF)
}
