package net

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
)

// netCause returns a socket's error in the form that net puts into a *net.OpError:
// net.ErrClosed, os.ErrDeadlineExceeded, or an *os.SyscallError. An error that net
// does not have, such as an interruption, stays a *socket.Error.
func netCause(err error) error {
	if u, ok := err.(*socket.UnsentError); ok {
		return &socket.UnsentError{Unsent: u.Unsent, Err: netCause(u.Err)}
	}
	e, ok := err.(*socket.Error)
	switch {
	case !ok:
		return err
	case e.Timeout():
		return os.ErrDeadlineExceeded
	case errors.Is(e, net.ErrClosed):
		return net.ErrClosed
	case e.Err == nil:
		return os.NewSyscallError(e.Op, e.Errno)
	}
	return e
}

// syscallError returns an errno as the error of the system call op, as net does. It
// returns every other error, and nil, unchanged.
func syscallError(op string, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		return os.NewSyscallError(op, errno)
	}
	return err
}

// opError returns err as a *net.OpError for the operation op.
func opError(op, network string, source, addr net.Addr, err error) error {
	return &net.OpError{Op: op, Net: network, Source: source, Addr: addr, Err: netCause(err)}
}

// optional returns an address as an interface. It returns nil for a nil pointer.
func optional[T any, P interface {
	*T
	net.Addr
}](a P) net.Addr {
	if a == nil {
		return nil
	}
	return a
}

// A dialEnded is the error of a dial that the context or the timeout has ended. Its text
// is the text of net.
type dialEnded struct {
	cause   error // the context's cause, which may be the program's own error
	timeout bool
}

func (e *dialEnded) Error() string {
	if e.timeout {
		return "i/o timeout"
	}
	return "operation was canceled"
}

func (e *dialEnded) Unwrap() error   { return e.cause }
func (e *dialEnded) Timeout() bool   { return e.timeout }
func (e *dialEnded) Temporary() bool { return e.timeout }

func (e *dialEnded) Is(target error) bool {
	if e.timeout {
		return target == os.ErrDeadlineExceeded || target == context.DeadlineExceeded
	}
	return target == context.Canceled
}
