package socket

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// An UnsentError is the error of ReadFrom and WriteTo when they have taken
// bytes from the source and could not send them on. Only the error still has
// these bytes.
type UnsentError struct {
	Unsent []byte // taken, and not sent
	Err    error  // why: an *Error if it was the socket's
}

// Error returns the text of Err.
func (e *UnsentError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *UnsentError) Unwrap() error { return e.Err }

// Timeout reports whether the time to send was up.
func (e *UnsentError) Timeout() bool {
	t, ok := e.Err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// ReadFrom sends what r has, up to its end, for io.ReaderFrom, and returns how
// many bytes it sent. If s is a stream, a regular file goes by sendfile(2), and
// a stream socket by splice(2); everything else is copied. The timeouts apply
// to each step, as in a loop of Read and Write: a wait for the source, or for
// the peer to take some bytes. Each step has the turn of its own direction
// only, so other calls may come in between. TCP urgent data is out of band: ReadFrom
// does not take the urgent byte, as Read does not, and goes on behind it. If bytes were taken from r and not
// sent, the error is an *UnsentError. A broken connection gives EPIPE; sendfile
// and splice then also raise SIGPIPE, which reaches a program that asked for it
// by os/signal.
func (s *Socket) ReadFrom(r io.Reader) (int64, error) {
	limit := int64(math.MaxInt64)
	limited, _ := r.(*io.LimitedReader)
	if limited != nil {
		r, limit = limited.R, max(limited.N, 0)
	}
	n, err := s.readFrom(r, limit)
	if limited != nil {
		limited.N -= n
		var u *UnsentError
		if errors.As(err, &u) {
			limited.N -= int64(len(u.Unsent))
		}
	}
	return n, err
}

func (s *Socket) readFrom(r io.Reader, limit int64) (int64, error) {
	if s.core.stream() && s.core.pace == nil && !s.core.simulated() {
		switch source := r.(type) {
		case *Socket:
			if n, err, ok := s.spliceFrom(source, limit); ok {
				return n, err
			}
		case file:
			if n, err, ok := s.sendFile(source, limit); ok {
				return n, err
			}
		}
	}
	return copyTo(s, r, limit)
}

// WriteTo writes what the socket receives to w, up to the end of the stream,
// for io.WriterTo, and returns how many bytes it wrote. If both are stream
// sockets, the bytes go by splice(2). Timeouts, turns and errors are as for
// ReadFrom.
func (s *Socket) WriteTo(w io.Writer) (int64, error) {
	if sink, ok := w.(*Socket); ok && sink.core.stream() {
		if n, err, ok := sink.spliceFrom(s, math.MaxInt64); ok {
			return n, err
		}
	}
	return copyTo(w, s, math.MaxInt64)
}

// copySize is the size of a copy's buffer. fileStep is the most that one
// sendfile(2) sends, so that a fast peer does not keep a thread in the kernel
// for long.
const (
	copySize = 64 << 10
	fileStep = 4 << 20
)

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// copyTo is io.Copy, but it does not call ReadFrom or WriteTo again, and it
// reports what it has read and not written.
func copyTo(w io.Writer, r io.Reader, limit int64) (n int64, err error) {
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	for n < limit {
		got, readErr := r.Read(buf[:min(limit-n, copySize)])
		if got > 0 {
			put, err := w.Write(buf[:got])
			n += int64(put)
			if err == nil && put < got {
				err = io.ErrShortWrite
			}
			if err != nil {
				return n, unsent(buf[put:got], err)
			}
		}
		if readErr == io.EOF {
			return n, nil
		}
		if readErr != nil {
			return n, readErr
		}
	}
	return n, nil
}

// unsent adds a copy of the unsent bytes to an error, if there are any.
func unsent(rest []byte, err error) error {
	if len(rest) == 0 {
		return err
	}
	return &UnsentError{Unsent: append([]byte(nil), rest...), Err: err}
}

// A file is what may have a regular file's descriptor: *os.File, and what embeds
// it. os.File's own WriteTo, which io.Copy calls, passes a wrapper.
type file interface {
	fs.File
	io.Seeker
	syscall.Conn
}

// simulated reports whether the kernel is, which moves no bytes by itself.
func (c *core) simulated() bool { return c.group.Kernel() != nil }

// sendFile is ReadFrom by sendfile(2). If the kernel cannot do that with the
// file, ok is false and nothing was sent.
func (s *Socket) sendFile(f file, limit int64) (total int64, err error, ok bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err, true
	}
	c := s.core
	regular := true
	// Control keeps the file open while it is used.
	closed := conn.Control(func(source uintptr) {
		var info unix.Stat_t
		if err := unix.Fstat(int(source), &info); err != nil || info.Mode&unix.S_IFMT != unix.S_IFREG {
			regular = false
			return
		}
		for total < limit {
			if err = c.takeOwed(); err != nil {
				return
			}
			var n int
			err = s.wait(loop.Write, c.sendTimeout.get(), func(fd int) (bool, syscall.Errno) {
				var errno syscall.Errno
				n, errno = sendfile(fd, int(source), int(min(limit-total, fileStep)))
				return true, errno
			})
			total += int64(n)
			if err != nil || n == 0 {
				return
			}
		}
	})
	runtime.KeepAlive(f)
	switch {
	case closed != nil, !regular: // reading says what is wrong with a closed file
		return 0, nil, false
	case total == 0 && cannotMove(err):
		return 0, nil, false
	case err != nil:
		return total, c.failed("sendfile", "", err), true
	}
	return total, nil, true
}

