package socket

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// alone runs a test in a process of its own, and reports whether this process is that
// one.
func alone(t *testing.T) bool {
	t.Helper()
	const variable = "WEIR_TEST_ALONE"
	if os.Getenv(variable) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), variable+"="+t.Name())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS")
	return false
}

// limitFiles sets how many descriptors the process may have.
func limitFiles(t *testing.T, limit uint64) {
	t.Helper()
	var l syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l))
	l.Cur = limit
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l))
}

// A program that drops its sockets without a Close, and never runs the collector, does
// not run out of descriptors.
func TestForgottenSocketsMakeRoom(t *testing.T) {
	if !alone(t) {
		return
	}
	_, err := loop.Default()
	require.NoError(t, err)
	l := listening(t, Unix, 8)
	limitFiles(t, 64)
	for range 1000 {
		_, err := New(Inet, Stream, 0)
		require.NoError(t, err)
	}
	for range 500 {
		err := WithDescriptor(func() error {
			_, err := os.Open("/dev/null")
			return err
		})
		require.NoError(t, err)
	}
	refused := errors.New("refused")
	require.Equal(t, refused, WithDescriptor(func() error { return refused }))
	for range 500 {
		_, _, err := Pair(Unix, Stream, 0)
		require.NoError(t, err)
		func() { // keeps the client reachable long enough
			c, err := New(Unix, Stream, 0)
			require.NoError(t, err)
			require.NoError(t, c.ConnectAddr(l.LocalAddr()))
			_, err = l.Accept()
			require.NoError(t, err)
			require.NoError(t, c.Close())
		}()
	}
}

// If no socket is unreachable, calls that find no descriptor do not collect each time.
func TestFullServerDoesNotCollectAllTheTime(t *testing.T) {
	if !alone(t) {
		return
	}
	_, err := loop.Default()
	require.NoError(t, err)
	limitFiles(t, 64)
	var kept []*Socket
	for err == nil {
		var s *Socket
		if s, err = New(Inet, Stream, 0); err == nil {
			kept = append(kept, s)
		}
	}
	require.ErrorIs(t, err, unix.EMFILE)
	require.Equal(t, firstCollectPause, forgotten.pause)
	forgotten.until = time.Now().Add(time.Hour)
	before := forcedCollections()
	for range 100 {
		_, err := New(Inet, Stream, 0)
		require.ErrorIs(t, err, unix.EMFILE)
	}
	require.Equal(t, before, forcedCollections())

	forgotten.until = time.Time{}
	_, err = New(Inet, Stream, 0)
	require.ErrorIs(t, err, unix.EMFILE)
	require.Equal(t, 2*firstCollectPause, forgotten.pause, "it grows")
	require.Greater(t, forcedCollections(), before)

	require.NoError(t, kept[0].Close()) // a call that needs no collection does not pause
	_, err = New(Inet, Stream, 0)
	require.NoError(t, err)
	for _, s := range kept[1:] {
		require.NoError(t, s.Close())
	}
}

// forcedCollections returns the number of garbage collections that calls have forced.
func forcedCollections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

// A collection that helps ends the pauses: the call finds a descriptor, or sockets were
// closed that the program had forgotten. One that does not help doubles the pause.
func TestPauseAfterACollection(t *testing.T) {
	const before = 300 * time.Millisecond
	for name, c := range map[string]struct {
		call func(c *collector, n int) syscall.Errno
		want time.Duration
	}{
		"there is a descriptor": {func(_ *collector, n int) syscall.Errno {
			if n == 1 {
				return unix.EMFILE
			}
			return 0
		}, 0},
		"another took it": {func(c *collector, _ int) syscall.Errno {
			c.closed.Add(1)
			return unix.ENFILE
		}, 0},
		"nothing was forgotten": {func(*collector, int) syscall.Errno { return unix.EMFILE }, 2 * before},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, n := &collector{pause: before}, 0
			x.retry(func() syscall.Errno { n++; return c.call(x, n) })
			require.Equal(t, c.want, x.pause)
			require.Equal(t, c.want == 0, x.until.IsZero())
			require.Greater(t, n, 1)
		})
	}
}
