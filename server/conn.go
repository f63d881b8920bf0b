package server

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/poller"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A Conn is a connection that a Server serves by Events. What reads its input
// is for its callbacks alone; all else may be called by any goroutine. A Conn
// stays open until Close, Abort, an error, or the peer's end.
type Conn struct {
	// User is the program's own.
	User any

	reg  loop.Handled
	self loop.Handler
	eng  *engine

	// flags are set under mu, or by the loop; read anywhere.
	flags atomic.Uint32
	errno uint16     // of a write that failed
	asks  int8       // the loop's: how often it was asked whether all has arrived
	mu    sync.Mutex // guards the output, and errno
	out   *output    // what the peer has not taken yet; nil for nothing

	// The rest is the loop's.
	in         *input        // what Data has left
	active     time.Duration // when something was received; when it is closing, since when
	alarm      time.Duration // when the timer strikes; 0 if it is not set
	timeouts   *Timeouts
	next, prev *Conn
	peer       inetPeer
	pending    bool // there may be something to receive
	short      bool // a receive may stop before the last byte: at an end, urgent data, or descriptors
	ended      bool // which has been received
	told       bool // the handler, of pressure
	heard      bool // at least a byte
	deaf       bool // the time of silence does not run, as nothing is read
	ends       bool // the close has begun
	lingers    bool // nothing will be written any more, and what comes is not read
}

// An inetPeer is an inet address, with its port, in as few bytes as can be. That
// of a unix socket is zero.
type inetPeer struct {
	ip   [16]byte
	zone uint32 // an interface's index
	port uint16
	four bool
}

func makeInetPeer(a socket.Addr) (p inetPeer) {
	ip := a.AddrPort()
	if !ip.IsValid() {
		return p
	}
	p.ip, p.port, p.four = ip.Addr().As16(), ip.Port(), ip.Addr().Is4()
	if zone := ip.Addr().Zone(); zone != "" {
		if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
			p.zone = uint32(index)
		} else if i, err := net.InterfaceByName(zone); err == nil {
			p.zone = uint32(i.Index)
		}
	}
	return p
}

func (p *inetPeer) addr() socket.Addr {
	if p.ip == [16]byte{} && p.port == 0 {
		return socket.UnixAddr("")
	}
	ip := netip.AddrFrom16(p.ip)
	switch {
	case p.four:
		ip = ip.Unmap()
	case p.zone != 0:
		zone := strconv.Itoa(int(p.zone))
		if i, err := net.InterfaceByIndex(int(p.zone)); err == nil {
			zone = i.Name
		}
		ip = ip.WithZone(zone)
	}
	return socket.AddrFrom(netip.AddrPortFrom(ip, p.port))
}

// The flags.
const (
	gathering uint32 = 1 << iota // a callback runs: what is written leaves after it
	paused                       // by PauseRead
	high                         // more than HighWater is queued, and was not yet down to LowWater
	failing                      // a write has failed, with errno
	closing                      // by Close
	aborting                     // by Abort
	woken                        // by Wake
	resumed                      // what Data has left is to be presented again: reading goes on
	gone                         // closed: nothing more can be written
)

// Server is the connection's server.
func (c *Conn) Server() *Server { return c.eng.srv }

// Loop is the loop that the callbacks are called on. Its AfterFunc and Post are
// at the handler's service.
func (c *Conn) Loop() *loop.Loop { return c.eng.loop }

// RemoteAddr is the peer's address. A unix connection's has no path.
func (c *Conn) RemoteAddr() socket.Addr { return c.peer.addr() }

// LocalAddr is the connection's own address, or the zero Addr when it is
// closed: getsockname(2).
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

// Control calls f with the descriptor, for socket options and the like. It
// stays the connection's, and open until f returns. On a closed connection it
// is EBADF, which is net.ErrClosed.
func (c *Conn) Control(f func(fd int) error) error {
	if err := c.reg.Use(); err != nil {
		return connClosed("control")
	}
	defer c.reg.Done()
	return f(c.reg.FD())
}

func connClosed(op string) error {
	return &socket.Error{Op: op, Errno: unix.EBADF, Err: loop.ErrClosed}
}

// PauseRead stops reading, so that the peer will have to wait, until
// ResumeRead. Data may still be called once with what has arrived.
func (c *Conn) PauseRead() { c.flags.Or(paused) }

// ResumeRead undoes PauseRead. What Data has left is presented again.
func (c *Conn) ResumeRead() {
	if c.flags.And(^paused)&paused != 0 {
		c.flags.Or(resumed)
		c.reg.Poke()
	}
}

// Wake has Data called in the loop's next turn, though nothing may have
// arrived. Several wakes may become one call.
func (c *Conn) Wake() {
	c.flags.Or(woken)
	c.reg.Poke()
}

// Close closes the connection when what was written has left, which may take as
// long as Timeouts.Linger. Nothing is read or written any more. Close does not
// wait; Events.Closed tells when it is done.
func (c *Conn) Close() { c.end(closing) }

