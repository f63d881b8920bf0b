package net

import (
	"net"
	"sync"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// addrAs returns the address of a WriteTo in the type A that the connection's addresses
// have. For an address of another type the error is EINVAL.
func addrAs[A net.Addr](c *conn, addr net.Addr) (A, error) {
	a, ok := addr.(A)
	if !ok {
		return a, opError("write", c.network, c.local, addr, syscall.EINVAL)
	}
	return a, nil
}

// sendTo sends b to an address. It sends nothing if err is not nil: then there is no such
// address. An error names the address as the caller gave it. That is of a type A, and not
// a net.Addr, because the conversion allocates.
func sendTo[A net.Addr](c *conn, b []byte, to socket.Addr, err error, given A) (n int, _ error) {
	if err == nil {
		n, err = c.sock.SendToAddr(some(b), to, 0)
	}
	if err != nil {
		err = opError("write", c.network, c.local, given, err)
	}
	return n, err
}

// sendMsg is sendTo with control messages.
func sendMsg[A net.Addr](c *conn, b, oob []byte, to socket.Addr, err error, given A) (n, oobn int, _ error) {
	if err == nil {
		n, oobn, err = c.writeMsg(b, oob, to)
	}
	if err != nil {
		err = opError("write", c.network, c.local, given, err)
	}
	return n, oobn, err
}

// A message is a socket.Message with one buffer. A pool keeps the messages, so that a
// call allocates none.
type message struct {
	socket.Message
	buffer [1][]byte
	dummy  [1]byte
}

var messages = sync.Pool{New: func() any { return new(message) }}

func takeMessage(b, oob []byte, to socket.Addr) *message {
	m := messages.Get().(*message)
	m.buffer[0] = b
	m.Message = socket.Message{Buffers: m.buffer[:], Control: oob, Addr: to}
	return m
}

func (m *message) free() {
	m.buffer[0], m.Message = nil, socket.Message{}
	messages.Put(m)
}

// readMsg receives a message.
func (c *conn) readMsg(b, oob []byte) (n, oobn, flags int, from socket.Addr, err error) {
	m := takeMessage(b, oob, socket.Addr{})
	defer m.free()
	m.carry(c, b, oob) // as in net, n includes the byte that carry adds
	n, err = c.sock.RecvMsg(&m.Message, 0)
	flags = m.Flags
	if err == nil && c.sock.Family() == socket.Unix {
		flags |= unix.MSG_CMSG_CLOEXEC // net requests this flag, and the kernel returns it
	}
	return n, m.ControlLen, flags, m.Addr, err
}

// writeMsg sends a message.
func (c *conn) writeMsg(b, oob []byte, to socket.Addr) (n, oobn int, err error) {
	m := takeMessage(b, oob, to)
	defer m.free()
	dummy := m.carry(c, b, oob)
	n, err = c.sock.SendMsg(&m.Message, 0)
	if err != nil {
		return n, 0, err
	}
	if dummy {
		n = 0
	}
	return n, len(oob), nil
}

// carry adds one byte to control messages that have no data, because a stream sends them
// only with data. It reports whether it has added a byte.
func (m *message) carry(c *conn, b, oob []byte) bool {
	if len(b) > 0 || len(oob) == 0 || c.sock.Type() == socket.Dgram {
		return false
	}
	m.buffer[0] = m.dummy[:]
	return true
}