// cannotMove reports whether sendfile or splice does not work on these
// descriptors.
func cannotMove(err error) bool {
	return err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP || err == noPipe
}

// spliceFrom is ReadFrom by splice(2), through a pipe, as the kernel requires.
// If the kernel cannot do that, ok is false and nothing was taken.
func (s *Socket) spliceFrom(source *Socket, limit int64) (total int64, err error, ok bool) {
	if !source.core.stream() || source.core.pace != nil || s.core.pace != nil || source.core.simulated() || s.core.simulated() {
		return 0, nil, false
	}
	if total, err = s.sendInput(source, limit); err != nil {
		return total, err, true
	}
	for total < limit {
		p, took, err := source.spliceIn(int(min(limit-total, pipeSize)))
		switch {
		case total == 0 && cannotMove(err):
			return 0, nil, false
		case cannotMove(err): // after input that was read ahead, or without a pipe now
			n, err := copyTo(s, source, limit-total)
			return total + n, err, true
		case err != nil:
			return total, source.core.failed("splice", "", err), true
		case took == 0:
			source.core.atEnd.Store(true)
			return total, nil, true
		}
		n, err := s.spliceOut(p, took)
		total += int64(n)
		if err != nil {
			err = unsent(p.drain(took-n), s.core.failed("splice", "", err))
		}
		p.free()
		if err != nil {
			return total, err, true
		}
	}
	return total, nil, true
}

// sendInput sends what the source has read ahead, because that comes before
// what is in the kernel.
func (s *Socket) sendInput(source *Socket, limit int64) (total int64, err error) {
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	for total < limit {
		took := source.core.copyInput(buf[:min(limit-total, copySize)])
		if took == 0 {
			break
		}
		n, err := s.Write(buf[:took])
		total += int64(n)
		if err != nil {
			return total, unsent(buf[n:took], err)
		}
	}
	return total, nil
}

// spliceIn takes bytes into a pipe, and returns the pipe if there are any. It
// holds no pipe while it waits, because pipes are few and most connections
// wait.
func (s *Socket) spliceIn(most int) (p *pipe, n int, err error) {
	first := func() (bool, error) { return false, s.core.receivable(0) }
	err = s.waitRecv(turn{first: first}, func(fd int, _ bool) (bool, syscall.Errno) {
		if p = takePipe(); p == nil {
			return true, noPipe
		}
		var errno syscall.Errno
		n, errno = s.splicePast(fd, p, most)
		sys.RaceReceived(nil)
		if n == 0 {
			p.free()
			p = nil
		}
		return true, errno // a short count may mean that the pipe is full
	})
	return p, n, err
}

