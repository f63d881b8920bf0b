package server

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// An output is what a peer has not taken yet, first in, first out. The
// connection's lock guards it.
type output struct {
	pieces   []piece
	size     int           // in bytes
	moved    time.Duration // when the peer last took something; the loop's
	finished []func(error) // to be called by the loop
}

// A piece is some bytes that are queued: a copy, in a chunk of the pool, or the
// caller's own.
type piece struct {
	p     []byte
	chunk *chunk
	done  func(error)
}

// bigWrite is how many bytes are worth a system call of their own, rather than
// being copied to leave with others.
const bigWrite = 16 << 10

type chunk [16 << 10]byte

var (
	chunks  = sync.Pool{New: func() any { return new(chunk) }}
	outputs = sync.Pool{New: func() any { return new(output) }}
)

// Write writes p, or queues what the peer does not take at once; p is the
// caller's again when it returns. What a callback writes to its own connection
// leaves when it returns, all together, but for big writes, which leave at once.
// The count is len(p), or 0 with an error: ErrOutputFull when p and what is queued
// are more than Server.MaxOutput, which p may be alone; the kernel's, after which
// the connection ends; or, of a connection that has ended or is being closed,
// EBADF, which is net.ErrClosed.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(len(p)); err != nil {
		return 0, err
	}
	if err := c.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteString is Write.
func (c *Conn) WriteString(s string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(len(s)); err != nil {
		return 0, err
	}
	if e := c.eng; c.flags.Load()&gathering != 0 && len(e.gather)+len(s) <= gatherSize {
		e.gather = append(e.gather, s...)
		return len(s), nil
	}
	if err := c.write([]byte(s)); err != nil {
		return 0, err
	}
	return len(s), nil
}