// Abort closes the connection without regard for what is queued or unread. The
// peer of a TCP connection sees a reset.
func (c *Conn) Abort() { c.end(aborting) }

func (c *Conn) end(how uint32) {
	c.flags.Or(how)
	c.reg.Poke()
}

// Ready is for the loop.
func (c *Conn) Ready(ev poller.Readiness) {
	if ev&(poller.Readable|poller.PeerClosed|poller.HungUp|poller.Failed) != 0 {
		c.pending = true
		if ev&(poller.PeerClosed|poller.HungUp|poller.Failed|poller.Priority) != 0 {
			c.short = true
		}
	}
	if ev&(poller.Writable|poller.HungUp|poller.Failed) != 0 || ev == 0 {
		c.flush()
	}
	var err error
	if ev&poller.Failed != 0 && c.flags.Load()&paused != 0 {
		err = c.failure() // or nobody would see it until ResumeRead
	}
	if err == nil && c.flags.Load()&(woken|closing|aborting) == woken {
		c.flags.And(^woken)
		err = c.data(c.left())
	}
	if !c.settle(err) {
		return
	}
	if c.flags.Load()&(resumed|paused|high|closing) == resumed {
		c.flags.And(^resumed)
		c.deaf = true // nothing was read, even if the timer has not found it so
		if c.in != nil && !c.settle(c.data(c.in.buf)) {
			return
		}
	}
	c.read()
	if c.deaf {
		c.rearm()
	}
}

