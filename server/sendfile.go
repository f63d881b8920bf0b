package server

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// SendFile sends n bytes of a regular file from an offset on, behind what was written
// before: sendfile(2). It returns at once. The loop sends the file in portions of
// Server.Chunk, and waits while the kernel reads them from a disk. The offset of f is not
// used. SendFile duplicates the descriptor, so the program may close f when SendFile has
// returned; but it must not change the file before the bytes have left. If the file becomes
// shorter, the connection ends with ENODATA.
//
// The bytes of files count neither in Queued nor for MaxOutput and HighWater, because they
// take no memory. Timeouts.Write applies. The errors are those of Write, ErrOutputFull only
// if too many pieces are queued; EINVAL if f is no regular file, or has no such bytes; and
// those of fcntl(2), such as EMFILE. On a TLS connection SendFile returns EOPNOTSUPP,
// because the kernel would send the file without encryption.
//
// With a Handler, Session.ReadFrom sends a file by sendfile(2), too.
func (c *Conn) SendFile(f *os.File, offset, n int64) error {
	if f == nil {
		return fmt.Errorf("server: send a file: the file is nil: %w", os.ErrInvalid)
	}
	if c.secure() != nil {
		return fmt.Errorf("server: send %d bytes of %s: the connection has TLS: %w", n, f.Name(), unix.EOPNOTSUPP)
	}
	span, err := newFileSpan(f, offset, n)
	if err != nil {
		return fmt.Errorf("server: send %d bytes of %s from %d: %w", n, f.Name(), offset, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(0, 1); err != nil {
		span.close(nil)
		return err
	}
	c.queueGathered()
	c.output().appendFile(span)
	c.queued()
	return nil
}

// A fileSpan is a part of a file that is to be sent.
type fileSpan struct {
	fd     int
	offset int64
	left   int64
}

func newFileSpan(f *os.File, offset, n int64) (*fileSpan, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	span := &fileSpan{offset: offset, left: n}
	controlErr := conn.Control(func(fd uintptr) {
		var info unix.Stat_t
		if err = unix.Fstat(int(fd), &info); err != nil {
			err = os.NewSyscallError("fstat", err)
			return
		}
		switch {
		case info.Mode&unix.S_IFMT != unix.S_IFREG:
			err = fmt.Errorf("it is not a regular file: %w", unix.EINVAL)
		case offset < 0 || n < 0 || offset > info.Size || n > info.Size-offset:
			err = fmt.Errorf("the file has %d bytes: %w", info.Size, unix.EINVAL)
		default:
			span.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
			err = os.NewSyscallError("fcntl", err)
		}
	})
	if controlErr != nil { // Control has no other error
		return nil, os.ErrClosed
	}
	return span, err
}

// close is the completion of the span's piece.
func (f *fileSpan) close(error) { unix.Close(f.fd) }

// send sends up to most bytes to a socket, and moves the offset. Only the goroutine with
// the right to send calls it.
func (f *fileSpan) send(to, most int) (n int, errno syscall.Errno) {
	n, err := 0, error(unix.ENOSYS)
	if to < sys.FirstSimulated {
		n, err = unix.Sendfile(to, f.fd, &f.offset, int(min(f.left, int64(most))))
	}
	for err == unix.EINTR {
		n, err = unix.Sendfile(to, f.fd, &f.offset, int(min(f.left, int64(most))))
	}
	switch err {
	case nil:
	case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP: // the file system cannot do that
		n, errno = f.copy(to, most)
	default:
		return 0, errnoOf(err)
	}
	if errno == 0 && n == 0 {
		return 0, unix.ENODATA // the file has become shorter
	}
	f.left -= int64(n)
	return n, errno
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}

var fileBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// copy does by pread(2) and send(2) what sendfile(2) does.
func (f *fileSpan) copy(to, most int) (n int, errno syscall.Errno) {
	buf := fileBuffers.Get().(*[64 << 10]byte)
	defer fileBuffers.Put(buf)
	got, err := unix.Pread(f.fd, buf[:min(f.left, int64(most), int64(len(buf)))], f.offset)
	if err != nil {
		return 0, errnoOf(err)
	}
	if got == 0 {
		return 0, 0
	}
	n, errno = sys.Send(to, buf[:got], 0)
	f.offset += int64(n)
	return n, errno
}

// appendFile queues a part of a file.
func (o *output) appendFile(f *fileSpan) {
	o.pieces.push(piece{file: f, done: f.close, before: uint32(o.after)})
	o.fileBytes += f.left
	o.after = 0
}

// front returns the part of a file that leaves next, or nil.
func (o *output) front() *fileSpan {
	if o.fileBytes == 0 || o.pieces.n == 0 {
		return nil
	}
	if x := o.pieces.front(); x.before == 0 {
		return x.file
	}
	return nil
}

// nextBytes returns how many bytes may leave by the next system call.
func (o *output) nextBytes() int {
	if f := o.front(); f != nil {
		return int(min(f.left, math.MaxInt32))
	}
	return o.size
}

// pushFile sends from a file that is at the front of the queue. It is a part of push.
func (c *Conn) pushFile(f *fileSpan, most int) (n int, err error) {
	fd, err := c.beginSend(0)
	if err != nil {
		return 0, err
	}
	n, errno := f.send(fd, most)
	err = c.endSend(errno)
	if n > 0 && c.out != nil {
		c.out.moved = c.eng.loop.Elapsed()
		c.out.fileBytes -= int64(n)
		c.out.take(0)
		c.out.rate.bytes += n
		c.hasSent(n)
	}
	return n, err
}

// goesOn lets a farewell go on for as long as the peer takes a file, or output that
// Rates.Write delays.
func (c *Conn) goesOn(f *farewell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil && (c.out.fileBytes > 0 || c.out.size > 0 && c.extra.limitsWrite()) {
		f.deadline = max(f.deadline, c.out.moved+f.limit)
	}
}
