package loop

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A sentinel names its package and unwraps to its errno.
func TestErrors(t *testing.T) {
	for err, errno := range map[error]error{ErrTimeout: unix.EAGAIN, ErrClosed: unix.EBADF, ErrLoopClosed: unix.EBADF, ErrInterrupted: unix.EINTR, ErrQueueFull: unix.ENOBUFS} {
		require.ErrorIs(t, err, errno)
		require.Regexp(t, "^loop: ", err.Error())
		require.Equal(t, err == ErrTimeout, errors.Is(err, os.ErrDeadlineExceeded))
	}
	require.NotErrorIs(t, ErrClosed, ErrLoopClosed)
	timeout, ok := ErrTimeout.(interface{ Timeout() bool })
	require.True(t, ok && timeout.Timeout())
}
