package server

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Where sendfile(2) does not work, copy sends the same bytes.
func TestFileSpanCopies(t *testing.T) {
	path := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(path, []byte("0123456789"), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	span, err := newFileSpan(f, 2, 7)
	require.NoError(t, err)
	defer span.close(nil)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	peer := os.NewFile(uintptr(pair[1]), "peer")
	defer peer.Close()
	n, errno := span.copy(pair[0], 3)
	require.Zero(t, errno)
	require.Equal(t, 3, n)
	span.left -= int64(n)
	n, errno = span.copy(pair[0], 100)
	require.Zero(t, errno)
	require.Equal(t, 4, n)
	got := make([]byte, 7)
	_, err = io.ReadFull(peer, got)
	require.NoError(t, err)
	require.Equal(t, "2345678", string(got))

	// The file has become shorter, and then cannot be read.
	span.left, span.offset = 1, 10
	n, errno = span.copy(pair[0], 1)
	require.Zero(t, n)
	require.Zero(t, errno)
	unread := &fileSpan{fd: -1, left: 1}
	n, errno = unread.copy(pair[0], 1)
	require.Zero(t, n)
	require.Equal(t, unix.EBADF, errno)
}

// Bytes of a file that have left are progress for Timeouts.Write.
func TestFileMakesProgress(t *testing.T) {
	t.Parallel()
	f, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer f.Close()
	c, _ := attached(t, &Server{Loops: 1})
	span, err := newFileSpan(f, 0, 1000)
	require.NoError(t, err)
	var n int
	var left int64
	var before, moved time.Duration
	c.eng.do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		o := c.output()
		o.appendFile(span)
		before = c.eng.loop.Elapsed()
		o.moved = before - time.Hour
		n, err = c.pushFile(span, 10)
		left, moved = o.fileBytes, o.moved
	})
	require.NoError(t, err)
	require.Equal(t, 10, n)
	require.EqualValues(t, 990, left)
	require.GreaterOrEqual(t, moved, before)
}
