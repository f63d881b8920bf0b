package server

import (
	"io"
	"sync"
	"time"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// read receives until the kernel has nothing left, or until reading has to stop, but no
// more than most bytes. It returns how many it has received. If there is more, the
// engine goes on later.
func (c *Conn) read(most int) (n int) {
	var end time.Duration // of the connection's time, if it is bulk
	if c.bulk {
		end = c.eng.loop.Elapsed() + longRead
	}
	for budget := most; c.readable && c.reads(); n = most - budget {
		if budget <= 0 || end != 0 && n > 0 && c.eng.loop.Elapsed() >= end {
			c.bulk = true
			c.eng.enqueue(c)
			return n
		}
		if c.eng.pressed.Load() {
			c.eng.tellPressure() // its callbacks may pause this connection, or end it
			continue
		}
		goesOn := false
		if c.state == stateLingering {
			goesOn = c.discard(&budget)
		} else {
			goesOn = c.receive(&budget)
		}
		if !goesOn {
			return most - budget
		}
	}
	c.bulk = n >= bulkBytes
	return n
}

// reads reports whether the connection is to be read now. What Data has left comes before
// further input, which may be the end: see resume.
func (c *Conn) reads() bool {
	return c.state == stateLingering ||
		c.state < stateDraining && (!c.eng.draining || c.eng.arriving == c) && c.signals.Load()&(resumed|paused|outputHigh|closeAsked) == 0
}

// receive makes one system call and presents the bytes that it has received. It returns
// false when the connection is closed, or is not to be read now.
func (c *Conn) receive(budget *int) bool {
	if c.secure() != nil {
		return c.receiveSealed(budget)
	}
	view, room := c.room()
	if room == nil {
		c.eng.starve(c)
		return false
	}
	whole := len(room)
	most := c.mayRead(min(whole, *budget, c.eng.most))
	if most == 0 {
		return false
	}
	room = room[:most]
	n, errno := sys.Recv(c.reg.FD(), room, 0)
	switch {
	case errno == unix.EAGAIN:
		c.emptied()
		return c.drive(nil)
	case errno != 0:
		return c.finish(&socket.Error{Op: "recv", Errno: errno})
	case n == 0:
		c.readable, c.inputEnded = false, true
		return c.drive(nil)
	}
	c.eng.traffic.received(n)
	// After a short read the kernel has no more, unless it may have stopped earlier.
	c.readable = n == len(room) || c.shortReads
	c.receivedAny = true
	*budget -= n
	c.hasRead(n)
	c.eng.filled = n == whole
	if c.timeouts.any {
		c.active = c.eng.loop.Elapsed()
	}
	if c.in != nil {
		c.in.rate.bytes += n
	}
	return c.drive(c.data(view[:len(view)-whole+n]))
}

// emptied notes that a receive has said EAGAIN: the kernel has nothing left, unless a signal
// has stopped the receive at TCP urgent data.
func (c *Conn) emptied() { c.readable = c.shortReads && sys.StoppedAtMark(c.reg.FD()) }

// discard receives input of a connection that is being closed, and drops it. It
// returns false when the connection is closed.
func (c *Conn) discard(budget *int) bool {
	n, errno := sys.Recv(c.reg.FD(), c.eng.buf, 0)
	*budget -= n
	c.eng.traffic.received(max(n, 0))
	switch {
	case errno == unix.EAGAIN:
		c.emptied()
	case errno != 0 || n == 0:
		return c.finish(nil)
	default:
		c.timeouts.leaving.received()
	}
	return true
}

// data presents the input view to Data. Without Data the input stays unread.
func (c *Conn) data(view []byte) error {
	f := c.eng.service.Events.Data
	if f == nil {
		f = nothing
	}
	return c.present(view, f)
}

// present calls the callback f with the input view, and keeps what f leaves unread.
func (c *Conn) present(view []byte, f func(*Conn) error) error {
	c.eng.unread = view
	err := c.call(f)
	left := c.eng.unread
	c.eng.unread = nil
	if err != nil {
		return err
	}
	return c.keep(left, len(left) < len(view))
}

func nothing(*Conn) error { return nil }

// An input holds what a callback has left unread.
type input struct {
	buf     []byte
	since   time.Duration // when Timeouts.Read began for it, on the loop's clock
	rate    window        // what the peer has sent, for Timeouts.MinRate
	counted int           // how much of it Server.MaxMemory counts
}

// smallInput is the size of the pooled buffers. If a callback has left no more than
// this, room copies that to the front of the shared buffer and new input is received
// behind it there. If it has left more, new input is received into its own buffer.
const smallInput = 4 << 10

var inputs = sync.Pool{New: func() any { return &input{buf: make([]byte, 0, smallInput)} }}

// left returns what the callbacks have left unread.
func (c *Conn) left() []byte {
	if c.in == nil {
		return nil
	}
	return c.in.buf
}

// room returns where to receive the next bytes, and the view of all unread bytes,
// which ends with the room. If Server.MaxMemory has no room, it returns nil.
func (c *Conn) room() (view, room []byte) {
	e := c.eng
	if !e.mayRead() {
		return nil, nil
	}
	// A callback may leave all of one receive while it cannot write. That must fit in
	// MaxInput, together with what it has left before.
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
		size := max(min(2*len(in.buf), e.srv.MaxInput+readSize), len(in.buf)+readSize)
		if !e.fits(size - cap(in.buf)) {
			e.relieve(size - cap(in.buf))
			return nil, nil
		}
		grown := make([]byte, len(in.buf), size)
		copy(grown, in.buf)
		in.buf = grown
		c.weighInput()
	}
	view = in.buf[:cap(in.buf)]
	return view, view[len(in.buf):]
}

