package weir_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	weir "github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
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
	ready, err = weir.Select([]weir.Selectable{f}, nil, nil, time.Minute)
	require.NoError(t, err)
	require.Equal(t, []weir.Selectable{f}, ready.Read)
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
}

func TestSelectOnTerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		machine.Missing(t, "there are no pseudo-terminals: %v", err)
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
	ready, err = weir.Select(list, nil, nil, time.Minute)
	require.NoError(t, err)
	require.Equal(t, list, ready.Read)
	require.NoError(t, <-typed)
	buf := make([]byte, 16)
	n, err = unix.Read(slave, buf)
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(buf[:n]))
}

// A signalfd reports signals that every thread blocks. They must be blocked when the
// program starts, so the test runs itself as a program.
func TestSelectOnSignalfd(t *testing.T) {
	const inChild = "WEIR_TEST_SIGNALFD"
	var blocked unix.Sigset_t
	blocked.Val[0] = 1 << (unix.SIGUSR1 - 1)
	if os.Getenv(inChild) == "" {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var before unix.Sigset_t
		require.NoError(t, unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before))
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), inChild+"=1")
		out, err := child.CombinedOutput()
		require.NoError(t, unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil))
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "--- PASS: "+t.Name())
		return
	}
	fd, err := unix.Signalfd(-1, &blocked, unix.SFD_NONBLOCK|unix.SFD_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(fd)
	f, err := weir.Watch(fd)
	require.NoError(t, err)
	defer f.Close()
	signal := func() { require.NoError(t, unix.Kill(os.Getpid(), unix.SIGUSR1)) }
	same := func(want string) {
		t.Helper()
		require.Equal(t, want, kernelPoll(t, fd).String())
		require.Equal(t, want, weirSelect(t, f).String())
	}
	same("")
	for range 3 {
		result := parked(t, f, func() (set, error) { return weir.Select(list{f}, nil, nil, weir.Forever) })
		signal()
		require.NoError(t, soon(t, result))
		same("r")
		var info [128]byte
		n, err := unix.Read(fd, info[:]) // Select does not know of this read
		require.NoError(t, err)
		require.Equal(t, len(info), n)
		require.EqualValues(t, unix.SIGUSR1, binary.NativeEndian.Uint32(info[:]))
		same("")
	}
}

func TestInterruptOfAFile(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	f, err := weir.Watch(int(r.Fd()))
	require.NoError(t, err)
	defer f.Close()
	result := parked(t, f, func() (set, error) { return weir.Select(list{f}, nil, nil, weir.Forever) })
	f.Interrupt()
	require.ErrorIs(t, soon(t, result), unix.EINTR)
}

// The collector closes the duplicate of a File that the program has forgotten. Then the
// other end of the pipe sees the end.
func TestForgottenFileIsClosed(t *testing.T) {
	var fds [2]int
	require.NoError(t, unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	defer unix.Close(fds[0])
	_, err := weir.Watch(fds[1])
	require.NoError(t, err)
	require.NoError(t, unix.Close(fds[1]))
	_, err = unix.Read(fds[0], make([]byte, 1))
	require.Equal(t, unix.EAGAIN, err, "the duplicate keeps the pipe open")
	require.Eventually(t, func() bool {
		runtime.GC()
		n, err := unix.Read(fds[0], make([]byte, 1))
		return n == 0 && err == nil
	}, time.Minute, time.Millisecond)
}
