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

// No goroutine holds the lock of a Conn during a system call. Instead, a goroutine that
// sends has the right to send from beginSend to endSend. Meanwhile other goroutines queue
// what they write. So the bytes leave in the order of the calls of Write.

// A sendState says whether a goroutine has the right to send, and what endSend has to do
// for the loop, whose flush did nothing meanwhile.
type sendState uint8

const (
	sending  sendState = 1 << iota // a goroutine has the right to send
	roomCame                       // the kernel has reported room meanwhile
	flushDue                       // flush was called meanwhile

	notSending sendState = 0
)

// Write writes p, or queues what the kernel does not take. It never waits and calls no
// callback, so the caller may hold a lock which callbacks take.
// When it returns, p belongs to the caller again. The count is len(p), or 0 with an
// error:
//
//   - ErrOutputFull, if p together with what is queued is more than Server.MaxOutput.
//     Nothing of p is sent then, and a later Write may succeed. A callback that writes
//     to slow peers avoids this: it stops when Queued is above Server.HighWater, or
//     when Pressure is called, which comes before the next Data of any connection of
//     the loop.
//   - ErrMemoryFull, if Server.MaxMemory has no room for p, and p has more than 64 KiB
//     or output is queued already. Nothing of p is sent then.
//   - EPIPE, after CloseWrite.
//   - EBADF, which is also net.ErrClosed, when the connection is closed or Close was
//     called.
//   - The errno of the system call, after which the connection ends.
//
// What a callback writes to its own connection leaves when the callback returns, in one
// system call. What another callback, a posted task or another goroutine writes while
// the connection's loop is in a turn leaves at the end of the turn, in one system call
// for each connection. At most 256 connections send at the end of a turn; the others
// send at the end of the next turns. A write leaves at once, behind what waits, if the
// loop sleeps, if it has 16 KiB or more, or if more than 64 KiB or Server.HighWater
// would wait. So, while the peer keeps up, output waits for a turn, and a connection
// queues at most 64 KiB.
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
	return c.Write(unsafe.Slice(unsafe.StringData(s), len(s))) // Write does not change the bytes
}

// Writev writes all the buffers as one Write of all their bytes does, with the same
// errors. It makes one system call for up to 1024 buffers.
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
	if len(bufs) == 1 {
		if err := c.write(bufs[0]); err != nil {
			return 0, err
		}
		return n, nil
	}
	// None of them is sent now, not even if the loop has ended its turn meanwhile: that
	// would release the lock, and another write would come between the buffers.
	c.put(n, bufs...)
	return n, nil
}

// WriteAsync writes p without copying it: the program must not change p until done was
// called. Several calls of WriteAsync, also of several connections, may get the same p,
// because none of them changes it. The loop calls done after WriteAsync has returned:
// with nil when the kernel has taken p, or with the error that ended the connection
// before. If WriteAsync returns an error, done is not called. The errors are those of
// Write. It also returns ErrOutputFull while one WriteAsync for each 64 bytes of
// Server.MaxOutput waits to be sent, or for its done to be called.
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

// CloseWrite ends the connection's own stream when all output has left: shutdown(2).
// The peer reads the end, and may still send. From now on writes return EPIPE. When the
// peer has ended its stream, too, the connection closes. CloseWrite does not wait and
// calls no callback.
func (c *Conn) CloseWrite() { c.ask(closeWriteAsked) }

// Queued returns how many bytes wait until the peer takes them, or until the end of the
// loop's turn. No more than 64 KiB and no more than Server.HighWater wait for the end of
// the turn. So if Queued is above HighWater, the peer is slow.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		c.checkHigh() // a goroutine that is sending may not have come so far
	}
	return c.queuedBytes()
}

func (c *Conn) queuedBytes() int {
	if c.out == nil {
		return 0
	}
	return c.out.size
}

// The methods below need the lock, unless they say otherwise.

// admit returns an error if the connection refuses a write of n bytes and so many pieces.
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
	case (n > gatherSize || !c.out.empty()) && !c.eng.fits(n):
		return ErrMemoryFull
	}
	if c.waiting()+n > most {
		c.queueGathered()
		if c.out != nil && !c.out.blocked && !c.sends() {
			_ = c.push(math.MaxInt, math.MaxInt) // the kernel may take the queue; an error ends the connection
		}
		if c.waiting()+n > most {
			return ErrOutputFull
		}
	}
	return nil
}

// waiting returns how many bytes are queued, gathered, or being sent. The kernel may
// refuse what is being sent, which is queued then.
func (c *Conn) waiting() int {
	n := c.queuedBytes()
	if c.gathers() {
		n += len(c.eng.gather)
	}
	if c.sends() {
		n += int(c.direct)
	}
	return n
}

// gathers reports whether writes are to be gathered: a callback of the connection runs.
func (c *Conn) gathers() bool {
	call := c.signals.Load() >> callShift
	return call&1 != 0 && uint8(call) != c.gathered
}

// sends reports whether a goroutine is sending. call, which sends what a callback has
// written, does not set sending.
func (c *Conn) sends() bool {
	call := c.signals.Load() >> callShift
	return c.sending != notSending || call&1 != 0 && uint8(call) == c.gathered
}

// mayWriteNow reports whether a write of n bytes makes a system call now.
func (c *Conn) mayWriteNow(n int) bool {
	if n == 0 || !c.out.empty() || c.sends() || c.extra.limitsWrite() {
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

// write sends, gathers or queues p, which admit has accepted.
func (c *Conn) write(p []byte) error {
	if c.mayWriteNow(len(p)) {
		if c.secure() != nil {
			return c.lend([][]byte{p}, len(p))
		}
		return c.sendNow(p)
	}
	c.put(len(p), p)
	return nil
}

// put gathers or queues buffers of n bytes.
func (c *Conn) put(n int, bufs ...[]byte) {
	switch {
	case n == 0:
	case c.gathers() && c.out.empty() && !c.sends() && !c.extra.limitsWrite():
		for _, p := range bufs {
			c.eng.gather = append(c.eng.gather, p...)
		}
	default:
		o := c.output()
		for _, p := range bufs {
			o.append(p)
		}
		c.queued()
	}
}

// sendNow sends p, behind what was gathered, and queues what the kernel does not take.
// The queue must be empty.
func (c *Conn) sendNow(p []byte) error {
	var head []byte
	if c.gathers() {
		// beginSend releases the lock. Then the callback may end, and another one begin to gather.
		head, c.eng.gather = c.eng.gather, nil
	}
	fd, err := c.beginSend(len(head) + len(p))
	if err != nil {
		return err
	}
	n, errno := sys.Writev(fd, [][]byte{head, p})
	c.eng.traffic.sent(n)
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
// the kernel does not take. The queue must be empty.
func (c *Conn) lend(bufs [][]byte, n int) error {
	c.queueGathered()
	o := c.output()
	lent := 0
	if n < bigWrite { // one copy costs less than a writev(2) of many buffers
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

// output returns the queue. It takes one from the pool if there is none.
func (c *Conn) output() *output {
	if c.out == nil {
		c.out = outputs.Get().(*output)
		c.out.conn = c
	}
	return c.out
}

// queued sends the queue, or arranges for it to be sent, after something was added.
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
	c.weighOutput()
	c.checkHigh()
	if o.finished.n > 0 && !c.gathers() {
		c.reg.Poke() // the loop calls the completions
	}
}

// checkHigh tells the loop if more than HighWater is queued.
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

// fail notes the first errno of a write, makes the loop end the connection, and returns
// the error.
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
