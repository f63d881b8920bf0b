package server

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A Conn is a connection that a Server serves by Events. The methods that read
// input are for the connection's callbacks only. Any goroutine may call the other
// methods. A Conn stays open until Close, Abort, an error, or the peer's end.
type Conn struct {
	// User is for the program: what it knows about the connection, such as a login or
	// a parser. Attach and Dial set it before Open, and otherwise Open may. The server
	// does not use it. It has no lock: the callbacks run one at a time, and a program
	// that also uses it elsewhere needs a lock of its own.
	User any

	reg  loop.Handled
	self loop.Handler // a *connHandler that is this Conn; reg points to it
	eng  *engine

	signals atomic.Uint32

	failure  uint16     // errno of the first write that failed; guarded by mu
	sending  sendState  // whether somebody sends, without the lock; guarded by mu
	gathered uint8      // number of the last callback whose output was sent; guarded by mu
	mu       sync.Mutex // guards the output
	out      *output    // what the kernel has not taken yet; nil for nothing; guarded by mu

	// Only the loop's goroutine uses the rest.
	in       *input        // what Data has left unread; nil for nothing
	active   time.Duration // when the peer last sent something, or when its times began anew
	timerAt  time.Duration // when the timer of reg expires; 0 if it is not set
	timeouts *Timeouts
	next     *Conn // in the engine's list
	prev     *Conn
	peer     inetPeer
	state    connState

	readable     bool // a receive may find bytes, the end, or an error
	shortReads   bool // a receive may stop before the last byte: the stream has ended, or brings urgent data or descriptors
	inputEnded   bool // the peer has ended its stream, and all of it was received
	receivedAny  bool // the peer has sent at least a byte
	highReported bool // Pressure was called with on
	readStopped  bool // reading was stopped, so Idle, Read and FirstByte do not run
}

// A connState says what a connection is and what may happen to it. Only drive
// moves a connection on, and finish and Detach end it.
type connState uint8

const (
	// stateOpening: Open has not returned. No other callback runs.
	stateOpening connState = iota
	// stateOpen: both sides may send.
	stateOpen
	// stateHalfClosed: the peer has ended its stream, and End was called. The
	// connection can be written to.
	stateHalfClosed
	// stateBroken: a write has failed, so nothing can be written any more. What the
	// kernel still has of the input is delivered; then the connection ends.
	stateBroken
	// stateDraining: Close was called. Nothing is read, and no write is accepted.
	// Queued output leaves.
	stateDraining
	// stateLingering: all output has left, and the connection's own stream has
	// ended. Input is discarded until the peer has acknowledged everything.
	stateLingering
	// stateClosed: the descriptor is closed, or was given away by Detach.
	stateClosed
)

// The signals are what other goroutines ask of the loop, and what a writer tells
// it. Any goroutine sets them; the loop takes them in, in ready and drive.
const (
	paused          uint32 = 1 << iota // PauseRead
	resumed                            // ResumeRead, or relief of pressure: present what Data has left
	woken                              // Wake
	closeAsked                         // Close
	abortAsked                         // Abort
	outputHigh                         // more than HighWater is queued, and not yet down to LowWater
	writeFailed                        // a write has failed with the errno failure
	closeWriteAsked                    // CloseWrite
	writeEnded                         // CloseWrite is done: the connection's own stream has ended
	gone                               // the connection is closed: writes are refused
	ended                              // Events.Closed was called

	// callShift is where the number of the callback begins: see call.
	callShift = 16
)

// Server returns the server of the connection.
func (c *Conn) Server() *Server { return c.eng.srv }

// Loop returns the loop that calls the connection's callbacks. A program may use
// its Post and AfterFunc.
func (c *Conn) Loop() *loop.Loop { return c.eng.loop }

// RemoteAddr returns the peer's address, also when the connection is closed. The
// address of an IPv4 peer is IPv4, on a dual-stack listener too. The address of a
// unix connection has no path.
func (c *Conn) RemoteAddr() socket.Addr { return c.peer.addr() }

// LocalAddr returns the connection's own address by getsockname(2). If the
// connection is closed, it returns the zero Addr.
func (c *Conn) LocalAddr() (a socket.Addr) {
	_ = c.Control(func(fd int) error {
		var name sys.Sockaddr
		if errno := sys.Getsockname(fd, &name); errno == 0 {
			a = socket.AddrFromSockaddr(&name.Raw, name.Len)
		}
		return nil
	})
	return a
}

