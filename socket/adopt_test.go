package socket

import (
	"os"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAdopt(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	require.NoError(t, err)
	defer unix.Close(fds[1])
	require.NoError(t, unix.SetsockoptTimeval(fds[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 40000}))
	s, err := Adopt(fds[0])
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, fds[0], s.Fd())
	require.Equal(t, []any{Unix, SeqPacket}, []any{s.Family(), s.Type()})
	require.InDelta(t, 40*time.Millisecond, s.RecvTimeout(), float64(10*time.Millisecond)) // the kernel counts in jiffies
	require.Zero(t, s.SendTimeout())
	status, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0)
	require.NoError(t, err)
	require.NotZero(t, status&unix.O_NONBLOCK)
	flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC)

	begin := time.Now()
	_, err = s.Recv(make([]byte, 1), 0)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.GreaterOrEqual(t, time.Since(begin), s.RecvTimeout())
	_, err = unix.Write(fds[1], []byte("x"))
	require.NoError(t, err)
	n, err := s.Recv(make([]byte, 2), 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestAdoptBinds(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	require.NoError(t, err)
	s, err := Config{Address: "127.0.0.1"}.Adopt(fd)
	require.NoError(t, err)
	defer s.Close()
	require.NotZero(t, s.LocalAddr().Port())
}

func TestAdoptRefuses(t *testing.T) {
	var p [2]int
	require.NoError(t, unix.Pipe(p[:]))
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	_, err := Adopt(p[0])
	require.ErrorIs(t, err, unix.ENOTSOCK)
	_, err = Adopt(-1)
	require.ErrorIs(t, err, unix.EBADF)

	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	_, err = Config{Filename: "/nowhere/at/all"}.Adopt(fd)
	require.ErrorIs(t, err, unix.ENOENT)
	status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	require.NoError(t, err) // still open and unchanged
	require.Zero(t, status&unix.O_NONBLOCK)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.Zero(t, flags&unix.FD_CLOEXEC)
}

// Adopt and Resume take the sizes of a Config, as New does.
func TestAdoptTakesSizes(t *testing.T) {
	for name, adopt := range map[string]func(fd int) (*Socket, error){
		"adopt":  func(fd int) (*Socket, error) { return Config{MaxLine: 3}.Adopt(fd) },
		"resume": func(fd int) (*Socket, error) { return Config{MaxLine: 3}.Resume(fd, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			defer unix.Close(fds[1])
			s, err := adopt(fds[0])
			require.NoError(t, err)
			defer s.Close()
			_, err = unix.Write(fds[1], []byte("long\n"))
			require.NoError(t, err)
			_, err = s.ReadLine()
			require.ErrorIs(t, err, unix.EMSGSIZE)
		})
	}
}

// If New cannot make the socket, it removes the path that it has made.
func TestNewThatFailsLeavesNoPath(t *testing.T) {
	g, err := loop.NewGroup(1, loop.RoundRobin(), loop.Options{})
	require.NoError(t, err)
	require.NoError(t, g.Close())
	dir := t.TempDir()
	for _, bind := range []Config{{Filename: dir + "/s", Group: g}, {Bind: UnixAddr(dir + "/s"), Group: g}} {
		_, err = bind.New(Unix, Stream, 0)
		require.ErrorIs(t, err, loop.ErrLoopClosed)
		require.NoFileExists(t, dir+"/s")
	}
	_, err = Config{Filename: "@" + dir, Group: g}.New(Unix, Stream, 0) // an abstract name has no path
	require.ErrorIs(t, err, loop.ErrLoopClosed)

	require.NoError(t, os.WriteFile(dir+"/s", nil, 0o600))
	_, err = Config{Filename: dir + "/s"}.New(Unix, Stream, 0)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	require.FileExists(t, dir+"/s", "New did not make this file")
}
