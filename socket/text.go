package socket

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"syscall"
	"unicode/utf8"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"golang.org/x/sys/unix"
)

// The methods in this file read through the socket's input buffer. They take
// what is there without a system call. If it is not enough, they make one real
// read at a time, for as much as the buffer holds, and wait for it within the
// receive timeout.
//
// On other types than stream, a read takes one message into the buffer. What
// does not fit (MaxString) is lost, as with recv(2). Characters and lines end
// with their message. Only Read and Fread obey SO_RCVLOWAT: the others know how
// much they need.

var (
	_ io.Reader       = (*Socket)(nil)
	_ io.RuneScanner  = (*Socket)(nil)
	_ io.StringWriter = (*Socket)(nil)
)

// Fread reads into buf. If anything is buffered, it takes from that, a
// pushed-back character first, without a system call. Else it takes what one
// real read gives, within the receive timeout (EAGAIN): on a stream no less
// than SO_RCVLOWAT. It returns io.EOF at the end of a stream. An empty buf
// reads nothing.
func (s *Socket) Fread(buf []byte) (int, error) { return s.recvAs("fread", buf, 0) }

// Read is Fread, for io.Reader.
func (s *Socket) Read(buf []byte) (int, error) { return s.recvAs("read", buf, 0) }

// readAhead is Fread for a socket that may have buffered input.
func (s *Socket) readAhead(buf []byte) (int, error) {
	if len(buf) == 0 {
		return 0, nil
	}
	c := s.core
	ahead := 0
	first := func() (bool, error) {
		if ahead = c.copyInput(buf); ahead > 0 {
			return true, nil
		}
		return false, c.receivable(0)
	}
	n, err := s.recvInto(buf, 0, nil, turn{first: first})
	return n + ahead, err
}

// ReadRune reads one character in UTF-8, and returns how many bytes it took.
// Bytes that are not UTF-8 give utf8.RuneError, their number, and EILSEQ; the
// next call continues behind them. Each such error stands for one maximal
// subpart, as in table 3-8 of the Unicode Standard. So does the end of a stream
// inside a sequence; elsewhere the end is io.EOF. A timeout (EAGAIN) inside a
// sequence loses the sequence, as in the class; an interruption (EINTR) does
// not.
func (s *Socket) ReadRune() (r rune, size int, err error) {
	const op = "read-char"
	whole := !s.core.stream()
	var bad error
	err = s.consume(func(in *input, now moment) bool {
		data := in.bytes()
		if len(data) == 0 {
			return false
		}
		var is sequence
		r, size, is = decodeRune(data)
		switch {
		case is == complete:
			in.take(size)
			in.last, in.known = r, true
			return true
		case is == incomplete && !whole && now != atEnd:
			return false
		}
		bad = &Error{Op: op, Addr: fmt.Sprintf("% X", data[:size]), Errno: unix.EILSEQ}
		in.take(size)
		return true
	}, func(in *input) {
		if !in.back {
			in.take(len(in.bytes()))
		}
	})
	switch {
	case err != nil:
		return 0, 0, s.core.failed(op, "", err)
	case bad != nil:
		return utf8.RuneError, size, bad
	}
	return r, size, nil
}

// ReadString returns everything that is buffered. If that is nothing, it
// returns what one real read gives, within the receive timeout (EAGAIN).
// Newlines stay in the string. The string may end in the middle of a character.
// At the end of a stream the error is io.EOF; an empty message is an empty
// string.
func (s *Socket) ReadString() (string, error) {
	var all string
	err := s.consume(func(in *input, now moment) bool {
		data := in.bytes()
		all = string(data)
		in.take(len(data))
		return len(data) > 0 || now == afterRead
	}, nil)
	if err != nil {
		return "", s.core.failed("read-string", "", err)
	}
	return all, nil
}

// ReadLine returns the next line, without the newline, or the carriage return
// and newline, that end it. The last line of a stream or message may lack them:
// then EOF already says true, and the next call returns io.EOF. A timeout
// (EAGAIN) or an interruption (EINTR) loses nothing: what came stays buffered.
//
// A line may have MaxLine bytes before its newline. A longer one is EMSGSIZE,
// and stays buffered as far as it was read: for Fread or ReadString to take, or
// ReadLineMax with a greater maximum. The buffer grows to twice the maximum at
// most.
func (s *Socket) ReadLine() (string, error) { return s.readLine(0) }

// ReadLineMax reads a line as ReadLine does, of at most max bytes, 1 to 2^28,
// whatever MaxLine is. Another max is EINVAL.
func (s *Socket) ReadLineMax(max int) (string, error) {
	if max < 1 || max > greatestSize {
		return "", invalid(opReadLine, strconv.Itoa(max), unix.EINVAL, "a size is 1 to 2^28 bytes")
	}
	return s.readLine(max)
}

const opReadLine = "read-line"

