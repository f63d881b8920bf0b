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

// A Conn is a connection that a Server serves by Events. It stays open until Close,
// Abort, an error, or the peer's end. It is concurrency-safe, except the methods that
// read input, SetTimeouts and Detach.
type Conn struct {
	// User holds what the program knows about the connection, such as a login or a
	// parser. Attach and Dial set it before Open; for other connections Open may set
	// it. The server does not use it. It needs no lock in callbacks, which run one at
	// a time. A program that also uses it elsewhere needs a lock of its own.
	User any

	reg  loop.Handled
	self loop.Handler // a *connHandler that is this Conn, or a *secureHandler; reg points to it
	eng  *engine

	signals atomic.Uint32

	failure  uint16     // errno of the first write that failed; guarded by mu
	sending  sendState  // whether a goroutine has the right to send; guarded by mu
	gathered uint8      // number of the last callback whose output was sent; guarded by mu
	direct   int32      // while a goroutine sends: bytes that it sends and the queue does not have; guarded by mu
	mu       sync.Mutex // guards the output
	out      *output    // what the kernel has not taken yet, or nil; guarded by mu

	// Only the loop's goroutine uses the rest.
	in       *input        // what Data has left unread, or nil
	active   time.Duration // when the peer last sent something, or when its timeouts began anew
	timeouts *Timeouts
	extra    *extras // nil if it has none
	next     *Conn   // in the engine's list
	prev     *Conn
	peer     inetPeer
	source   *source // counts the connection for MaxConnsPerIP; may be nil
	state    connState

	readable     bool // a receive may find bytes, the end, or an error
	shortReads   bool // a short receive does not mean that the kernel has no more: the stream has ended, or has urgent data or descriptors
	inputEnded   bool // the peer has ended its stream, and all of it was received
	receivedAny  bool // the peer has sent at least one byte
	highReported bool // the last call of Pressure had on true
	bulk         bool // it has last sent much at once: serveBulk serves it
	enqueued     bool // serveBulk will serve it
	starving     bool // it is read again after a pause, because MaxMemory had no room
	readStopped  bool // when last looked at, reading was stopped: Idle, Read and FirstByte do not run
}

// A connState says what a connection can do next. Only drive moves a connection from
// one state to another, except that finish and Detach move it to stateClosed.
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

// The signals are bits by which any goroutine asks the loop for something, or reports
// the state of the output. The loop acts on them in ready and drive.
const (
	paused          uint32 = 1 << iota // PauseRead
	resumed                            // ResumeRead was called, or pressure has ended: present what Data has left
	woken                              // Wake
	closeAsked                         // Close
	abortAsked                         // Abort
	outputHigh                         // more than HighWater bytes were queued, and relax has not ended that
	writeFailed                        // a write has failed with the errno failure
	closeWriteAsked                    // CloseWrite
	writeEnded                         // CloseWrite is done: the connection's own stream has ended
	gone                               // the connection is closed: writes are refused
	ended                              // Events.Closed was called
	memoryAsked                        // MaxMemory ends the connection

	// From this bit on, the word of the signals has the number of the callback: see call.
	callShift = 16
)

// Server returns the server of the connection.
func (c *Conn) Server() *Server { return c.eng.srv }

// Loop returns the loop that calls the connection's callbacks. A program may use
// its Post and AfterFunc.
func (c *Conn) Loop() *loop.Loop { return c.eng.loop }

// RemoteAddr returns the peer's address, also when the connection is closed. The
// address of an IPv4 peer is an IPv4 address on a dual-stack listener, too. The
// address of a unix peer has no path. If a PROXY header has announced the address of a
// client, RemoteAddr returns that: see ProxyProtocol.
func (c *Conn) RemoteAddr() socket.Addr {
	if x := c.extra; x != nil && x.announced.IsValid() {
		return x.announced
	}
	return c.peer.addr()
}

// LocalAddr returns the connection's own address by getsockname(2): an IPv4 address if
// the peer uses IPv4. If the connection is closed, it returns the zero Addr.
func (c *Conn) LocalAddr() (a socket.Addr) {
	_ = c.Control(func(fd int) error {
		var name sys.Sockaddr
		if errno := sys.Getsockname(fd, &name); errno == 0 {
			a = socket.AddrFromSockaddr(&name.Raw, name.Len).Unmap()
		}
		return nil
	})
	return a
}

// Control calls f with the descriptor and returns f's error. f may set socket
// options, for example, but must not close the descriptor, which stays open until f
// returns. If the connection is closed, Control returns EBADF, which is also
// net.ErrClosed.
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

// PauseRead stops reading until ResumeRead. The kernel's buffers then fill up, and the
// peer has to wait. Data may still be called once with input that has arrived
// already. If the peer resets the connection during the pause, the connection ends at
// once if Data has got all input, and otherwise after ResumeRead.
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
// Timeouts.Linger. From now on the server reads nothing more from the peer and
// refuses writes. Close does not wait and calls no callback. The loop calls
// Events.Closed when the connection is closed.
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

// A connHandler is the loop.Handler of a Conn. It keeps these methods out of Conn's API.
type connHandler Conn

// Ready is called by the loop for an event, or after a poke.
func (h *connHandler) Ready(ev poller.Readiness) { (*Conn)(h).ready(ev) }

