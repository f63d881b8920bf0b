package lisp

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"unicode/utf8"

	weir "github.com/seed-2334f180/weir"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A fileStream is an open file, pipe or terminal, with an input buffer. Its methods
// wait with select, so that an interruption ends them.
type fileStream struct {
	name    string
	file    *os.File  // nil for an output that is no file
	writer  io.Writer // an output that is no file
	regular bool      // a regular file is always ready

	reading chan struct{} // holds one element while no thread reads
	mu      sync.Mutex    // guards the fields below
	watched *weir.File    // for select; the first wait makes it
	input   []byte        // bytes that were read ahead
	last    rune          // the last result of read-char; -1 if there is none
	back    bool          // last was pushed back
	atEnd   bool
	closed  bool
}

// fileBuffer is the most bytes that are read ahead.
const fileBuffer = 4096

// pipeChunk is the number of bytes that a pipe accepts without blocking after select
// reports that it is writable (PIPE_BUF, see pipe(7)).
const pipeChunk = 4096

func newFile(name string, f *os.File) *fileStream {
	s := &fileStream{name: name, file: f, reading: make(chan struct{}, 1), last: -1}
	s.reading <- struct{}{}
	if info, err := f.Stat(); err == nil {
		s.regular = info.Mode().IsRegular() || info.IsDir()
	}
	return s
}

var stdin = sync.OnceValue(func() *fileStream { return newFile("stdin", os.Stdin) })

// stdinOf returns the standard input, which all interpreters of a process share.
func stdinOf() *fileStream { return stdin() }

// outputOf returns an output of the interpreter's options.
func (in *Interp) outputOf(w io.Writer) *fileStream {
	s := &fileStream{name: "stdout", writer: w, regular: true, last: -1}
	if f, ok := w.(*os.File); ok {
		s = newFile(f.Name(), f)
		s.writer = w
	}
	return s
}

// modes are those of fopen(3).
var modes = map[string]int{
	"r": os.O_RDONLY, "r+": os.O_RDWR,
	"w": os.O_WRONLY | os.O_CREATE | os.O_TRUNC, "w+": os.O_RDWR | os.O_CREATE | os.O_TRUNC,
	"a": os.O_WRONLY | os.O_CREATE | os.O_APPEND, "a+": os.O_RDWR | os.O_CREATE | os.O_APPEND,
}

// constructFile opens a file: (file-constructor SELF PATH [MODE]).
func constructFile(t *Thread, args []Value) (Value, error) {
	o, err := arg[*Object](args[0])
	if err != nil {
		return nil, err
	}
	if o.opened() {
		return nil, errors.New("the object is open already")
	}
	path, err := arg[string](args[1])
	if err != nil {
		return nil, err
	}
	mode := "r"
	if args[2] != nil {
		if mode, err = arg[string](args[2]); err != nil {
			return nil, err
		}
	}
	how, ok := modes[mode]
	if !ok {
		return nil, wanted("a mode: r, r+, w, w+, a or a+", mode)
	}
	// Without O_NONBLOCK the opening of a fifo could block the thread for ever.
	f, err := openFile(path, how|unix.O_NONBLOCK)
	if err != nil {
		return t.failed(err)
	}
	o.file = newFile(path, f)
	return o, nil
}

// openFile opens a file. Without a free descriptor it collects what the program has
// forgotten first.
func openFile(path string, how int) (f *os.File, err error) {
	err = socket.WithDescriptor(func() error {
		f, err = os.OpenFile(path, how, 0o666)
		return err
	})
	return f, err
}

func (s *fileStream) fd() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.file == nil {
		return -1
	}
	fd := -1
	if c, err := s.file.SyscallConn(); err == nil {
		c.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}

// close closes the file, and wakes the threads that wait for it.
func (s *fileStream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.input, s.back = nil, false
	if s.watched != nil {
		s.watched.Close()
	}
	if s.file != nil {
		s.file.Close()
	}
}

var errClosedFile = &fs.PathError{Op: "file", Err: unix.EBADF}