// keep stores what a callback has left unread. used says whether the callback has
// read a part of what it got.
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
		in.since, in.rate, c.in = c.eng.loop.Elapsed(), window{}, in
		c.rearm()
	case unsafe.SliceData(left) == unsafe.SliceData(in.buf):
		// The callback has left all of it, so it stays in place. If a megabyte
		// arrived byte by byte, moving it each time would take quadratic time.
		in.buf = in.buf[:len(left)]
	default:
		// What is left moves to the front of the buffer.
		in.buf = append(in.buf[:0], left...)
		if used { // the rest belongs to another message
			in.since, in.rate = c.eng.loop.Elapsed(), window{}
		}
	}
	c.weighInput()
	return nil
}

// drop discards what the callbacks have left unread.
func (c *Conn) drop() {
	if c.in == nil {
		return
	}
	c.eng.hold(-c.in.counted)
	c.in.counted = 0
	if cap(c.in.buf) == smallInput {
		c.in.buf = c.in.buf[:0]
		inputs.Put(c.in)
	}
	c.in = nil
}

// input returns the input that the running callback of the connection has not read yet.
func (c *Conn) input() []byte {
	if c.eng.current != c {
		return nil
	}
	return c.eng.unread
}

// Buffered returns how many unread bytes have arrived. Only the connection's callbacks
// may call it. In other functions on the loop it returns 0.
func (c *Conn) Buffered() int { return len(c.input()) }

// Peek returns the next n unread bytes, or nil if fewer have arrived. If n is negative,
// it returns all. The bytes stay unread. The slice is valid until the callback returns,
// and must not be changed. Only the connection's callbacks may call it. In other
// functions on the loop it returns nil.
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

// Next is Peek, and marks the bytes that it returns as read. Only the connection's
// callbacks may call it.
func (c *Conn) Next(n int) []byte {
	p := c.Peek(n)
	if len(p) > 0 {
		c.eng.unread = c.eng.unread[len(p):]
	}
	return p
}

// Discard marks n bytes as read, or all if fewer have arrived, and returns how many.
// Only the connection's callbacks may call it.
func (c *Conn) Discard(n int) int {
	n = min(max(n, 0), len(c.input()))
	if n > 0 {
		c.eng.unread = c.eng.unread[n:]
	}
	return n
}

// Read copies unread input to p. It never waits. When all input that has arrived
// was read, it returns ErrNoInput, or io.EOF if the peer has ended its stream. A
// bufio.Reader works on top of Read: it returns ErrNoInput once, and a later callback
// reads on. Only the connection's callbacks may call it. In other functions on the loop
// it returns ErrNoInput.
func (c *Conn) Read(p []byte) (int, error) {
	n := copy(p, c.input())
	if n == 0 && len(p) > 0 {
		if c.eng.current == c && c.inputEnded {
			return 0, io.EOF
		}
		return 0, ErrNoInput
	}
	if n > 0 {
		c.eng.unread = c.eng.unread[n:]
	}
	return n, nil
}
