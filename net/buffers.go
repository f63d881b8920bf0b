package net

import (
	"io"
	"net"
	"syscall"

	"github.com/seed-2334f180/weir/socket"
)

// Buffers is net.Buffers: WriteTo makes one writev(2) of the buffers on stream
// connections of this package, and on those of Go's net. (net.Buffers does so on
// Go's connections alone: it writes one buffer after the other to those of this
// package. A net.Buffers converts to a Buffers: see WriteBuffers.) It is for one
// goroutine at a time.
type Buffers [][]byte

var (
	_ io.WriterTo = (*Buffers)(nil)
	_ io.Reader   = (*Buffers)(nil)
)

// WriteTo writes the buffers to w and removes from v what it has written.
func (v *Buffers) WriteTo(w io.Writer) (int64, error) {
	if c := vectored(w); c != nil {
		return c.writeBuffers((*[][]byte)(v))
	}
	return (*net.Buffers)(v).WriteTo(w)
}

// Read reads from the buffers and removes from v what it has read.
func (v *Buffers) Read(p []byte) (int, error) { return (*net.Buffers)(v).Read(p) }

// vectored returns the conn of a connection of this package that takes several
// buffers at once.
func vectored(x any) *conn {
	var c *conn
	switch x := x.(type) {
	case *TCPConn:
		c = &x.conn
	case *UnixConn:
		c = &x.conn
	}
	if !c.ok() || c.sock.Type() != socket.Stream {
		return nil
	}
	return c
}

// WriteBuffers writes all the buffers by writev(2) and removes from bufs what it
// has written.
func (c *conn) WriteBuffers(bufs *net.Buffers) (int64, error) {
	if !c.ok() {
		return 0, syscall.EINVAL
	}
	return c.writeBuffers((*[][]byte)(bufs))
}

func (c *conn) writeBuffers(bufs *[][]byte) (int64, error) {
	n, err := c.sock.Writev(*bufs)
	left := n
	for len(*bufs) > 0 && left >= len((*bufs)[0]) {
		left -= len((*bufs)[0])
		(*bufs)[0] = nil
		*bufs = (*bufs)[1:]
	}
	if left > 0 {
		(*bufs)[0] = (*bufs)[0][left:]
	}
	return int64(n), c.wrap("writev", err)
}

// streamOf returns the socket of a stream connection; nil for anything else.
func streamOf(x any) *socket.Socket {
	if c := vectored(x); c != nil {
		return c.sock
	}
	return nil
}

// readFrom sends all data of r. If r is a connection, readFrom hands its socket to
// s.ReadFrom, which moves the bytes by splice(2).
func readFrom(s *socket.Socket, r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		if source := streamOf(r); source != nil {
			r = source
		}
		return s.ReadFrom(r)
	}
	source := streamOf(limited.R)
	if source == nil {
		return s.ReadFrom(r)
	}
	bare := &io.LimitedReader{R: source, N: limited.N}
	n, err := s.ReadFrom(bare)
	limited.N = bare.N
	return n, err
}