// Expire is called by the loop when the timer of the Registration expires.
func (h *connHandler) Expire() { (*Conn)(h).timeUp() }

// Closed is called when the loop has been closed, and the Registration with it.
func (h *connHandler) Closed() { (*Conn)(h).finish(loop.ErrLoopClosed) }

// ready sends, calls callbacks and receives, as far as an event or the signals make
// it possible. ev is 0 after a poke.
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
	if !c.drive(err) || c.resumes() && !c.resume() {
		return
	}
	c.readSoon()
	if c.readStopped {
		c.rearm()
	}
}

// resumes reports whether resume is to be called before the connection is read.
func (c *Conn) resumes() bool {
	return c.signals.Load()&(resumed|paused|outputHigh|closeAsked) == resumed && (!c.eng.draining || c.eng.arriving == c)
}

// resume presents to Data once more what it has left. It returns false when the connection
// is closed.
func (c *Conn) resume() bool {
	c.signals.And(^resumed)
	c.readStopped = true // readTimesRun may not have run during the pause
	if c.in == nil || c.endCalled() {
		return true
	}
	return c.drive(c.data(c.in.buf))
}

// owesData reports whether Data gets again what it has left, before End is called.
func (c *Conn) owesData() bool {
	return c.in != nil && c.signals.Load()&(woken|resumed|paused|outputHigh) != 0
}

// endCalled reports whether End was called: Data is not called any more.
func (c *Conn) endCalled() bool {
	return c.state == stateHalfClosed || c.state == stateBroken && c.inputEnded
}

// drive moves the connection from state to state, until it has to wait. It acts on the
// signals, on what read has found, and on err, which a callback or the kernel has
// returned. It returns false when the connection is closed.
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
		case signals&memoryAsked != 0:
			resetOnClose(&c.reg.Registration)
			return c.finish(ErrMemoryFull)
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
			case c.inputEnded && c.state == stateOpen && !c.owesData():
				c.state = stateHalfClosed
				err = c.callEnd()
			case signals&outputHigh != 0 != c.highReported:
				err = c.callPressure()
			case signals&(closeWriteAsked|writeEnded) == closeWriteAsked && !c.unsent():
				if c.notify() {
					continue
				}
				c.signals.Or(writeEnded)
				_ = sys.Shutdown(c.reg.FD(), unix.SHUT_WR) // it fails only on a broken connection, whose next event ends it
			case c.state == stateHalfClosed && signals&writeEnded != 0:
				return c.finish(io.EOF)
			default:
				return true
			}

		case stateBroken:
			waits := signals&paused != 0 && c.hasInput() // the input waits for ResumeRead
			switch {
			case signals&closeAsked != 0, !c.readable, !waits && signals&paused != 0:
				return c.finish(c.writeError())
			case signals&outputHigh != 0 != c.highReported: // the program may wait for it
				err = c.callPressure()
			default:
				return true
			}

		case stateDraining:
			switch {
			case signals&writeFailed != 0:
				return c.finish(c.writeError())
			case c.unsent():
				c.leave() // from now on the peer has Timeouts.Linger to take the output
				c.rearm()
				return true
			case c.notify():
				continue // it may not have left yet
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

// callEnd calls End, once. If there is no End, it asks for Close.
func (c *Conn) callEnd() error {
	f := c.eng.service.Events.End
	if f == nil {
		c.signals.Or(closeAsked)
		return nil
	}
	return c.present(c.left(), f)
}

// callPressure calls Pressure when the pressure begins, and when it ends.
func (c *Conn) callPressure() error {
	if c.highReported = !c.highReported; c.highReported {
		c.reg.Poke() // the output may have left already: see relax
	}
	f := c.eng.service.Events.Pressure
	if f == nil {
		return nil
	}
	return c.present(c.left(), func(c *Conn) error { f(c, c.highReported); return nil })
}

// hasInput reports whether there is input that the program has not read: Data has left
// it, or the kernel has it.
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

// mayClose reports whether close(2) would lose none of the output, all of which has
// left.
func (c *Conn) mayClose() bool {
	if c.inputEnded {
		return true
	}
	if c.expectsInput() {
		return false // close(2) would send a reset
	}
	return c.peer.isUnix() || acknowledged(c.reg.FD())
}

// expectsInput reports whether there is unread input, or soon will be: a client that
// has connected just before Shutdown and has sent nothing yet is about to send.
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

// leave returns the connection's farewell. The first call begins it.
func (c *Conn) leave() *farewell {
	if c.timeouts.leaving == nil {
		t := *c.timeouts
		t.leaving = newFarewell(c.eng.loop.Elapsed(), t.Linger+c.sendTime())
		c.timeouts = &t
	}
	return c.timeouts.leaving
}

// linger ends the connection's own stream, all of whose output has left, and begins to
// discard input.
func (c *Conn) linger() error {
	f := c.leave()
	f.linger(c.eng.loop.Elapsed())
	if c.expectsInput() {
		f.received()
	}
	c.drop()
	c.readable = true
	return sys.Shutdown(c.reg.FD(), unix.SHUT_WR)
}

// unsent reports whether there is output that the kernel has not taken.
func (c *Conn) unsent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.out.empty() || c.sends()
}
