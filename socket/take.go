package socket

import (
	"runtime"

	"github.com/seed-2334f180/weir/internal/sockethook"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

func init() {
	sockethook.Take = func(s any, buf []byte) (int, error) { return s.(*Socket).take(buf) }
}

// take is Recv with MSG_DONTWAIT, for a caller that comes back when the loop tells it of
// input. It makes no system call if the loop knows that nothing has arrived. A receive
// uses the ready mark up, as one that may wait does. So the next question costs no system
// call either. It returns EAGAIN itself, and not an *Error, because that is the usual end.
func (s *Socket) take(buf []byte) (n int, err error) {
	defer runtime.KeepAlive(s)
	c := s.core
	if c.plain() && c.lowWater.Load() <= 1 && c.input.Load() == nil && len(buf) > 0 {
		if c.reg.Look(loop.Readable) == loop.Unready {
			return 0, unix.EAGAIN
		}
		// Begin fails if another call has the turn, and after a deadline, which a call
		// that does not wait ignores. Then the general way receives.
		if _, err := c.reg.Begin(loop.Read, &loop.Call{}); err == nil {
			n, errno := sys.Recvfrom(c.reg.FD(), buf, 0, nil)
			if errno == unix.EAGAIN && c.stoppedAtMark(c.reg.FD()) {
				n, errno = sys.Recvfrom(c.reg.FD(), buf, 0, nil)
			}
			switch errno {
			case 0:
				c.reg.End(loop.Read, n == 0 || c.leftover(n, len(buf), 0)) // after the end comes the end
				return n, s.received(opRecv, n, len(buf), 0, nil)
			case unix.EAGAIN:
				c.reg.End(loop.Read, false)
				return 0, unix.EAGAIN
			}
			c.reg.End(loop.Read, true)
			return 0, c.failed(opRecv, "", errno)
		}
	}
	n, err = s.Recv(buf, unix.MSG_DONTWAIT)
	if e, ok := err.(*Error); ok && e.Errno == unix.EAGAIN {
		err = unix.EAGAIN
	}
	return n, err
}
