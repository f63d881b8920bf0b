package server

import (
	"io"
	"sync"
	"time"
	"unsafe"
)

// An input is what a handler has left unread.
type input struct {
	buf   []byte
	since time.Duration // when it was left, on the loop's clock
}

// smallInput is the size of the pooled buffers, and what is moved to the front
// of the shared buffer instead of being received behind.
const smallInput = 4 << 10

var inputs = sync.Pool{New: func() any { return &input{buf: make([]byte, 0, smallInput)} }}

// left is what the handler has left.
func (c *Conn) left() []byte {
	if c.in == nil {
		return nil
	}
	return c.in.buf
}

// room is where the next bytes go, and the view of all that is then unread,
// which ends with the room.
func (c *Conn) room() (view, room []byte) {
	e := c.eng
	// A handler may leave all that came, because it cannot write: that must fit.
	if most := min(e.srv.Chunk, e.srv.MaxInput/2); e.filled && len(e.buf) < most {
		e.buf, e.filled = make([]byte, min(2*len(e.buf), most)), false
	}
	shared := e.buf
	switch {
	case c.in == nil:
		return shared, shared
	case len(c.in.buf) <= smallInput && len(c.in.buf) < len(shared):
		return shared, shared[copy(shared, c.in.buf):]
	}
	in := c.in
	if cap(in.buf)-len(in.buf) < readSize {
		grown := make([]byte, len(in.buf), max(2*len(in.buf), len(in.buf)+readSize))
		copy(grown, in.buf)
		in.buf = grown
	}
	view = in.buf[:cap(in.buf)]
	return view, view[len(in.buf):]
}

// keep stores what the handler has left of the view, of which it may have used
// some.
func (c *Conn) keep(left []byte, used bool) error {
	if len(left) == 0 {
		c.drop()
		return nil
	}
	if len(left) > c.eng.srv.MaxInput {
		return ErrInputFull
	}
	switch in := c.in; {
	case in == nil:
		in = inputs.Get().(*input)
		in.buf = append(in.buf[:0], left...)
		in.since, c.in = c.eng.loop.Elapsed(), in
		c.rearm()
	case unsafe.SliceData(left) == unsafe.SliceData(in.buf):
		// All of it, in its place: to move that again and again would be dear
		// when a megabyte comes byte by byte.
		in.buf = in.buf[:len(left)]
	default:
		// A part of it is moved to the front.
		in.buf = append(in.buf[:0], left...)
		if used { // what is left is the beginning of something else
			in.since = c.eng.loop.Elapsed()
		}
	}
	return nil
}

// drop forgets the unread input.
func (c *Conn) drop() {
	if c.in == nil {
		return
	}
	if cap(c.in.buf) == smallInput {
		c.in.buf = c.in.buf[:0]
		inputs.Put(c.in)
	}
	c.in = nil
}

// input is what the running callback may read.
func (c *Conn) input() []byte {
	if c.eng.current != c {
		return nil
	}
	return c.eng.unread
}

// Buffered is how many bytes there are to read.
func (c *Conn) Buffered() int { return len(c.input()) }

// Peek is the next n bytes, or nil while there are fewer; of a negative n, all
// that there are. They stay unread, and are valid until the callback returns.
func (c *Conn) Peek(n int) []byte {
	in := c.input()
	if n < 0 {
		return in
	}
	if n > len(in) {
		return nil
	}
	return in[:n:n]
}

// Next is Peek, and the bytes are read.
func (c *Conn) Next(n int) []byte {
	p := c.Peek(n)
	if len(p) > 0 {
		c.eng.unread = c.eng.unread[len(p):]
	}
	return p
}

// Discard reads n bytes, or all if there are fewer, and says how many.
func (c *Conn) Discard(n int) int {
	n = min(max(n, 0), len(c.input()))
	if n > 0 {
		c.eng.unread = c.eng.unread[n:]
	}
	return n
}

// Read reads what there is: io.Reader, which never waits. At the end of the
// input it is io.EOF, which here says nothing about the connection.
func (c *Conn) Read(p []byte) (int, error) {
	n := copy(p, c.input())
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	c.eng.unread = c.eng.unread[n:]
	return n, nil
}