// failure is the error that the kernel has for the connection.
func (c *Conn) failure() error {
	n, err := unix.GetsockoptInt(c.reg.FD(), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || n == 0 {
		return nil
	}
	return &socket.Error{Op: "recv", Errno: syscall.Errno(n)}
}

// Expire is for the loop.
func (c *Conn) Expire() { c.timeUp() }

// Closed is for the loop.
func (c *Conn) Closed() { c.finish(loop.ErrLoopClosed) }

// read receives until nothing is left, or reading must stop.
func (c *Conn) read() {
	budget := c.eng.srv.Chunk
	for c.pending && (c.flags.Load()&(paused|high|closing) == 0 || c.lingers) {
		if budget <= 0 {
			c.reg.Poke() // the others' turn
			return
		}
		if c.lingers {
			if !c.discard(&budget) {
				return
			}
			continue
		}
		view, room := c.room()
		n, errno := sys.Recv(c.reg.FD(), room, 0)
		switch {
		case errno == unix.EAGAIN:
			c.pending = false
			return
		case errno != 0:
			c.finish(&socket.Error{Op: "recv", Errno: errno})
			return
		case n == 0 && c.ended: // an event of another kind came
			c.pending = false
			return
		case n == 0:
			c.pending, c.ended = false, true
			c.settle(c.atEnd())
			return
		}
		// A short read has emptied the socket, unless it stopped short.
		c.pending = n == len(room) || c.short
		c.heard = true
		budget -= n
		c.eng.filled = n == len(room)
		if c.timeouts.any {
			c.active = c.eng.loop.Elapsed()
		}
		if !c.settle(c.data(view[:len(view)-len(room)+n])) {
			return
		}
	}
}

// discard reads what nobody wants any more. It returns false when the
// connection has ended by that.
func (c *Conn) discard(budget *int) bool {
	n, errno := sys.Recv(c.reg.FD(), c.eng.buf, 0)
	*budget -= n
	if n > 0 {
		c.asks, c.heard = max(c.asks, seldom), true // it goes on sending, and would see a reset
	}
	switch {
	case errno == unix.EAGAIN:
		c.pending = false
	case errno != 0 || n == 0:
		c.finish(nil)
		return false
	}
	return true
}

// data presents input.
func (c *Conn) data(view []byte) error {
	f := c.eng.service.Events.Data
	if f == nil {
		f = nothing
	}
	return c.present(view, f)
}

// present calls back with input, and keeps what that leaves.
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

// atEnd is called once, when the peer has ended its stream.
func (c *Conn) atEnd() error {
	f := c.eng.service.Events.End
	if f == nil {
		c.flags.Or(closing)
		return nil
	}
	return c.present(c.left(), f)
}

// call calls back, gathers what is written meanwhile, and sends it.
func (c *Conn) call(f func(*Conn) error) error {
	e := c.eng
	e.current = c
	c.flags.Or(gathering)
	err := guard(e.srv, c, f)
	c.mu.Lock()
	if len(e.gather) > 0 {
		c.sendGathered()
	}
	c.flags.And(^gathering)
	queued := c.out != nil
	c.mu.Unlock()
	e.current = nil
	if queued {
		c.rearm()
	}
	return err
}

// settle does what a callback or a flag has asked for. It returns false when
// the connection has ended.
func (c *Conn) settle(err error) bool {
	f := c.flags.Load()
	switch {
	case f&gone != 0:
		return false
	case err != nil:
		c.finish(err)
		return false
	case f&aborting != 0:
		c.reset()
		c.finish(ErrAborted)
		return false
	case f&failing != 0:
		c.mu.Lock()
		errno := syscall.Errno(c.errno)
		c.mu.Unlock()
		c.finish(&socket.Error{Op: "send", Errno: errno})
		return false
	case f&closing != 0:
		return c.closeStep()
	case f&high != 0 != c.told:
		if c.told = !c.told; !c.told {
			c.flags.Or(resumed)
		}
		if g := c.eng.service.Events.Pressure; g != nil {
			return c.settle(c.present(c.left(), func(c *Conn) error { g(c, c.told); return nil }))
		}
	}
	return true
}

// closeStep goes on with a Close.
func (c *Conn) closeStep() bool {
	if c.lingers {
		return true
	}
	if !c.ends {
		c.ends, c.active = true, c.eng.loop.Elapsed()
	}
	if c.Queued() > 0 {
		c.rearm() // the peer must take it within the linger time
		return true
	}
	var why error
	if c.ended && c.eng.service.Events.End == nil {
		why = io.EOF
	}
	// Who has connected just before Shutdown, and sent nothing yet, is about to.
	more := c.in != nil || unread(c.reg.FD()) || !c.heard && c.eng.draining
	if c.ended || !more && c.arrived() {
		c.finish(why)
		return false
	}
	// To close while there is unread input would be a reset, and so would be
	// the answer to what the peer sends to a closed connection. That takes from
	// the peer what it has not got yet.
	if c.heard = more; more {
		c.asks = seldom
	}
	c.drop()
	c.flags.And(^(paused | high))
	c.lingers, c.pending = true, true
	if err := unix.Shutdown(c.reg.FD(), unix.SHUT_WR); err != nil {
		c.finish(nil)
		return false
	}
	c.rearm()
	return true
}

// unread says whether the kernel has input. What events have told is not
// enough: one may be on its way.
func unread(fd int) bool {
	var b [1]byte
	n, _ := sys.Recv(fd, b[:], unix.MSG_PEEK)
	return n > 0
}

// arrived reports whether the peer's kernel has all that was sent, or will have
// it whatever happens.
func (c *Conn) arrived() bool {
	if c.peer == (inetPeer{}) { // a unix socket
		return true
	}
	n, err := unix.IoctlGetInt(c.reg.FD(), unix.SIOCOUTQ)
	return err != nil || n == 0
}

// askAt is when the kernel is asked the next time whether all that was sent has
// arrived, which it does not tell by itself: less and less often.
func (c *Conn) askAt() time.Duration {
	after := time.Duration(1)<<min(c.asks, seldom) + 100*time.Duration(max(c.asks-seldom, 0))
	return c.active + after*time.Millisecond
}

// seldom is after how many times it is asked every 100 ms.
const seldom = 7

// ask closes a connection whose peer has got all, and has been silent since it
// was asked last, or sees when to ask again.
func (c *Conn) ask() {
	if !c.heard && c.arrived() {
		c.finish(nil)
		return
	}
	c.heard = false
	if c.asks++; c.asks < 0 {
		c.asks = math.MaxInt8 // the rest of the linger time is waited for
	}
	c.rearm()
}

// reset makes close(2) a reset: the linger option of zero.
func (c *Conn) reset() {
	if c.reg.Use() == nil { // the loop may have closed it
		_ = sys.SetLinger(c.reg.FD(), 0)
		c.reg.Done()
	}
}

// finish ends the connection, on its loop.
func (c *Conn) finish(why error) {
	e := c.eng
	c.mu.Lock()
	over := c.flags.Or(gone)&gone != 0
	out := c.out
	c.out = nil
	c.mu.Unlock()
	if over {
		return
	}
	if out != nil && out.size > 0 {
		c.reset() // the peer must not take a part for all
	}
	_ = c.reg.Close() // unless the loop has
	e.remove(c)
	out.fail(e, why)
	if f := e.service.Events.Closed; f != nil {
		e.current, e.unread = c, c.left()
		_ = guard(e.srv, c, func(c *Conn) error { f(c, why); return nil })
		e.current, e.unread = nil, nil
	}
	c.drop()
	e.gone()
}

// Detach takes the connection from the server, without closing it: the Socket
// has it, with the input that was not read. It is for the connection's
// callbacks; Events.Closed is not called. While output is queued it is EBUSY.
func (c *Conn) Detach() (*socket.Socket, error) {
	e := c.eng
	if e.current != c {
		return nil, errors.New("server: detach: outside of the connection's callbacks")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags.Load()&gone != 0 {
		return nil, connClosed("detach")
	}
	c.sendGathered()
	if c.out != nil {
		return nil, &socket.Error{Op: "detach", Errno: unix.EBUSY, Err: errors.New("output is queued")}
	}
	fd, err := c.reg.Release()
	if err != nil {
		return nil, &socket.Error{Op: "detach", Errno: unix.EBUSY, Err: err}
	}
	s, err := socket.Config{Group: e.srv.group}.Resume(fd, e.unread)
	if err != nil {
		unix.Close(fd)
	}
	c.flags.Or(gone)
	e.unread = nil
	e.remove(c)
	e.gone()
	return s, err
}