// readLine reads a line of at most bound bytes, or MaxLine bytes if bound is 0.
func (s *Socket) readLine(bound int) (string, error) {
	whole := !s.core.stream()
	var line string
	var long error
	err := s.consume(func(in *input, now moment) bool {
		if bound == 0 {
			bound = int(in.maxLine)
		}
		data := in.bytes()
		n, end := in.newline(), 1
		if n < 0 {
			n, end = len(data), 0
		}
		switch {
		case n > bound:
			long = invalid(opReadLine, "", unix.EMSGSIZE, "a line of more than "+strconv.Itoa(bound)+" bytes; it stays in the buffer")
			return true
		case end == 1:
			line = string(bytes.TrimSuffix(data[:n], []byte{'\r'}))
		case n > 0 && (whole || now == atEnd), now == afterRead && whole:
			line = string(data)
		default:
			return false
		}
		in.take(n + end)
		return true
	}, nil)
	if err != nil {
		return "", s.core.failed(opReadLine, "", err)
	}
	return line, long
}

// newline returns where the first buffered newline is, or -1. It remembers how
// far it has looked, so that a line that comes byte by byte is not searched
// from its start each time.
func (in *input) newline() int {
	data := in.bytes()
	seen := max(int(in.scanned-in.r), 0)
	if seen < len(data) {
		if i := bytes.IndexByte(data[seen:], '\n'); i >= 0 {
			return seen + i
		}
	}
	in.scanned = in.w
	return -1
}

// A moment says when a step of consume looks at the buffer.
type moment int

const (
	beforeRead moment = iota
	afterRead         // after a read; a whole message is there, which may be empty
	atEnd             // nothing more will come
)

// consume serves a call from the buffer. step takes what it needs, and reports
// whether that was there. If not, consume makes a real read and calls step
// again. At the end of input, or on an error, a last step may take what came
// before; the next call then returns the end or the error. late runs when the
// time is up. All run with the turn to read and under the lock.
func (s *Socket) consume(step func(*input, moment) bool, late func(*input)) error {
	c := s.core
	in := c.needInput()
	var served bool // the last step completed the call
	take := func(now moment) bool {
		served = step(in, now)
		return served
	}
	first := func() (bool, error) {
		in.mu.Lock()
		defer in.mu.Unlock()
		if take(beforeRead) {
			return true, nil
		}
		if !c.owes() {
			return false, nil
		}
		if take(atEnd) {
			return true, nil
		}
		return false, c.takeOwed()
	}
	expired := func() {
		if late != nil {
			in.mu.Lock()
			late(in)
			in.mu.Unlock()
		}
	}
	err := s.waitTurn(loop.Read, c.recvTimeout.get(), turn{first: first, expired: expired}, func(fd int, _ bool) (bool, syscall.Errno) {
		in.mu.Lock()
		defer in.mu.Unlock()
		for {
			n, more, errno := in.fill(c, fd)
			if n == 0 && errno == 0 && c.stream() {
				errno = syscall.Errno(c.owed.Swap(0)) // the bytes that were queued come first
			}
			switch {
			case errno == unix.EAGAIN:
				return false, errno
			case errno != 0:
				if take(atEnd) {
					c.owed.Store(uint32(errno))
					errno = 0
				}
				return more, errno
			case n == 0 && c.ended(fd):
				c.atEnd.Store(true)
				take(atEnd)
				return more, 0
			case take(afterRead):
				return more, 0
			case !more:
				return false, unix.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return err
	case !served: // the end, or the read side of a datagram socket is shut
		return io.EOF
	}
	return nil
}

// failed returns the error of a call, and notes whether it ends the connection.
// io.EOF is returned as it is.
func (c *core) failed(op, addr string, err error) error {
	if err == io.EOF {
		c.atEnd.Store(true)
		return err
	}
	if errno, ok := err.(syscall.Errno); ok && c.fatal(errno) {
		c.atEnd.Store(true)
	}
	return fail(op, addr, err)
}

// fatal reports whether a connection is of no more use after an error.
func (c *core) fatal(errno syscall.Errno) bool {
	if !c.stream() && c.typ != SeqPacket {
		return false
	}
	switch errno {
	case unix.ECONNRESET, unix.ECONNABORTED, unix.ENETRESET, unix.ETIMEDOUT,
		unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN, unix.EIO:
		return true
	case unix.EPIPE:
		return c.broken()
	}
	return false
}

// broken reports whether EPIPE is the end of a connection. It is not if only the
// sending side is shut, because the peer may still send; nor if there is input
// left; nor if there has been no connection yet.
func (c *core) broken() bool {
	if c.reg.Use() != nil {
		return false
	}
	defer c.reg.Done()
	fd := c.reg.FD()
	return polled(fd, unix.POLLHUP) && queued(fd) == 0 && (c.family == Unix || hasConnected(fd))
}

// hasConnected reports whether TCP has had an answer from a peer.
func hasConnected(fd int) bool {
	info, err := sys.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err != nil || info.Segs_in > 0
}
