package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// A request is an operation, the length of the body in two bytes, and the body.
const (
	opName    = 'n' // the first request: the body is the number of the conversation
	opEcho    = 'e' // the answer is the body
	opBulk    = 'b' // the answer is the body 16 times, each time changed
	opSwallow = 's' // no answer
	opQuit    = 'q' // the answer is the body, and the server ends the connection; what follows is not served
	opHalf    = 'h' // the server ends its stream, and answers nothing from then on
	opAbort   = 'a' // the server resets the connection
)

const (
	headerSize = 3
	bulkTimes  = 16
)

func request(op byte, body []byte) []byte {
	p := append(make([]byte, 0, headerSize+len(body)), op, 0, 0)
	binary.BigEndian.PutUint16(p[1:], uint16(len(body)))
	return append(p, body...)
}

// parse takes the first request off p. It returns false if p does not hold all of it.
func parse(p []byte) (op byte, body []byte, ok bool) {
	if len(p) < headerSize {
		return 0, nil, false
	}
	n := headerSize + int(binary.BigEndian.Uint16(p[1:]))
	if len(p) < n {
		return 0, nil, false
	}
	return p[0], p[headerSize:n], true
}

// answer appends the answer to a request to p.
func answer(p []byte, op byte, body []byte) []byte {
	switch op {
	case opEcho, opQuit:
		return append(p, body...)
	case opBulk:
		for i := range bulkTimes {
			for _, b := range body {
				p = append(p, b+byte(i))
			}
		}
	}
	return p
}

// farewell is what a server writes at the end of the peer's stream. left is how many bytes
// of an incomplete request it has got.
func farewell(left int) []byte { return fmt.Appendf(nil, "end, %d bytes left", left) }

// What a server tells of a connection.
type account struct {
	requests int
	sum      uint32 // of all requests
	end      string
}

func (a *account) note(op byte, body []byte) {
	a.requests++
	a.sum = crc32.Update(a.sum, crc32.IEEETable, []byte{op})
	a.sum = crc32.Update(a.sum, crc32.IEEETable, body)
}

// endOf names what ended a connection.
func endOf(err error) string {
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return "end"
	case errors.Is(err, unix.ECONNRESET):
		return "reset"
	}
	return err.Error()
}

// The ends that the server itself brings about.
const (
	endQuit  = "quit"
	endAbort = "abort"
)

// accounts gets the account of each conversation.
type accounts struct{ m sync.Map }

func (a *accounts) channel(id uint64) chan account {
	ch, _ := a.m.LoadOrStore(id, make(chan account, 1))
	return ch.(chan account)
}

func (a *accounts) tell(id uint64, what account) { a.channel(id) <- what }

// A stream is a blocking connection.
type stream interface {
	io.ReadWriter
	closeWrite() error
	abort() error // close with a reset
}

// A conversation is the service over a stream, for servers that block.
type conversation struct {
	account
	id   uint64
	half bool
	over bool
	mine string // the end that the service has brought about
	buf  []byte
}

// serve reads and answers one request. At the end of the connection it sets over.
func (c *conversation) serve(s stream) error {
	var header [headerSize]byte
	n, err := io.ReadFull(s, header[:])
	if err != nil {
		return c.ended(s, n, err)
	}
	body := make([]byte, binary.BigEndian.Uint16(header[1:]))
	if n, err := io.ReadFull(s, body); err != nil {
		return c.ended(s, headerSize+n, err)
	}
	op := header[0]
	c.note(op, body)
	if op == opName {
		c.id = binary.BigEndian.Uint64(body)
		return nil
	}
	if op == opAbort {
		c.over, c.mine = true, endAbort
		return s.abort()
	}
	if c.buf = answer(c.buf[:0], op, body); len(c.buf) > 0 && !c.half {
		if _, err := s.Write(c.buf); err != nil {
			return c.ended(s, 0, err)
		}
	}
	switch op {
	case opHalf:
		c.half = true
		return s.closeWrite()
	case opQuit:
		// close(2) with unread input would reset the connection.
		c.over, c.mine = true, endQuit
		if err := s.closeWrite(); err != nil {
			return err
		}
		io.Copy(io.Discard, onlyReader{s})
	}
	return nil
}

type onlyReader struct{ io.Reader }

// ended notes the end of the connection. left is how many bytes of a request have come.
func (c *conversation) ended(s stream, left int, err error) error {
	c.over = true
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	c.end = endOf(err)
	if c.end == "end" && !c.half {
		_, err = s.Write(farewell(left))
		return err
	}
	return nil
}

// result is the account of a conversation that is over.
func (c *conversation) result() account {
	if c.mine != "" {
		c.end = c.mine
	}
	return c.account
}