// Writev writes all the buffers, as Write would one.
func (c *Conn) Writev(bufs [][]byte) (int, error) {
	n := 0
	for _, p := range bufs {
		n += len(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(n); err != nil {
		return 0, err
	}
	for _, p := range bufs {
		if err := c.write(p); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// WriteAsync writes p, which it does not copy: it is the connection's until done
// is called, on the loop, with nil when the kernel has all of it, or with the
// error that it never will. When WriteAsync itself returns an error, done is not
// called.
func (c *Conn) WriteAsync(p []byte, done func(error)) error {
	if done == nil {
		return fmt.Errorf("server: write %d bytes: the completion function is nil", len(p))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(len(p)); err != nil {
		return err
	}
	if c.flags.Load()&gathering != 0 {
		c.sendGathered()
	}
	n, err := c.try(p)
	if err != nil {
		return err
	}
	o := c.output()
	if n == len(p) && len(o.pieces) == 0 {
		o.finished = append(o.finished, done)
		c.reg.Poke()
		return nil
	}
	o.pieces = append(o.pieces, piece{p: p[n:], done: done})
	o.size += len(p) - n
	if err := c.await(); err != nil {
		// The connection is over, and its end would call done.
		last := len(o.pieces) - 1
		o.pieces[last] = piece{}
		o.pieces, o.size = o.pieces[:last], o.size-len(p)+n
		return err
	}
	return nil
}

// Queued is how many bytes the peer has not taken yet.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued()
}

func (c *Conn) queued() int {
	if c.out == nil {
		return 0
	}
	return c.out.size
}

// The methods below need the lock.

// admit refuses what cannot be written.
func (c *Conn) admit(n int) error {
	switch f := c.flags.Load(); {
	case f&(gone|closing|aborting) != 0:
		return connClosed("write")
	case f&failing != 0:
		return &socket.Error{Op: "write", Errno: syscall.Errno(c.errno)}
	case f&gathering != 0 && c.queued()+len(c.eng.gather)+n > c.eng.srv.MaxOutput:
		c.sendGathered() // the peer may take it
	}
	if c.queued()+n > c.eng.srv.MaxOutput {
		return ErrOutputFull
	}
	return nil
}

func (c *Conn) write(p []byte) error {
	if c.flags.Load()&gathering != 0 {
		e := c.eng
		if len(p) < bigWrite && len(e.gather)+len(p) <= gatherSize {
			e.gather = append(e.gather, p...)
			return nil
		}
		c.sendGathered()
	}
	n, err := c.try(p)
	if err != nil || n == len(p) {
		return err
	}
	c.queue(p[n:])
	return c.await()
}

// try sends what the kernel takes, if nothing is queued before.
func (c *Conn) try(p []byte) (int, error) {
	if c.out != nil && len(c.out.pieces) > 0 || len(p) == 0 {
		return 0, nil
	}
	// The loop might close the descriptor meanwhile.
	if err := c.reg.Use(); err != nil {
		return 0, connClosed("write")
	}
	defer c.reg.Done()
	n, errno := sys.Send(c.reg.FD(), p, 0)
	if errno != 0 && errno != unix.EAGAIN {
		return 0, c.fail(errno)
	}
	return n, nil
}

// fail has the loop end the connection.
func (c *Conn) fail(errno syscall.Errno) error {
	c.errno = uint16(errno)
	c.flags.Or(failing)
	c.reg.Poke()
	return &socket.Error{Op: "write", Errno: errno}
}

// sendGathered sends what the running callback, or the one that has just
// returned, has written.
func (c *Conn) sendGathered() {
	e := c.eng
	p := e.gather
	if cap(p) > gatherSize {
		e.gather = make([]byte, 0, 4096)
	} else {
		e.gather = p[:0]
	}
	if c.flags.Load()&(gone|failing) != 0 {
		return
	}
	n, err := c.try(p)
	if err != nil || n == len(p) {
		return // an error ends the connection
	}
	c.queue(p[n:])
	_ = c.await() // an error ends the connection
}

func (c *Conn) output() *output {
	if c.out == nil {
		c.out = outputs.Get().(*output)
	}
	return c.out
}

// queue keeps a copy of p.
func (c *Conn) queue(p []byte) {
	o := c.output()
	o.size += len(p)
	if n := len(o.pieces); n > 0 && o.pieces[n-1].chunk != nil {
		last := &o.pieces[n-1]
		k := copy(last.p[len(last.p):cap(last.p)], p) // the chunk's free space
		last.p, p = last.p[:len(last.p)+k], p[k:]
	}
	for len(p) > 0 {
		b := chunks.Get().(*chunk)
		k := copy(b[:], p)
		o.pieces = append(o.pieces, piece{p: b[:k], chunk: b})
		p = p[k:]
	}
}

// await has the loop told when the peer takes more, and sees to the marks.
func (c *Conn) await() error {
	if c.out.size > c.eng.srv.HighWater {
		c.flags.Or(high)
	}
	if c.out.size > 0 {
		if err := c.reg.WatchWrite(true); err != nil {
			var errno syscall.Errno
			if errors.Is(err, unix.EBADF) || !errors.As(err, &errno) {
				return connClosed("write")
			}
			return c.fail(errno)
		}
	}
	if c.flags.Load()&gathering == 0 {
		c.reg.Poke() // for the timer, and for the handler to be told
	}
	return nil
}

// flush sends what is queued, on the loop.
func (c *Conn) flush() {
	c.mu.Lock()
	o := c.out
	if o == nil {
		c.mu.Unlock()
		return
	}
	for len(o.pieces) > 0 {
		var bufs [64][]byte
		k := 0
		for _, piece := range o.pieces[:min(len(o.pieces), len(bufs))] {
			bufs[k] = piece.p
			k++
		}
		n, errno := sys.Writev(c.reg.FD(), bufs[:k])
		if errno == unix.EAGAIN {
			break
		}
		if errno != 0 {
			_ = c.fail(errno)
			break
		}
		o.moved = c.eng.loop.Elapsed()
		o.take(n)
	}
	if c.flags.Load()&high != 0 && o.size <= c.eng.srv.LowWater {
		c.flags.And(^high)
	}
	finished := o.finished
	o.finished = nil
	if o.size == 0 && len(o.pieces) == 0 {
		c.out = nil
		if c.peer == (inetPeer{}) { // a unix socket
			// It would be told of every packet that leaves.
			_ = c.reg.WatchWrite(false)
		}
		o.moved = 0 // the next connection's is another
		outputs.Put(o)
	}
	c.mu.Unlock()
	for _, done := range finished {
		c.eng.completed(done, nil)
	}
	c.rearm()
}

// completed calls a completion function.
func (e *engine) completed(done func(error), err error) {
	defer func() {
		if v := recover(); v != nil {
			_ = e.srv.panicked(v)
		}
	}()
	done(err)
}

// take removes n bytes, which were sent.
func (o *output) take(n int) {
	o.size -= n
	i := 0
	for ; i < len(o.pieces) && n >= len(o.pieces[i].p); i++ {
		piece := &o.pieces[i]
		n -= len(piece.p)
		if piece.chunk != nil {
			chunks.Put(piece.chunk)
		}
		if piece.done != nil {
			o.finished = append(o.finished, piece.done)
		}
	}
	rest := copy(o.pieces, o.pieces[i:])
	clear(o.pieces[rest:])
	o.pieces = o.pieces[:rest]
	if n > 0 {
		o.pieces[0].p = o.pieces[0].p[n:]
	}
}

// fail ends an output that will not be sent any more.
func (o *output) fail(e *engine, why error) {
	if o == nil {
		return
	}
	if why == nil {
		why = connClosed("write")
	}
	for _, done := range o.finished {
		e.completed(done, nil)
	}
	for i := range o.pieces {
		if b := o.pieces[i].chunk; b != nil {
			chunks.Put(b)
		}
		if done := o.pieces[i].done; done != nil {
			e.completed(done, why)
		}
	}
}