// watch registers the file with a loop, so that select can wait for it.
func (s *fileStream) watch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.file == nil {
		return errClosedFile
	}
	if s.watched != nil {
		return nil
	}
	c, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	failed := c.Control(func(fd uintptr) {
		s.watched, err = weir.Watch(int(fd))
	})
	if failed != nil {
		return failed
	}
	return err
}

func (s *fileStream) registration() *loop.Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watched.Registration()
}

func (s *fileStream) buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.input)
	if s.back {
		n += utf8.RuneLen(s.last)
	}
	return n
}

// wait waits until the file is readable, or writable if write is true.
func (t *Thread) wait(s *fileStream, write bool) error {
	if s.regular {
		return nil
	}
	if err := s.watch(); err != nil {
		return err
	}
	read := []*weir.File{s.watched}
	var room []*weir.File
	if write {
		read, room = nil, read
	}
	_, err := weir.SelectContext(t.ctx, read, room, nil, weir.Forever)
	return err
}

// call repeats a system call that does not block until the file is ready for it.
func (t *Thread) call(s *fileStream, write bool, syscall func(fd int) (int, error)) (int, error) {
	if s.file == nil {
		return 0, errClosedFile
	}
	c, err := s.file.SyscallConn()
	if err != nil {
		return 0, errClosedFile
	}
	events := int16(unix.POLLIN)
	if write {
		events = unix.POLLOUT
	}
	for {
		n := 0
		failed := c.Control(func(fd uintptr) {
			if !s.regular {
				poll := []unix.PollFd{{Fd: int32(fd), Events: events}}
				if ready, e := unix.Poll(poll, 0); ready == 0 && e == nil {
					err = unix.EAGAIN
					return
				}
			}
			n, err = syscall(int(fd))
		})
		switch {
		case failed != nil:
			return 0, errClosedFile
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := t.wait(s, write); err != nil {
				return 0, err
			}
		default:
			return n, err
		}
	}
}

// read makes one read(2) into a buffer. It returns io.EOF at the end of the file.
func (t *Thread) read(s *fileStream, buf []byte) (int, error) {
	n, err := t.call(s, false, func(fd int) (int, error) { return unix.Read(fd, buf) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 0 && err == nil && len(buf) > 0 {
		s.atEnd = true
		return 0, io.EOF
	}
	return n, err
}

// take waits until no other thread reads. release ends the turn.
func (t *Thread) take(s *fileStream) (release func(), err error) {
	if s.file == nil {
		return nil, errClosedFile
	}
	select {
	case <-s.reading:
		return func() { s.reading <- struct{}{} }, nil
	case <-t.done:
		return nil, t.check()
	}
}

// ahead returns the bytes that were read ahead. It first makes one read if there are
// none, or if the caller asks for more.
func (t *Thread) ahead(s *fileStream, more bool) ([]byte, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosedFile
	}
	if s.back {
		s.input = append(utf8.AppendRune(nil, s.last), s.input...)
		s.back = false
	}
	have := s.input
	s.mu.Unlock()
	if len(have) > 0 && !more {
		return have, nil
	}
	buf := make([]byte, fileBuffer)
	n, err := t.read(s, buf)
	if err != nil {
		return have, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.input = append(s.input[:len(s.input):len(s.input)], buf[:n]...)
	return s.input, nil
}

// consume drops the first n bytes that were read ahead.
func (s *fileStream) consume(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.input = s.input[min(n, len(s.input)):]; len(s.input) == 0 {
		s.input = nil
	}
}

// write writes all of a text. To an output that is no file it writes as print does.
func (t *Thread) write(s *fileStream, data []byte) (int, error) {
	if s.closedNow() {
		return 0, errClosedFile
	}
	if s.writer != nil {
		return len(data), t.in.print(s.writer, string(data))
	}
	total := 0
	for total < len(data) {
		chunk := data[total:]
		if !s.regular {
			chunk = chunk[:min(len(chunk), pipeChunk)]
		}
		n, err := t.call(s, true, func(fd int) (int, error) { return unix.Write(fd, chunk) })
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

func (s *fileStream) closedNow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
