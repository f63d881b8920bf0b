package server

import (
	"errors"
	"io"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/internal/tlsheld"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// A secureHandler is the loop.Handler of a Conn with TLS. So a Conn without TLS needs no
// memory for it.
type secureHandler struct {
	*connHandler
	secured *secured
}

// secureBy makes s, whose handshake is over, the TLS side of the connection.
func (c *Conn) secureBy(s *secured) {
	c.self = &secureHandler{(*connHandler)(c), s}
	s.link.owner, s.link.sock = c, nil
}

// secure returns the TLS side of the connection, or nil.
func (c *Conn) secure() *secured {
	if h, ok := c.self.(*secureHandler); ok {
		return h.secured
	}
	return nil
}

// receiveSealed is receive for a TLS connection: it makes one system call, decrypts, and
// presents the plain bytes.
func (c *Conn) receiveSealed(budget *int) bool {
	if !c.eng.mayRead() {
		c.eng.starve(c)
		return false
	}
	room := c.eng.cipherRoom()
	if room = room[:c.mayRead(min(len(room), *budget, c.eng.most))]; len(room) == 0 {
		return false
	}
	n, errno := sys.Recv(c.reg.FD(), room, 0)
	switch {
	case errno == unix.EAGAIN:
		c.emptied()
		return c.drive(nil)
	case errno != 0:
		return c.finish(&socket.Error{Op: "recv", Errno: errno})
	case n == 0:
		c.secure().link.ended = true
	}
	c.eng.traffic.received(n)
	c.readable = n == len(room) || n > 0 && c.shortReads
	*budget -= n
	c.hasRead(n)
	if c.in != nil {
		c.in.rate.bytes += n
	}
	if c.timeouts.any {
		c.active = c.eng.loop.Elapsed()
	}
	return c.decrypt(room[:n])
}

// cipherRoom returns where the engine receives ciphertext. The plain bytes of one receive
// should fit in MaxInput twice: see room.
func (e *engine) cipherRoom() []byte {
	if e.cipher == nil {
		most := max(e.srv.MaxInput/2-tlsheld.RawSize, tlsheld.RawSize)
		e.cipher = make([]byte, min(readSize, e.srv.Chunk, most))
	}
	return e.cipher
}

// decrypt decrypts ciphertext, after that which the tls.Conn holds, and presents the plain
// bytes. It returns false when the connection is closed.
func (c *Conn) decrypt(cipher []byte) bool {
	s := c.secure()
	tlsheld.Lend(s.conn)
	s.link.arrived = cipher
	view := c.plainRoom()
	old := len(view)
	var err error
	for err == nil {
		if len(view) == cap(view) {
			view = append(view, 0)[:len(view)]
		}
		var n int
		n, err = s.conn.Read(view[len(view):cap(view)])
		view = view[:len(view)+n]
		if err == nil && s.usedUp() {
			err = errNoCipher // as the next Read would find out, at the cost of an allocation
		}
	}
	s.link.arrived = nil
	tlsheld.Reclaim(s.conn)
	s.weigh(c.eng)
	c.keepRoom(view, old)
	c.notePart(len(view) > old)
	if len(view) > old {
		c.receivedAny = true
		if !c.drive(c.data(view)) {
			return false
		}
	}
	if err != errNoCipher {
		return c.endSealed(err)
	}
	return c.drive(nil)
}

// usedUp reports whether all ciphertext of a Conn is known to be decrypted, and the plain
// bytes to be read.
func (s *secured) usedUp() bool {
	l := &s.link
	return tlsheld.Known() && len(l.arrived) == 0 && len(l.ahead) == 0 && !l.ended &&
		tlsheld.Cipher(s.conn) == 0 && tlsheld.Plain(s.conn) == 0
}

// endSealed ends the input of a TLS connection, because tls.Conn.Read has returned err.
// io.EOF is the peer's close_notify, or the end of the stream behind a whole record.
// After any other error the connection ends as Close ends it, so that the alert leaves
// that crypto/tls may have sent.
func (c *Conn) endSealed(err error) bool {
	c.readable = false
	if errors.Is(err, io.EOF) {
		c.inputEnded = true
	} else if c.secure().failed == nil {
		c.secure().failed = err
		c.ask(closeAsked)
	}
	return c.drive(nil)
}

// plainRoom returns what Data has left unread, in a slice with room behind it.
func (c *Conn) plainRoom() []byte {
	e := c.eng
	if c.in != nil && len(c.in.buf) > smallInput {
		return c.in.buf
	}
	if e.plain == nil {
		e.plain = make([]byte, smallInput+len(e.cipherRoom())+tlsheld.RawSize)
	}
	return append(e.plain[:0], c.left()...)
}

// keepRoom keeps the memory of the view, which plainRoom has returned and which may have
// grown since. Its first old bytes are what Data had left.
func (c *Conn) keepRoom(view []byte, old int) {
	if c.in != nil && len(c.in.buf) > smallInput {
		c.in.buf = view[:old]
		return
	}
	c.eng.plain = view // plainRoom ignores what is in it
}

// notePart notes since when the peer owes the rest of a record: Timeouts.Read. progress
// says that a record has become complete.
func (c *Conn) notePart(progress bool) {
	s := c.secure()
	switch {
	case tlsheld.Cipher(s.conn) == 0:
		s.partSince = 0
	case c.timeouts.Read > 0 && (progress || s.partSince == 0):
		s.partSince = c.eng.loop.Elapsed()
		c.rearm()
	}
}