// spliceOut sends n bytes from the pipe.
func (s *Socket) spliceOut(p *pipe, n int) (sent int, err error) {
	for sent < n {
		if err := s.core.takeOwed(); err != nil {
			return sent, err
		}
		sys.RaceSending()
		err = s.wait(loop.Write, s.core.sendTimeout.get(), func(fd int) (bool, syscall.Errno) {
			k, errno := splice(p.out, fd, n-sent)
			sent += k
			return true, errno
		})
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// A pipe carries the bytes of a splice. Empty pipes are pooled. A pipe that is
// forgotten is closed.
type pipe struct{ out, in int }

const (
	// pipeSize is how many bytes a pipe holds, if the system allows that many
	// pages. More bytes mean fewer steps. It is the most that a user may ask
	// for by default (/proc/sys/fs/pipe-max-size).
	pipeSize = 1 << 20
	// mostPipes is half of the pipes of this size that a user may have by
	// default (/proc/sys/fs/pipe-user-pages-soft). Beyond it, bytes are copied.
	mostPipes = 32
	// noPipe is the errno that says so.
	noPipe = unix.ENFILE
)

var (
	pipes     sync.Pool
	pipeCount atomic.Int32 // how many pipes there are
)

// takePipe returns nil if there are too many pipes, or if the system gives only
// small ones.
func takePipe() *pipe {
	if p, _ := pipes.Get().(*pipe); p != nil {
		return p
	}
	if pipeCount.Add(1) > mostPipes {
		pipeCount.Add(-1)
		return nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		pipeCount.Add(-1)
		return nil
	}
	closePipe := func(fds [2]int) {
		unix.Close(fds[0])
		unix.Close(fds[1])
		pipeCount.Add(-1)
	}
	// A smaller pipe works too, in more steps, down to the size of a copy.
	if _, err := unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize); err != nil {
		if size, _ := unix.FcntlInt(uintptr(fds[0]), unix.F_GETPIPE_SZ, 0); size < copySize {
			closePipe(fds)
			return nil
		}
	}
	p := &pipe{out: fds[0], in: fds[1]}
	runtime.AddCleanup(p, closePipe, fds)
	return p
}

func (p *pipe) free() { pipes.Put(p) }

// drain removes the n bytes that are left.
func (p *pipe) drain(n int) []byte {
	rest := make([]byte, n)
	done := 0
	for done < n {
		k, err := unix.Read(p.out, rest[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || k <= 0 { // cannot happen, because the bytes are there
			break
		}
		done += k
	}
	return rest[:done]
}

// Writev sends all the buffers, one after the other, as one Write would:
// writev(2), in several calls if there are more than the kernel takes in one.
// On a socket with messages they become one message, of 1024 buffers at most
// (EMSGSIZE). Writev does not change the buffers.
func (s *Socket) Writev(bufs [][]byte) (int, error) {
	if !s.core.stream() {
		n, err := s.sendMsg(&Message{Buffers: bufs}, 0)
		if err != nil {
			return n, s.core.failed("writev", "", err)
		}
		return n, nil
	}
	n, err := s.writev(bufs)
	return n, s.short("writev", n, err)
}

// mostBuffers is IOV_MAX.
const mostBuffers = 1024

func (s *Socket) writev(bufs [][]byte) (total int, err error) {
	c := s.core
	if err := c.takeOwed(); err != nil {
		return 0, err
	}
	h := takeHeaders(c)
	defer h.free()
	left := 0 // of the buffers that the headers have
	err = s.waitTurn(loop.Write, c.sendTimeout.get(), turn{}, func(fd int, waited bool) (bool, syscall.Errno) {
		if c.brokenMidway(fd, total) {
			return true, unix.EPIPE
		}
		for {
			for left == 0 {
				if len(bufs) == 0 {
					return true, 0
				}
				k := min(len(bufs), mostBuffers)
				h.load([]Message{{Buffers: bufs[:k]}})
				bufs, left = bufs[k:], h.bytes
			}
			n, errno := h.sendmsg(fd, 0)
			total += n
			left -= n
			if errno != 0 {
				return true, c.pipeError(fd, errno, waited)
			}
			h.wasSent(0, n)
			if left > 0 {
				return false, unix.EAGAIN
			}
		}
	})
	return total, err
}

// sendfile is sendfile(2), from the file's offset on, which it moves.
func sendfile(to, from, most int) (int, syscall.Errno) {
	sys.RaceSending()
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDFILE, uintptr(to), uintptr(from), 0, uintptr(most), 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// splice is splice(2), which waits for neither side.
func splice(from, to, most int) (int, syscall.Errno) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

var (
	_ io.ReaderFrom = (*Socket)(nil)
	_ io.WriterTo   = (*Socket)(nil)
)
