package socket

import (
	"runtime"
	"syscall"

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
//
// Read and Write do not use attempt, because only f can say that a call is over:
// on a datagram socket whose read side is shut, attempt would say so.
func (c rawConn) Read(f func(fd uintptr) bool) error {
	s := c.s
	reg := &s.core.reg
	call := loop.Call{Timeout: s.core.recvTimeout.get(), Context: s.ctx}
	_, err := reg.Begin(loop.Read, &call)
	if err != nil {
		return fail("raw read", "", err)
	}
	defer s.endRaw(loop.Read) // f may panic
	if err := reg.Repeat(&call, f); err != nil {
		return fail("raw read", "", err)
	}
	return nil
}

// Write is as Read, for the socket's being writable.
func (c rawConn) Write(f func(fd uintptr) bool) error {
	s := c.s
	reg := &s.core.reg
	call := loop.Call{Timeout: s.core.sendTimeout.get(), Context: s.ctx}
	_, err := reg.Begin(loop.Write, &call)
	if err != nil {
		return fail("raw write", "", err)
	}
	defer s.endRaw(loop.Write)
	for !f(uintptr(reg.FD())) {
		if err := reg.Wait(loop.Write, &call); err != nil {
			return fail("raw write", "", err)
		}
	}
	return nil
}

// endRaw ends a call of the program's own. That may have left anything.
func (s *Socket) endRaw(d loop.Direction) {
	s.core.reg.End(d, true)
	runtime.KeepAlive(s)
}
