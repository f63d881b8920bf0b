package server

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// The lock of a Conn is not held during system calls. Whoever sends sets sending, and has
// the right to send until the flag is cleared. Others queue meanwhile, so the bytes leave
// in the order of the calls.

// A sendState says whether somebody is sending.
type sendState uint8

const (
	notSending sendState = iota
	sending
	sendingRoom // and the loop was told meanwhile that the kernel has room
)

// Write writes p, or queues what the kernel does not take. It never waits, calls no
// callback, and may be called by any goroutine, also with a lock held that callbacks
// take. When it returns, p belongs to the caller again. The count is len(p), or 0
// with an error:
//
//   - ErrOutputFull, if p and what is queued would be more than Server.MaxOutput.
//     Nothing of p is sent then, and a later Write may succeed. Callbacks that
//     write to slow peers stop before: when Queued is above Server.HighWater, or
//     when Pressure is called, which on the loop comes before Data of any connection.
//   - EPIPE, after CloseWrite.
//   - EBADF, which is also net.ErrClosed, when the connection is closed or Close was
//     called.
//   - The errno of the system call, after which the connection ends.
//
// What a callback writes to its own connection leaves when the callback returns, in one
// system call. What is written to a connection whose loop is in a turn, by another
// callback or a posted task of the loop, or by another goroutine, leaves at the end of
// the turn, in one system call for each connection. 256 connections send at the end of a
// turn; further ones follow after the next turn's events. A write leaves at once, with
// all that waits, if the loop sleeps, if it has 16 KiB or more, or if more than 64 KiB or
// Server.HighWater would wait. So latency is bounded by a turn, and memory by 64 KiB for
// each connection that was written to, as long as its peer keeps up.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(len(p), 0); err != nil {
		return 0, err
	}
	if err := c.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteString is Write of a string.
func (c *Conn) WriteString(s string) (int, error) {
	return c.Write(unsafe.Slice(unsafe.StringData(s), len(s))) // which does not change it
}

