package server

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"syscall"
	"unsafe"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// When a write leaves:
//
//   - What a callback writes to its own connection is gathered, and leaves in one
//     system call when the callback returns.
//   - What is written to another connection whose loop is in a turn, by a callback
//     of that loop, a posted task, or another goroutine, leaves in one system call
//     at the end of the turn. It waits in memory until then.
//   - A write leaves at once if the loop sleeps, if it is of 16 KiB or more, or if
//     the waiting bytes become more than 64 KiB or HighWater.
//
// Whatever comes behind queued output is queued, too. The bytes of a connection
// leave in the order of the calls. One turn's end sends the output of 256
// connections; further ones have their turn after the next turn's events.
//
// The lock is not held during system calls. Whoever sends sets sending, and has the
// right to send until the flag is cleared. Others queue meanwhile.

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
		return n, c.lend(bufs)
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
		c.push(math.MaxInt, math.MaxInt)
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

// lend sends the buffers, behind what was gathered, and copies what the kernel does
// not take.
func (c *Conn) lend(bufs [][]byte) error {
	c.queueGathered()
	o := c.output()
	for _, p := range bufs {
		o.appendPiece(p, nil)
	}
	err := c.push(math.MaxInt, math.MaxInt)
	o.own(len(bufs))
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

// tellPressure calls Pressure of the connections for which too much was queued lately.
// It is called before Data of any connection, so that the program can hold back who
// causes it.
func (e *engine) tellPressure() {
	e.pressed.Store(false)
	e.lateMu.Lock()
	high := e.high
	e.high = nil
	e.lateMu.Unlock()
	for _, c := range high {
		c.drive(nil)
	}
}

// schedule makes the queue leave at the end of the loop's turn.
func (c *Conn) schedule() {
	o, e := c.out, c.eng
	if o.scheduled {
		return
	}
	o.scheduled = true
	e.lateMu.Lock()
	e.late = append(e.late, o)
	first := !e.lateAsked
	e.lateAsked = true
	e.lateMu.Unlock()
	if first {
		_ = e.loop.AtTurnEnd(e.turnEnd) // a closed loop ends the connection
	}
}

// pushCalls is how many system calls a flush of one connection makes at most before
// others have their turn.
const pushCalls = 16

// push sends what is queued, until the kernel takes no more or so many bytes have
// left in so many calls. An error ends the connection.
func (c *Conn) push(bytes, calls int) error {
	o := c.out
	o.take(0)
	scratch := scratches.Get().(*scratch)
	defer scratches.Put(scratch)
	for ; o.size > 0 && bytes > 0 && calls > 0 && !o.blocked; calls-- {
		bufs := o.next(scratch.bufs[:0], bytes)
		fd, err := c.beginSend()
		if err != nil {
			return err
		}
		n, errno := sys.WritevMany(fd, bufs, &scratch.iov)
		err = c.endSend(errno)
		clear(bufs)
		if n > 0 {
			o.moved = c.eng.loop.Elapsed()
			o.take(n)
			bytes -= n
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// beginSend gives the caller the right to send. It releases the lock; endSend takes it
// again. The descriptor stays open until then.
func (c *Conn) beginSend() (fd int, err error) {
	if c.reg.Use() != nil {
		return -1, errConnClosed("write")
	}
	c.sending = sending
	c.mu.Unlock()
	return c.reg.FD(), nil
}

// endSend ends the right to send. After EAGAIN the loop waits until the kernel reports
// room. When the kernel has taken a part, it may have room: the next call finds out. An
// error means that the connection is over.
func (c *Conn) endSend(errno syscall.Errno) error {
	c.reg.Done()
	c.mu.Lock()
	room := c.sending == sendingRoom
	c.sending = notSending
	switch signals := c.signals.Load(); {
	case signals&gone != 0:
		c.endLater()
		return errConnClosed("write")
	case errno != 0 && errno != unix.EAGAIN:
		return c.fail(errno)
	case signals&(closeAsked|abortAsked|closeWriteAsked|writeFailed) != 0:
		c.reg.Poke() // the loop may have waited for this
	}
	if errno == unix.EAGAIN && !room {
		return c.block()
	}
	return nil
}

// block makes the queue wait until the kernel reports room.
func (c *Conn) block() error {
	o := c.output()
	o.blocked = true
	if !o.watched {
		o.watched = true
		if err := c.reg.WatchWrite(true); err != nil {
			var errno syscall.Errno
			if !errors.As(err, &errno) {
				return errConnClosed("write")
			}
			return c.fail(errno)
		}
	}
	c.reg.Poke() // for the timer of Timeouts.Write
	return nil
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

// A scratch is the memory for one writev(2).
type scratch struct {
	bufs [sys.MaxIovec][]byte
	iov  [sys.MaxIovec]unix.Iovec
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// flush sends what is queued, on the loop, and calls completions. room says that the
// kernel has reported room. It takes the lock.
func (c *Conn) flush(room bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sending != notSending {
		if room {
			c.sending = sendingRoom // and the sender goes on
		}
		return
	}
	o := c.out
	if o == nil {
		return
	}
	srv := c.eng.srv
	if room {
		o.blocked = false
	}
	more := false
	if c.signals.Load()&writeFailed != 0 {
		more = c.complete(o, completionsPerTurn, c.failed("send"))
	} else if !o.blocked {
		err := c.push(srv.Chunk, pushCalls)
		more = err == nil && !o.blocked && !o.empty()
	}
	if o.size <= srv.LowWater && c.signals.Load()&outputHigh != 0 {
		c.signals.And(^outputHigh)
	}
	more = c.complete(o, completionsPerTurn, nil) || more
	if more {
		c.reg.Poke() // the other connections get their turn first
	}
	c.dismiss()
}

// completionsPerTurn is how many completions a connection has in a turn at most.
const completionsPerTurn = 1024

// complete calls up to most completions, without the lock: without an error of what
// the kernel has taken, and then, unless lost is nil, with lost of what it will never
// get. It returns whether there are more.
func (c *Conn) complete(o *output, most int, lost error) (more bool) {
	for ; most > 0; most-- {
		var done func(error)
		var err error
		if o.finished.n > 0 {
			done = o.finished.pop()
		} else if lost != nil && o.pieces.n > 0 {
			done, err = o.pieces.pop().done, lost
		} else {
			break
		}
		if done != nil {
			c.mu.Unlock()
			completed(c.eng.srv, done, err)
			c.mu.Lock()
		}
	}
	if lost != nil && o.pieces.n == 0 {
		o.clear()
	}
	return o.finished.n > 0 || lost != nil && o.pieces.n > 0
}

// dismiss gives back a queue that is empty.
func (c *Conn) dismiss() {
	o := c.out
	if o == nil || !o.empty() || o.finished.n > 0 || o.scheduled || c.sending != notSending {
		return
	}
	if o.watched && c.peer.isUnix() {
		// The kernel would report each packet that leaves.
		_ = c.reg.WatchWrite(false)
	}
	c.out = nil
	*o = output{}
	outputs.Put(o)
}

// latePerTurn is how many connections send their output at the end of one turn.
const latePerTurn = 256

// flushLate sends, at the end of a turn, what was written during the turn.
func (e *engine) flushLate() {
	if len(e.lateNow) == 0 {
		e.lateMu.Lock()
		e.lateNow, e.late = e.late, e.lateSpare[:0]
		e.lateMu.Unlock()
		e.lateSpare = e.lateNow
	}
	batch := e.lateNow[:min(len(e.lateNow), latePerTurn)]
	e.lateNow = e.lateNow[len(batch):]
	for i, o := range batch {
		batch[i] = nil
		o.conn.turnEnds(o)
	}
	e.lateMu.Lock()
	e.lateAsked = len(e.lateNow)+len(e.late) > 0
	again := e.lateAsked
	e.lateMu.Unlock()
	if again {
		_ = e.loop.AtTurnEnd(e.turnEnd) // a closed loop ends the connections
	}
}

// turnEnds sends what was written to the connection during the turn.
func (c *Conn) turnEnds(o *output) {
	c.mu.Lock()
	o.scheduled = false
	current := c.out == o
	c.mu.Unlock()
	if !current || c.state == stateClosed {
		return
	}
	c.flush(false)
	if c.drive(nil) {
		c.rearm()
	}
}
