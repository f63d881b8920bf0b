package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An error of the loop has an errno and gives the reason without the loop's name. It
// differs from the same errno of the kernel.
func TestErrorOfTheLoop(t *testing.T) {
	for _, c := range []struct {
		err   error
		errno unix.Errno
		text  string
	}{
		{loop.ErrTimeout, unix.EAGAIN, "recv: resource temporarily unavailable (the time is up)"},
		{loop.ErrClosed, unix.EBADF, "recv: bad file descriptor (the descriptor was closed)"},
		{loop.ErrLoopClosed, unix.EBADF, "recv: bad file descriptor (the event loop is closed)"},
		{loop.ErrInterrupted, unix.EINTR, "recv: interrupted system call (the call was interrupted)"},
		{unix.EBADF, unix.EBADF, "recv: bad file descriptor"},
	} {
		err := fail("recv", "", c.err)
		require.EqualError(t, err, c.text)
		require.ErrorIs(t, err, c.errno)
		require.ErrorIs(t, err, c.err)
		require.Equal(t, c.err == loop.ErrTimeout, errors.Is(err, os.ErrDeadlineExceeded))
		require.Equal(t, c.err == loop.ErrClosed || c.err == loop.ErrLoopClosed, errors.Is(err, net.ErrClosed))
	}
}

// The error of an operation keeps what its errno does not say: that the loop has ended the
// call, however that was wrapped.
func TestFailKeepsTheReason(t *testing.T) {
	for _, c := range []struct {
		err   error
		errno unix.Errno
		keeps bool
	}{
		{fmt.Errorf("on purpose: %w", loop.ErrClosed), unix.EBADF, true},
		{fmt.Errorf("on purpose: %w", loop.ErrLoopClosed), unix.EBADF, true},
		{fmt.Errorf("on purpose: %w", unix.EPERM), unix.EPERM, false},
		{os.NewSyscallError("epoll_ctl", unix.EPERM), unix.EPERM, false},
		{unix.EPERM, unix.EPERM, false},
		{errors.New("on purpose"), unix.EINTR, true},
	} {
		e := fail("recv", "there", c.err).(*Error)
		require.Equal(t, c.errno, e.Errno, "%v", c.err)
		require.Equal(t, c.keeps, e.Err != nil, "%v", c.err)
		require.Equal(t, "recv there", e.Op+" "+e.Addr)
	}
}
