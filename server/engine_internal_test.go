package server

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The loop cannot serve an arrival: epoll refuses the descriptor, or the server has ended.
// The engine closes the descriptor and counts the connection out. Only what Dial does not
// return, and what is not the end of the server, is logged.
func TestArrivalThatCannotBeServed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		over, tell bool
		logged     bool
	}{{"refused", false, false, true}, {"refused to Dial", false, true, false}, {"over", true, false, false}, {"over for Dial", true, true, false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
			require.NoError(t, err)
			defer g.Close()
			var log bytes.Buffer
			srv := &Server{Group: g, Log: slog.New(slog.NewTextHandler(&log, nil)), Events: Events{Data: func(*Conn) error { return nil }}}
			require.NoError(t, srv.start())
			fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0) // epoll(7) refuses regular files
			require.NoError(t, err)
			require.True(t, srv.enter())
			told := make(chan error, 1)
			a := arrival{fd: fd}
			if test.tell {
				a.tell = func(c *Conn, err error) { require.Nil(t, c); told <- err }
			}
			e := srv.engines[0]
			var open error
			e.do(func() {
				e.over = test.over
				e.open(a)
				_, open = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			})
			require.Equal(t, unix.EBADF, open, "it is closed")
			require.Zero(t, srv.conns.Load())
			require.Equal(t, test.tell, len(told) == 1)
			require.NoError(t, srv.Close())
			require.Equal(t, test.logged, bytes.Contains(log.Bytes(), []byte("could not be served")), log.String())
		})
	}
}
