package socket

import (
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// A goal is what a ConnectStart connects to.
type goal struct {
	to        Addr
	shutdowns uint32 // of the socket before the start
}

// ConnectStart connects the socket to an address, and does not wait: connect(2) on a
// non-blocking descriptor. It returns true if the socket is connected, as one of
// datagrams is at once. It returns false without an error while the kernel goes on
// connecting. When that ends, with success or not, Select and Selector report the
// socket as writable; then call ConnectFinish. Close ends the attempt.
//
// The errors are those of Connect. EAGAIN means that a unix listener has a full
// backlog. No event reports its end, so the program calls ConnectStart again after a
// while.
func (s *Socket) ConnectStart(to Addr) (done bool, err error) {
	c := s.core
	g := &goal{to, c.shutdowns.Load()}
	c.goal.Store(g)
	return s.connectNow(g)
}

// ConnectFinish says what has become of a ConnectStart: true when the socket is
// connected, false without an error while the kernel goes on connecting, and the error,
// such as ECONNREFUSED or ETIMEDOUT, when it has failed. It does not wait. After true or
// an error another call returns EINVAL, and ConnectStart begins anew.
func (s *Socket) ConnectFinish() (done bool, err error) {
	g := s.core.goal.Load()
	if g == nil {
		return false, invalid("connect", "", unix.EINVAL, "no ConnectStart is in progress")
	}
	return s.connectNow(g)
}

// connectNow calls connect(2), which begins a connection or says how it went.
func (s *Socket) connectNow(g *goal) (done bool, err error) {
	c := s.core
	err = s.connecting(g.to.String(), loop.NoWait, func(call *loop.Call) error {
		if c.family == Unix || c.shutdowns.Load() == g.shutdowns {
			return s.connectTo(call, g.to)
		}
		switch errno := afterShutdown(c.reg.FD()); errno { // connect(2) would begin anew
		case 0:
			c.connected(g.to)
			return nil
		case unix.EAGAIN:
			return loop.ErrTimeout
		default:
			return errno
		}
	})
	if e, ok := err.(*Error); ok && e.Err == loop.ErrTimeout && e.Errno != unix.EAGAIN {
		return false, nil // EINPROGRESS or EALREADY; or another call that connects or writes has the turn
	}
	c.goal.CompareAndSwap(g, nil)
	return err == nil, err
}