// Writev writes all the buffers, as Write would write them in one. It makes one
// system call for up to 1024 buffers.
func (c *Conn) Writev(bufs [][]byte) (int, error) {
	n := 0
	for _, p := range bufs {
		n += len(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(n, 0); err != nil {
		return 0, err
	}
	if len(bufs) > 1 && c.mayWriteNow(n) {
		if err := c.lend(bufs, n); err != nil {
			return 0, err
		}
		return n, nil
	}
	for _, p := range bufs {
		if err := c.write(p); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// WriteAsync writes p without copying it: the bytes must not change until done is
// called. The same p may be given to several WriteAsync, of several connections,
// too, as none of them changes it; it may change after the last done. The loop calls
// done with nil when the kernel has taken p, or with the error that ended the
// connection before; never during WriteAsync. If WriteAsync returns an error, which
// is as with Write, done is not called. It is ErrOutputFull as well while more than
// one piece for each 64 bytes of Server.MaxOutput waits to be sent or for its done.
func (c *Conn) WriteAsync(p []byte, done func(error)) error {
	if done == nil {
		return fmt.Errorf("server: write %d bytes: the completion function is nil", len(p))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.admit(len(p), 1); err != nil {
		return err
	}
	now := c.mayWriteNow(len(p)) && !c.gathers()
	c.queueGathered()
	c.output().appendPiece(p, done)
	if now {
		_ = c.push(c.eng.srv.Chunk, pushCalls) // an error ends the connection, which calls done
	}
	c.queued()
	return nil
}

// CloseWrite ends the connection's own stream when everything that was written has
// left: shutdown(2). The peer reads the end, and may still send. Writes are refused
// with EPIPE from now on. When the peer has ended its stream, too, the connection
// closes. CloseWrite does not wait, and calls no callback.
func (c *Conn) CloseWrite() { c.ask(closeWriteAsked) }

// Queued returns how many bytes wait for the peer to take them, or for the end of the
// loop's turn. The latter are no more than 64 KiB or Server.HighWater, so if Queued is
// above HighWater, the peer is slow.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queuedBytes()
}

func (c *Conn) queuedBytes() int {
	if c.out == nil {
		return 0
	}
	return c.out.size
}

// The methods below need the lock, unless they say otherwise.

// admit returns the error of what cannot be written: n bytes, and a piece or none.
func (c *Conn) admit(n, pieces int) error {
	most := c.eng.srv.MaxOutput
	switch signals := c.signals.Load(); {
	case signals&(gone|closeAsked|abortAsked) != 0:
		return errConnClosed("write")
	case signals&writeFailed != 0:
		return c.failed("write")
	case signals&closeWriteAsked != 0:
		return &socket.Error{Op: "write", Errno: unix.EPIPE, Err: errors.New("CloseWrite was called")}
	case n > most:
		return fmt.Errorf("server: write %d bytes: Server.MaxOutput is %d: %w", n, most, ErrOutputFull)
	case pieces > 0 && c.out != nil && (c.out.pieces.n+c.out.finished.n)*pieceCost >= most:
		return ErrOutputFull
	}
	if c.waiting()+n > most {
		c.queueGathered()
		if c.out != nil && !c.out.blocked && !c.sends() {
			_ = c.push(math.MaxInt, math.MaxInt) // the kernel may take it; an error ends the connection
		}
		if c.waiting()+n > most {
			return ErrOutputFull
		}
	}
	return nil
}

// waiting returns how many bytes are queued or gathered.
func (c *Conn) waiting() int {
	n := c.queuedBytes()
	if c.gathers() {
		n += len(c.eng.gather)
	}
	return n
}

// gathers reports whether a callback of the connection runs, whose writes gather.
func (c *Conn) gathers() bool {
	call := c.signals.Load() >> callShift
	return call&1 != 0 && uint8(call) != c.gathered
}

// sends reports whether somebody is sending. The end of a callback sends what was
// gathered without setting sending: see call.
func (c *Conn) sends() bool {
	call := c.signals.Load() >> callShift
	return c.sending != notSending || call&1 != 0 && uint8(call) == c.gathered
}

// mayWriteNow reports whether a write of n bytes makes a system call now.
func (c *Conn) mayWriteNow(n int) bool {
	if n == 0 || !c.out.empty() || c.sends() {
		return false
	}
	if n >= bigWrite {
		return true
	}
	if c.gathers() {
		return len(c.eng.gather)+n > gatherSize
	}
	_, inTurn := c.eng.loop.Busy()
	return !inTurn
}

// write writes p, which was admitted.
func (c *Conn) write(p []byte) error {
	switch {
	case len(p) == 0:
	case c.mayWriteNow(len(p)):
		return c.sendNow(p)
	case c.gathers() && c.out.empty() && !c.sends():
		c.eng.gather = append(c.eng.gather, p...)
	default:
		c.output().append(p)
		c.queued()
	}
	return nil
}

// sendNow sends p, behind what was gathered, and queues what the kernel does not take.
// Nothing is queued before.
func (c *Conn) sendNow(p []byte) error {
	var head []byte
	if c.gathers() {
		// Without the lock the callback may end, and another one begin to gather.
		head, c.eng.gather = c.eng.gather, nil
	}
	fd, err := c.beginSend()
	if err != nil {
		return err
	}
	n, errno := sys.Writev(fd, [][]byte{head, p})
	err = c.endSend(errno)
	if err == nil {
		c.prepend(p[max(n-len(head), 0):])
		c.prepend(head[min(n, len(head)):])
		c.queued() // others may have queued meanwhile
	}
	if c.gathers() && c.eng.gather == nil {
		c.eng.gather = head[:0]
	}
	return err
}

// prepend queues a copy of p before everything else.
func (c *Conn) prepend(p []byte) {
	if len(p) > 0 {
		c.output().prepend(p)
	}
}

// lend sends the buffers of n bytes, behind what was gathered, and queues copies of what
// the kernel does not take. Nothing is queued before.
func (c *Conn) lend(bufs [][]byte, n int) error {
	c.queueGathered()
	o := c.output()
	lent := 0
	if n < bigWrite { // a copy of all costs less than to describe each
		for _, p := range bufs {
			o.append(p)
		}
	} else {
		for _, p := range bufs {
			o.appendPiece(p, nil)
		}
		lent = len(bufs)
	}
	err := c.push(math.MaxInt, math.MaxInt)
	o.own(lent)
	c.queued()
	return err
}

// queueGathered moves what the running callback has gathered to the queue.
func (c *Conn) queueGathered() {
	if c.gathers() && len(c.eng.gather) > 0 {
		c.output().append(c.eng.gather)
		c.eng.gather = c.eng.gather[:0]
	}
}

// output returns the queue, which it makes if there is none.
func (c *Conn) output() *output {
	if c.out == nil {
		c.out = outputs.Get().(*output)
		c.out.conn = c
	}
	return c.out
}

// queued decides what happens to the queue after something was added to it.
func (c *Conn) queued() {
	o := c.out
	if o == nil {
		return
	}
	srv := c.eng.srv
	if !o.blocked && !c.sends() && o.size > min(gatherSize, srv.HighWater) {
		_ = c.push(srv.Chunk, pushCalls) // an error ends the connection
	}
	if !o.empty() && !o.blocked && c.sending == notSending && !c.gathers() {
		c.schedule()
	}
	c.checkHigh()
	if o.finished.n > 0 && !c.gathers() {
		c.reg.Poke() // the loop calls the completions
	}
}

// checkHigh tells the loop that too much is queued.
func (c *Conn) checkHigh() {
	if c.out.size > c.eng.srv.HighWater && c.signals.Or(outputHigh)&outputHigh == 0 {
		e := c.eng
		e.lateMu.Lock()
		e.high = append(e.high, c)
		e.lateMu.Unlock()
		e.pressed.Store(true)
		c.reg.Poke()
	}
}

// fail makes the loop end the connection.
func (c *Conn) fail(errno syscall.Errno) error {
	if c.signals.Load()&writeFailed == 0 {
		c.failure = uint16(errno)
		c.signals.Or(writeFailed)
	}
	c.reg.Poke()
	return c.failed("write")
}

// failed returns the error of the first write that failed.
func (c *Conn) failed(op string) error { return &socket.Error{Op: op, Errno: syscall.Errno(c.failure)} }
