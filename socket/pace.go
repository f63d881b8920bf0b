package socket

import (
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/rate"
	"github.com/seed-2334f180/weir/internal/sockethook"
	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
)

func init() {
	sockethook.Pace = func(s any, p *rate.Pair) { s.(*Socket).core.pace = p }
}

// The calls of a socket with a pace transfer no more than its rates allow. A call that
// has to wait for that parks as it does when the kernel has nothing, with the same
// timeouts. A message (RecvMsg, SendMsg) is transferred whole, and the next call waits.

// recvfrom is recvfrom(2) of what the pace allows. Otherwise it returns EAGAIN.
func (c *core) recvfrom(fd int, buf []byte, flags int, from *sockaddr) (int, syscall.Errno) {
	most := len(buf)
	if c.pace != nil && most > 0 {
		if most = c.pace.Allow(false, most); most == 0 {
			return 0, syscall.EAGAIN
		}
	}
	n, errno := sys.Recvfrom(fd, buf[:most], flags, (*sys.Sockaddr)(from))
	if flags&syscall.MSG_PEEK == 0 {
		c.pace.Took(false, n, most)
	}
	return n, errno
}

// sendto is sendto(2) of what the pace allows. Otherwise it returns EAGAIN.
func (c *core) sendto(fd int, buf []byte, flags int, to *sockaddr) (int, syscall.Errno) {
	most := len(buf)
	if c.pace != nil && most > 0 {
		if most = c.pace.Allow(true, most); most == 0 {
			return 0, syscall.EAGAIN
		}
	}
	n, errno := sys.Sendto(fd, buf[:most], flags, (*sys.Sockaddr)(to))
	c.pace.Took(true, n, most)
	return n, errno
}

// paceWait returns how long a call has to wait because its last try was not allowed to
// transfer everything, or 0 if it was.
func (c *core) paceWait(d loop.Direction) time.Duration { return c.pace.Wait(d == loop.Write) }

// recvmsg is headers.recvmsg if the pace allows anything. Otherwise it returns EAGAIN.
func (c *core) recvmsg(h *headers, fd, flags int) (int, syscall.Errno) {
	if c.pace.Allow(false, 1) == 0 {
		return 0, syscall.EAGAIN
	}
	n, errno := h.recvmsg(fd, flags)
	if flags&syscall.MSG_PEEK == 0 {
		c.pace.Took(false, n, 1)
	}
	return n, errno
}

// sendmsg is headers.sendmsg if the pace allows anything. Otherwise it returns EAGAIN.
func (c *core) sendmsg(h *headers, fd, flags int) (int, syscall.Errno) {
	if c.pace.Allow(true, 1) == 0 {
		return 0, syscall.EAGAIN
	}
	n, errno := h.sendmsg(fd, flags)
	c.pace.Took(true, n, 1)
	return n, errno
}
