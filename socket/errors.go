package socket

import (
	"cmp"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// An Error says why an operation on a socket failed. It always has an errno, so
// that errors.Is(err, unix.ECONNRESET) and the like work. Besides
//
//   - a timeout is EAGAIN (of Connect: EINPROGRESS, or EALREADY on a second
//     try), its Timeout method says true, and it is os.ErrDeadlineExceeded;
//   - a closed socket is EBADF and net.ErrClosed;
//   - an interrupted call is EINTR, and the context's cause if a context
//     ended it.
type Error struct {
	Op    string        // the operation: "recv", "connect" ...
	Addr  string        // the address or value concerned; may be empty
	Errno syscall.Errno // the kernel's error
	Err   error         // what the errno does not say; may be nil
}

// Error returns the operation, the address, and the reason.
func (e *Error) Error() string {
	s := e.Op
	if e.Addr != "" {
		s += " " + e.Addr
	}
	s += ": " + e.Errno.Error()
	if e.Err != nil {
		s += " (" + strings.TrimPrefix(e.Err.Error(), "loop: ") + ")"
	}
	return s
}

// Unwrap returns the errno and, if there is one, the error behind it.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Errno}
	}
	return []error{e.Errno, e.Err}
}

// Timeout reports whether the call's time was up.
func (e *Error) Timeout() bool { return e.Err == loop.ErrTimeout }

// Temporary reports whether the errno, or a timeout, may pass. It makes Error a
// net.Error.
func (e *Error) Temporary() bool { return e.Timeout() || e.Errno.Temporary() }

// Is matches the errors by which the standard library knows a timeout and a
// closed socket.
func (e *Error) Is(target error) bool {
	switch target {
	case os.ErrDeadlineExceeded:
		return e.Timeout()
	case net.ErrClosed:
		return errors.Is(e.Err, loop.ErrClosed) || errors.Is(e.Err, loop.ErrLoopClosed)
	}
	return false
}

var _ net.Error = (*Error)(nil)

// fail returns the error of an operation, from what a wait or a system call
// gave.
func fail(op, addr string, err error) error {
	if done, ok := err.(*Error); ok { // it has the reason, and lacks the operation
		named := *done
		named.Op, named.Addr = op, cmp.Or(addr, done.Addr)
		return &named
	}
	e := &Error{Op: op, Addr: addr}
	if ended, ok := err.(*loop.CancelError); ok {
		e.Errno, e.Err = unix.EINTR, ended.Cause
		return e
	}
	// The usual errors first: errors.As takes a microsecond, and for the stack of a new
	// goroutine, such as that in which net/http watches its client, it takes too much room.
	switch err {
	case loop.ErrTimeout:
		e.Errno, e.Err = unix.EAGAIN, err // it says more than its errno
		return e
	case loop.ErrInterrupted:
		e.Errno, e.Err = unix.EINTR, err
		return e
	case loop.ErrClosed, loop.ErrLoopClosed:
		e.Errno, e.Err = unix.EBADF, err
		return e
	}
	if errno, ok := err.(syscall.Errno); ok {
		e.Errno = errno
		return e
	}
	if !errors.As(err, &e.Errno) {
		e.Errno, e.Err = unix.EINTR, err
		return e
	}
	for _, known := range [...]error{loop.ErrTimeout, loop.ErrClosed, loop.ErrLoopClosed, loop.ErrInterrupted} {
		if errors.Is(err, known) {
			e.Err = err
		}
	}
	return e
}

// errnoOf returns the errno that a function of x/sys gave.
func errnoOf(err error) syscall.Errno {
	errno, _ := err.(syscall.Errno)
	return errno
}

// invalid returns the error of an argument that no system call would take.
func invalid(op, value string, errno syscall.Errno, why string) error {
	return &Error{Op: op, Addr: value, Errno: errno, Err: errors.New(why)}
}
