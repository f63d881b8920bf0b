package socket

import (
	"runtime"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/loop"
)

// A rawConn lets a program make system calls of its own on a Socket.
type rawConn struct{ s *Socket }

var _ syscall.Conn = (*Socket)(nil)

// SyscallConn returns a syscall.RawConn, for system calls that Weir does not
// make. The descriptor stays open while one of its methods runs. Read and Write
// have the turn of their direction, and end as any blocked call of the socket
// does: by timeout, deadline, Interrupt, context and Close. Read does not see
// what other methods have read ahead. Control does not wait. On a closed socket
// the error is EBADF.
func (s *Socket) SyscallConn() (syscall.RawConn, error) {
	return rawConn{s}, s.control("syscallconn", "", func(int) error { return nil })
}

// Control calls f with the descriptor, which must not be closed.
func (c rawConn) Control(f func(fd uintptr)) error {
	return c.s.control("control", "", func(fd int) error { f(uintptr(fd)); return nil })
}

// Read calls f until it returns true. It calls f once, and again each time the
// socket may be readable. An f that returns false must have met EAGAIN.
func (c rawConn) Read(f func(fd uintptr) bool) error {
	return c.s.raw("raw read", loop.Read, c.s.core.recvTimeout.get(), f)
}

// Write is as Read, for the socket's being writable.
func (c rawConn) Write(f func(fd uintptr) bool) error {
	return c.s.raw("raw write", loop.Write, c.s.core.sendTimeout.get(), f)
}

// raw calls f until it returns true. It does not use attempt, because only f can
// say that a call is over: on a datagram socket whose read side is shut, attempt
// would say so.
func (s *Socket) raw(op string, d loop.Direction, limit time.Duration, f func(fd uintptr) bool) error {
	defer runtime.KeepAlive(s)
	reg := &s.core.reg
	call := loop.Call{Timeout: limit, Context: s.ctx}
	_, err := reg.Begin(d, &call)
	if err == nil {
		defer reg.End(d, true) // f may have left anything, and it may panic
		if d == loop.Read {
			err = reg.Repeat(&call, f)
		}
		for err == nil && d == loop.Write && !f(uintptr(reg.FD())) {
			err = reg.Wait(d, &call)
		}
	}
	if err != nil {
		return fail(op, "", err)
	}
	return nil
}
