package weir_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	weir "github.com/seed-2334f180/weir"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSelectOnTimerfd(t *testing.T) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(fd)
	f, err := weir.Watch(fd)
	require.NoError(t, err)
	defer f.Close()
	ready, err := weir.Select([]weir.Selectable{f}, nil, nil, 0)
	require.NoError(t, err)
	require.Empty(t, ready.Read)

	start := time.Now()
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(20 * time.Millisecond))}
	require.NoError(t, unix.TimerfdSettime(fd, 0, &spec, nil))
	ready, err = weir.Select([]weir.Selectable{f}, nil, nil, 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, []weir.Selectable{f}, ready.Read)
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
}

func TestSelectOnTerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	defer master.Close()
	fd := int(master.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err := unix.Open("/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(slave)
	tty, err := weir.Watch(slave)
	require.NoError(t, err)
	defer tty.Close()

	list := []weir.Selectable{tty}
	ready, err := weir.Select(list, list, nil, 0)
	require.NoError(t, err)
	require.Empty(t, ready.Read, "nothing is typed yet")
	require.Equal(t, list, ready.Write)

	typed := make(chan error, 1)
	go func() { _, err := master.Write([]byte("hello\n")); typed <- err }()
	ready, err = weir.Select(list, nil, nil, 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, list, ready.Read)
	require.NoError(t, <-typed)
	buf := make([]byte, 16)
	n, err = unix.Read(slave, buf)
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(buf[:n]))
}
