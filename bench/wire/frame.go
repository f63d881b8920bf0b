//go:build linux

// Package wire has what the servers and the load generators share: the frames of the pipeline
// suite, batches of datagrams, and system calls without Go's scheduler.
package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// The protocol of the pipeline suite. A frame begins with a header: the length of the whole frame
// in 4 bytes (big-endian), and its kind in one byte. The answer to a request is the same frame
// with the other kind, so a server must look at each frame and cannot just send back what it reads.
const (
	HeaderSize  = 5
	KindAt      = 4 // offset of the kind
	kindRequest = 'Q'
	KindAnswer  = 'A'
	MaxFrame    = 16 << 20
)

// PutHeader makes a request of p.
func PutHeader(p []byte) {
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	p[KindAt] = kindRequest
}

// Length reads the header of a request and returns the length of the whole frame.
func Length(header []byte) (int, error) {
	n := binary.BigEndian.Uint32(header)
	if n < HeaderSize || n > MaxFrame {
		return 0, fmt.Errorf("a frame of %d bytes: want %d to %d", n, HeaderSize, MaxFrame)
	}
	if header[KindAt] != kindRequest {
		return 0, fmt.Errorf("a frame of kind %#02x is no request", header[KindAt])
	}
	return int(n), nil
}

// AppendAnswer handles one request: it appends the answer to out.
func AppendAnswer(out, frame []byte) []byte {
	start := len(out)
	out = append(out, frame...)
	out[start+KindAt] = KindAnswer
	return out
}

// AnswerAll answers the whole requests in p, one after the other. It appends the answers to out,
// and returns how many bytes of p the requests were.
func AnswerAll(out, p []byte) (answers []byte, used int, err error) {
	for len(p)-used >= HeaderSize {
		n, err := Length(p[used:])
		if err != nil {
			return out, used, err
		}
		if n > len(p)-used {
			break
		}
		out = AppendAnswer(out, p[used:used+n])
		used += n
	}
	return out, used, nil
}

// An Unframer keeps the begun frame at the end of what a connection has received.
type Unframer struct{ partial []byte }

// Answer does what AnswerAll does, with the next bytes of the connection.
func (u *Unframer) Answer(out, p []byte) ([]byte, error) {
	if len(u.partial) > 0 {
		u.partial = append(u.partial, p...)
		p = u.partial
	}
	out, used, err := AnswerAll(out, p)
	u.partial = append(u.partial[:0], p[used:]...)
	return out, err
}

// AnswerFrames serves a connection with blocking calls through bufio. The answers gather in the
// writer, and leave before the reader waits for the peer.
func AnswerFrames(conn io.ReadWriter, size int) error {
	r := bufio.NewReaderSize(conn, Buffer(size))
	w := bufio.NewWriterSize(conn, Buffer(size))
	ahead := func(n int) ([]byte, error) {
		if r.Buffered() < n {
			if err := w.Flush(); err != nil {
				return nil, err
			}
		}
		return r.Peek(n)
	}
	for {
		header, err := ahead(HeaderSize)
		if err != nil {
			return err
		}
		n, err := Length(header)
		if err != nil {
			return err
		}
		frame, err := ahead(n)
		if err != nil {
			return err
		}
		if _, err := w.Write(AppendAnswer(w.AvailableBuffer(), frame)); err != nil {
			return err
		}
		if _, err := r.Discard(n); err != nil {
			return err
		}
	}
}

// Buffer returns the size of a connection's own buffer, in bytes: bufio's default, or that of a
// message if it is larger.
func Buffer(size int) int { return max(size, 4096) }
