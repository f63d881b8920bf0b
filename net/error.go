package net

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/seed-2334f180/weir/socket"
)

// netCause is why a call on a socket failed, as it stands in a *net.OpError of
// package net: net.ErrClosed, os.ErrDeadlineExceeded, or an *os.SyscallError.
// What net has no error for, such as an interruption, stays a *socket.Error.
func netCause(err error) error {
	if u, ok := err.(*socket.UnsentError); ok {
		return &socket.UnsentError{Unsent: u.Unsent, Err: netCause(u.Err)}
	}
	e, ok := err.(*socket.Error)
	switch {
	case !ok:
		return err
	case errors.Is(e, net.ErrClosed):
		return net.ErrClosed
	case e.Timeout():
		return os.ErrDeadlineExceeded
	case e.Err == nil:
		return os.NewSyscallError(e.Op, e.Errno)
	}
	return e
}

// A dialEnded is the cause of a dial whose time was up, or that its context
// ended, in net's words.
type dialEnded struct {
	cause   error // the context's, which may be the program's own
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

// dialErrors are why each of several addresses failed, in the order of trying;
// a look-up has none. The first one's is named by the *net.OpError around.
type dialErrors struct {
	addrs  []net.Addr
	causes []error
}

func (e *dialErrors) add(to net.Addr, err error) {
	e.addrs, e.causes = append(e.addrs, to), append(e.causes, err)
}

func (e *dialErrors) Error() string {
	var b strings.Builder
	for i, cause := range e.causes {
		if i > 0 {
			b.WriteString("; ")
		}
		if i > 0 && e.addrs[i] != nil {
			b.WriteString(e.addrs[i].String() + ": ")
		}
		b.WriteString(cause.Error())
	}
	return b.String()
}

func (e *dialErrors) Unwrap() []error { return e.causes }

// Timeout reports whether any of them is a timeout: with more time it might have
// connected.
func (e *dialErrors) Timeout() bool {
	return slices.ContainsFunc(e.causes, func(err error) bool {
		t, ok := err.(interface{ Timeout() bool })
		return ok && t.Timeout()
	})
}