// Control calls f with the descriptor, for socket options and the like. The
// descriptor stays open until f returns. It still belongs to the connection. If
// the connection is closed, Control returns EBADF, which is also net.ErrClosed.
func (c *Conn) Control(f func(fd int) error) error {
	if err := c.reg.Use(); err != nil {
		return errConnClosed("control")
	}
	defer c.reg.Done()
	return f(c.reg.FD())
}

// errConnClosed returns the error of an operation on a closed connection.
func errConnClosed(op string) error {
	return &socket.Error{Op: op, Errno: unix.EBADF, Err: loop.ErrClosed}
}

// PauseRead stops reading until ResumeRead, so that the kernel's buffers fill up
// and the peer has to wait. Data may still be called once with input that has
// arrived already. A connection that is reset while it is paused ends at once if
// all input was presented, and otherwise after ResumeRead.
func (c *Conn) PauseRead() { c.signals.Or(paused) }

// ResumeRead ends PauseRead. Data is called again with what it has left.
func (c *Conn) ResumeRead() {
	if c.signals.And(^paused)&paused != 0 {
		c.signals.Or(resumed)
		c.reg.Poke()
	}
}

// Wake makes the loop call Data in its next turn, even if nothing has arrived.
// Several calls of Wake may cause one call of Data.
func (c *Conn) Wake() { c.ask(woken) }

// Close closes the connection after all output has left, which may take as long as
// Timeouts.Linger. From now on nothing is read, and writes are refused. Close does
// not wait, and calls no callback; Events.Closed tells when it is done.
func (c *Conn) Close() { c.ask(closeAsked) }

// Abort closes the connection at once. It drops queued output and unread input.
// The peer of a TCP connection sees a reset. Abort does not wait, and calls no
// callback.
func (c *Conn) Abort() { c.ask(abortAsked) }

// ask sends the loop a signal.
func (c *Conn) ask(signal uint32) {
	c.signals.Or(signal)
	c.reg.Poke()
}

// A connHandler is a Conn as its loop sees it.
type connHandler Conn

// Ready takes in an event, or a poke.
func (h *connHandler) Ready(ev poller.Readiness) { (*Conn)(h).ready(ev) }

// Expire is called when the timer of the Registration expires.
func (h *connHandler) Expire() { (*Conn)(h).timeUp() }

// Closed is called when the loop was closed, and the Registration with it.
func (h *connHandler) Closed() { (*Conn)(h).finish(loop.ErrLoopClosed) }

// ready does what an event or a signal makes possible.
func (c *Conn) ready(ev poller.Readiness) {
	if ev&(poller.Readable|poller.PeerClosed|poller.HungUp|poller.Failed) != 0 {
		c.readable = true
		if ev&(poller.PeerClosed|poller.HungUp|poller.Failed|poller.Priority) != 0 {
			c.shortReads = true
		}
	}
	if ev&(poller.Writable|poller.HungUp|poller.Failed) != 0 || ev == 0 {
		c.flush(ev != 0)
		c.rearm()
	}
	if c.eng.pressed.Load() {
		if c.eng.tellPressure(); c.state == stateClosed {
			return
		}
	}
	var err error
	if ev&poller.Failed != 0 && c.signals.Load()&paused != 0 {
		err = c.resetWhilePaused()
	}
	if err == nil && !c.eng.draining && c.signals.Load()&(woken|closeAsked|abortAsked) == woken {
		c.signals.And(^woken)
		err = c.data(c.left())
	}
	if !c.drive(err) {
		return
	}
	if !c.eng.draining && c.signals.Load()&(resumed|paused|outputHigh|closeAsked) == resumed {
		c.signals.And(^resumed)
		c.readStopped = true // though the timer may not have noticed
		if c.in != nil && !c.drive(c.data(c.in.buf)) {
			return
		}
	}
	c.read()
	if c.readStopped {
		c.rearm()
	}
}

