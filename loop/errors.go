package loop

import (
	"os"
	"syscall"
)

// The errors of calls, and of what a loop is asked to do. Except ErrQueueFull
// each unwraps to the errno that a system call would give: errors.Is(err,
// unix.EBADF). ErrTimeout is os.ErrDeadlineExceeded, too.
var (
	ErrTimeout     error = &sentinel{"the time is up", syscall.EAGAIN}
	ErrClosed      error = &sentinel{"the descriptor was closed", syscall.EBADF}
	ErrInterrupted error = &sentinel{"the call was interrupted", syscall.EINTR}
	ErrLoopClosed  error = &sentinel{"the event loop is closed", syscall.EBADF}
	ErrQueueFull   error = &sentinel{"the event loop's task queue is full", 0}
)

// A sentinel is an error that programs compare with.
type sentinel struct {
	text  string
	errno syscall.Errno // 0 for none
}

// Error returns the text with the package's name before it.
func (e *sentinel) Error() string { return "loop: " + e.text }

// Unwrap returns the errno, or nil.
func (e *sentinel) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// Timeout reports whether the error is ErrTimeout. It is here for net.Error.
func (e *sentinel) Timeout() bool { return e == ErrTimeout }

// Is matches the standard library's error for a timeout.
func (e *sentinel) Is(target error) bool {
	return e == ErrTimeout && target == os.ErrDeadlineExceeded
}
