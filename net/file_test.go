package net_test

import (
	"net"
	"os"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	weirnet "github.com/seed-2334f180/weir/net"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// FileConn sets on a TCP connection the options that net sets, whoever has made the socket.
func TestFileConnHasTheOptionsOfNet(t *testing.T) {
	t.Parallel()
	for _, name := range []int{unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
		var got [2]int
		for i, fileConn := range []func(*os.File) (net.Conn, error){net.FileConn, weirnet.FileConn} {
			s, _ := weirtest.TCP(t)
			fd, err := unix.FcntlInt(uintptr(s.Registration().FD()), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
			f := os.NewFile(uintptr(fd), "")
			defer f.Close()
			c, err := fileConn(f)
			require.NoError(t, err)
			defer c.Close()
			got[i] = option(t, c, unix.IPPROTO_TCP, name)
		}
		require.Equal(t, got[0], got[1], "option %d", name)
	}
}