// drive moves the connection from state to state, until nothing more can be done
// now. It acts on the signals, on the facts that read has found, and on err, which
// a callback or the kernel has returned. It returns false when the connection is
// closed.
func (c *Conn) drive(err error) bool {
	for {
		signals := c.signals.Load()
		switch {
		case c.state == stateClosed:
			return false
		case err != nil:
			return c.finish(err)
		case signals&abortAsked != 0:
			resetOnClose(&c.reg.Registration)
			return c.finish(ErrAborted)
		}

		switch c.state {
		case stateOpening:
			c.state = stateOpen

		case stateOpen, stateHalfClosed:
			switch {
			case signals&writeFailed != 0:
				c.state, c.readable = stateBroken, !c.inputEnded
				c.reg.Poke() // flush calls the completions
			case signals&closeAsked != 0:
				c.state = stateDraining
			case c.inputEnded && c.state == stateOpen:
				c.state = stateHalfClosed
				err = c.callEnd()
			case signals&outputHigh != 0 != c.highReported:
				err = c.callPressure()
			case signals&(closeWriteAsked|writeEnded) == closeWriteAsked && !c.unsent():
				c.signals.Or(writeEnded)
				_ = unix.Shutdown(c.reg.FD(), unix.SHUT_WR) // it fails only on a dead connection, which ends by itself
			case c.inputEnded && signals&writeEnded != 0:
				return c.finish(io.EOF)
			default:
				return true
			}

		case stateBroken:
			waits := signals&paused != 0 && c.hasInput() // for ResumeRead
			if signals&closeAsked == 0 && c.readable && (waits || signals&paused == 0) {
				return true
			}
			return c.finish(c.writeError())

		case stateDraining:
			switch {
			case signals&writeFailed != 0:
				return c.finish(c.writeError())
			case c.unsent():
				c.leave() // the peer has Timeouts.Linger to take it
				c.rearm()
				return true
			case c.mayClose():
				return c.finish(c.closeReason())
			case c.linger() != nil:
				return c.finish(nil) // the connection is gone
			}
			c.state = stateLingering

		case stateLingering:
			c.rearm()
			return true
		}
	}
}

// callEnd calls End, once. Without End the connection closes, as by Close.
func (c *Conn) callEnd() error {
	f := c.eng.service.Events.End
	if f == nil {
		c.signals.Or(closeAsked)
		return nil
	}
	return c.present(c.left(), f)
}

// callPressure tells the program that too much is queued, or no longer. When the
// pressure is over, Data gets what it has left once more.
func (c *Conn) callPressure() error {
	if c.highReported = !c.highReported; !c.highReported {
		c.ask(resumed)
	}
	f := c.eng.service.Events.Pressure
	if f == nil {
		return nil
	}
	return c.present(c.left(), func(c *Conn) error { f(c, c.highReported); return nil })
}

// hasInput reports whether the program may still get input: left by Data, or in
// the kernel.
func (c *Conn) hasInput() bool { return c.in != nil || unread(c.reg.FD()) }

// resetWhilePaused returns the error that ends a connection which is reset while
// reading is paused, or nil if there is input, which ResumeRead delivers first.
func (c *Conn) resetWhilePaused() error {
	if c.in != nil {
		return nil
	}
	var b [1]byte
	_, errno := sys.Recv(c.reg.FD(), b[:], unix.MSG_PEEK)
	if errno == 0 || errno == unix.EAGAIN {
		return nil
	}
	return &socket.Error{Op: "recv", Errno: errno}
}

// writeError returns the error of the first write that failed.
func (c *Conn) writeError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed("send")
}

// mayClose reports whether close(2) loses nothing, in a connection whose output
// has left.
func (c *Conn) mayClose() bool {
	if c.inputEnded {
		return true
	}
	if c.expectsInput() {
		return false // close(2) would send a reset
	}
	return c.peer.isUnix() || acknowledged(c.reg.FD())
}

// expectsInput reports whether there is input that nobody has read, or will be in
// a moment: a client that has connected just before Shutdown, and has sent nothing
// yet, is about to.
func (c *Conn) expectsInput() bool {
	return c.hasInput() || !c.receivedAny && c.eng.draining
}

// closeReason returns the error that Events.Closed gets after an orderly close.
func (c *Conn) closeReason() error {
	if c.inputEnded && c.eng.service.Events.End == nil {
		return io.EOF
	}
	return nil
}

// leave begins the farewell. It may be called again.
func (c *Conn) leave() *farewell {
	if c.timeouts.leaving == nil {
		t := *c.timeouts
		t.leaving = newFarewell(c.eng.loop.Elapsed(), t.Linger)
		c.timeouts = &t
	}
	return c.timeouts.leaving
}

// linger ends the connection's own stream, whose output has left, and begins to
// discard input.
func (c *Conn) linger() error {
	f := c.leave()
	f.linger(c.eng.loop.Elapsed())
	if c.expectsInput() {
		f.received()
	}
	c.drop()
	c.readable = true
	return unix.Shutdown(c.reg.FD(), unix.SHUT_WR)
}

// unsent reports whether there is output that the kernel has not taken.
func (c *Conn) unsent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.out.empty() || c.sends()
}
