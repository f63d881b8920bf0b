package socket

import (
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// splicePast is splice(2) from a stream into the empty pipe, but TCP urgent data does not
// end it. At an urgent byte splice(2) takes nothing: it returns EAGAIN although bytes
// follow, or, when the peer has ended its stream, 0 as at the end. recv(2) steps over the
// urgent byte, which is out of band, and takes the bytes behind it.
func (s *Socket) splicePast(fd int, p *pipe, most int) (int, syscall.Errno) {
	n, errno := splice(fd, p.in, most)
	switch {
	case n > 0:
		return n, 0
	case errno == 0: // it may be the end
	case errno == unix.EAGAIN && s.core.reg.Look(loop.Exceptional) != loop.Unready: // there was urgent data, or may be
	default:
		return n, errno
	}
	var buf [pipeBuf]byte
	n, errno = sys.Recv(fd, buf[:min(most, pipeBuf)], 0)
	if n <= 0 || errno != 0 {
		return 0, errno
	}
	for {
		// The pipe is empty, and takes so few bytes at once: pipe(7).
		_, err := unix.Write(p.in, buf[:n])
		if err == nil {
			return n, 0
		}
		if err != unix.EINTR {
			return 0, unix.EIO // it cannot happen
		}
	}
}

// pipeBuf is PIPE_BUF.
const pipeBuf = 4096
