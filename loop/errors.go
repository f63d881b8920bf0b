package loop

import (
	"os"
	"syscall"
)

// The errors of calls and of the methods of a loop. Each unwraps to the errno that a
// system call would return, so that errors.Is(ErrClosed, unix.EBADF) is true.
// errors.Is also finds os.ErrDeadlineExceeded in ErrTimeout.
var (
	ErrTimeout     error = &sentinel{"the time is up", syscall.EAGAIN}
	ErrClosed      error = &sentinel{"the descriptor was closed", syscall.EBADF}
	ErrInterrupted error = &sentinel{"the call was interrupted", syscall.EINTR}
	ErrLoopClosed  error = &sentinel{"the event loop is closed", syscall.EBADF}
	ErrQueueFull   error = &sentinel{"the event loop's task queue is full", syscall.ENOBUFS}
)

// A sentinel is an error that programs compare with.
type sentinel struct {
	text  string
	errno syscall.Errno
}

// Error returns the text with the package's name before it.
func (e *sentinel) Error() string { return "loop: " + e.text }

// Unwrap returns the errno.
func (e *sentinel) Unwrap() error { return e.errno }

// Timeout reports whether the error is ErrTimeout. It is here for net.Error.
func (e *sentinel) Timeout() bool { return e == ErrTimeout }

// Is matches the standard library's error for a timeout.
func (e *sentinel) Is(target error) bool {
	return e == ErrTimeout && target == os.ErrDeadlineExceeded
}
