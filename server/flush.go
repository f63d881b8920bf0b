package server

import (
	"errors"
	"sync"
	"syscall"

	"github.com/seed-2334f180/weir/internal/sys"
	"golang.org/x/sys/unix"
)

// schedule makes the loop send the queue at the end of its turn. It needs the lock, as
// all methods of this file up to block do.
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

// pushCalls is how many system calls one flush of a connection makes at most.
const pushCalls = 16

// push sends what is queued, until the kernel takes no more, so many bytes have left, or
// so many system calls were made. An error ends the connection.
func (c *Conn) push(bytes, calls int) error {
	if c.secure() != nil {
		return c.pushSealed(bytes, calls)
	}
	o := c.out
	o.take(0)
	scratch := scratches.Get().(*scratch)
	defer scratches.Put(scratch)
	for ; (o.size > 0 || o.fileBytes > 0) && bytes > 0 && calls > 0 && !o.blocked; calls-- {
		most := c.maySend(bytes)
		if most == 0 {
			break
		}
		if f := o.front(); f != nil {
			n, err := c.pushFile(f, most)
			if bytes -= n; err != nil {
				return err
			}
			continue
		}
		bufs := trim(o.next(scratch.bufs[:0], most), most)
		fd, err := c.beginSend(0) // the queue has the bytes, and counts them
		if err != nil {
			return err
		}
		n, errno := sys.WritevMany(fd, bufs, &scratch.iov)
		err = c.endSend(errno)
		clear(bufs)
		if n > 0 {
			o.moved = c.eng.loop.Elapsed()
			c.eng.traffic.sent(n)
			o.take(n)
			c.hasSent(n)
			bytes -= n
			if o.rate.bytes += n; o.size == 0 {
				o.rate = window{} // nothing is in progress any more
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// beginSend gives the caller the right to send, and releases the lock. endSend takes the
// lock again. Between the two the descriptor stays open. direct is how many bytes are
// sent that the queue does not have.
func (c *Conn) beginSend(direct int) (fd int, err error) {
	if c.reg.Use() != nil {
		return -1, errConnClosed("write")
	}
	c.sending, c.direct = sending, int32(direct)
	c.mu.Unlock()
	return c.reg.FD(), nil
}

// endSend ends the right to send. After EAGAIN the queue waits until the kernel reports
// room. After the kernel has taken only a part, the next system call finds out whether
// there is room. An error ends the connection.
func (c *Conn) endSend(errno syscall.Errno) error {
	c.reg.Done()
	c.mu.Lock()
	state := c.sending
	c.sending = notSending
	switch signals := c.signals.Load(); {
	case signals&gone != 0:
		c.endLater()
		return errConnClosed("write")
	case errno != 0 && errno != unix.EAGAIN:
		return c.fail(errno)
	case state&flushDue != 0, signals&(closeAsked|abortAsked|closeWriteAsked|writeFailed) != 0:
		c.reg.Poke() // flush and drive may wait for the end of the send
	}
	if errno == unix.EAGAIN && state&roomCame == 0 {
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
			if !errors.As(err, &errno) || errno == unix.EBADF { // the loop was closed
				return errConnClosed("write")
			}
			return c.fail(errno)
		}
	}
	c.reg.Poke() // the loop sets the timer of Timeouts.Write
	return nil
}

// A scratch is the memory for one writev(2).
type scratch struct {
	bufs [sys.MaxIovec][]byte
	iov  [sys.MaxIovec]unix.Iovec
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// flush sends what is queued and calls completions, on the loop. room says that the
// kernel has reported room. flush takes the lock.
func (c *Conn) flush(room bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sending != notSending {
		c.sending |= flushDue // the loop does not come again by itself
		if room {
			c.sending |= roomCame // endSend then does not block the queue
		}
		return
	}
	o := c.out
	if o == nil {
		c.relax()
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
	c.relax()
	more = c.complete(o, completionsPerTurn, nil) || more
	if more {
		c.reg.Poke() // go on in the next turn
	}
	c.weighOutput()
	c.dismiss()
}

// relax ends the pressure if little enough is queued, on the loop. It needs the lock. The
// pressure does not end before Pressure was called for its beginning: a program that has
// found Queued above HighWater may wait for the call that follows.
func (c *Conn) relax() {
	if c.signals.Load()&outputHigh == 0 || c.queuedBytes() > c.eng.srv.LowWater || !c.highReported && c.state <= stateBroken {
		return
	}
	c.signals.And(^outputHigh)
	c.readStopped = true // readTimesRun may not have run since outputHigh was set
	c.ask(resumed)       // Data gets again what it has left
}

// completionsPerTurn is how many completions of one connection the loop calls at most in
// one turn.
const completionsPerTurn = 1024

// complete calls up to most completions: first, with nil, those of the pieces that the
// kernel has taken; then, if lost is not nil, with lost those of the pieces that it will
// never take. It releases the lock during each call. It returns whether there are more.
func (c *Conn) complete(o *output, most int, lost error) (more bool) {
	for ; most > 0; most-- {
		var done func(error)
		var err error
		if o.finished.n > 0 {
			done = o.finished.pop()
		} else if lost != nil && o.pieces.n > 0 {
			done, err = o.popPiece(), lost
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

// dismiss returns the queue to the pool if it is empty and nothing else uses it.
func (c *Conn) dismiss() {
	o := c.out
	if o == nil || !o.empty() || o.finished.n > 0 || o.scheduled || c.sending != notSending {
		return
	}
	if o.watched && c.peer.isUnix() {
		// On a unix socket the kernel would report room after every packet that leaves.
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

// turnEnds sends o, which was scheduled during the turn, unless the connection does not
// have it any more.
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

// tellPressure calls Pressure of the connections whose queues have passed HighWater. It
// runs before Data of any connection, so that the program can stop reading from the
// connection whose input causes the output.
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
