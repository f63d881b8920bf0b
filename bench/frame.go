package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// The pipeline suite's protocol: a frame has a header, the length of the whole frame in 4
// bytes (big-endian) and its kind in one. The answer to a request is the same frame, of the
// other kind: a server must look at each one, and cannot just send back what it reads.
const (
	frameHeader  = 5
	frameKind    = 4 // where the kind is
	kindRequest  = 'Q'
	kindAnswer   = 'A'
	maxFrameSize = maxSize
)

// putHeader makes a request of p.
func putHeader(p []byte) {
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	p[frameKind] = kindRequest
}

// frameLength reads the header of a request.
func frameLength(header []byte) (int, error) {
	n := binary.BigEndian.Uint32(header)
	if n < frameHeader || n > maxFrameSize {
		return 0, fmt.Errorf("a frame of %d bytes: want %d to %d", n, frameHeader, maxFrameSize)
	}
	if header[frameKind] != kindRequest {
		return 0, fmt.Errorf("a frame of kind %#02x is no request", header[frameKind])
	}
	return int(n), nil
}

// appendAnswer handles one request: it appends the answer to out.
func appendAnswer(out, frame []byte) []byte {
	start := len(out)
	out = append(out, frame...)
	out[start+frameKind] = kindAnswer
	return out
}

// answerAll handles, one after the other, the requests that are whole in p. It appends their
// answers to out, and tells how many bytes of p they were.
func answerAll(out, p []byte) (answers []byte, used int, err error) {
	for len(p)-used >= frameHeader {
		n, err := frameLength(p[used:])
		if err != nil {
			return out, used, err
		}
		if n > len(p)-used {
			break
		}
		out = appendAnswer(out, p[used:used+n])
		used += n
	}
	return out, used, nil
}

// An unframer keeps the part of a frame that came last on a connection.
type unframer struct{ partial []byte }

// answer is answerAll for the next bytes of the connection.
func (u *unframer) answer(out, p []byte) ([]byte, error) {
	if len(u.partial) > 0 {
		u.partial = append(u.partial, p...)
		p = u.partial
	}
	out, used, err := answerAll(out, p)
	u.partial = append(u.partial[:0], p[used:]...)
	return out, err
}

// answerFrames serves a connection with blocking calls, as one would with bufio: answers
// gather in the writer, and leave before the reader must wait for the peer.
func answerFrames(conn io.ReadWriter, size int) error {
	r := bufio.NewReaderSize(conn, echoBuffer(size))
	w := bufio.NewWriterSize(conn, echoBuffer(size))
	ahead := func(n int) ([]byte, error) {
		if r.Buffered() < n {
			if err := w.Flush(); err != nil {
				return nil, err
			}
		}
		return r.Peek(n)
	}
	for {
		header, err := ahead(frameHeader)
		if err != nil {
			return err
		}
		n, err := frameLength(header)
		if err != nil {
			return err
		}
		frame, err := ahead(n)
		if err != nil {
			return err
		}
		if _, err := w.Write(appendAnswer(w.AvailableBuffer(), frame)); err != nil {
			return err
		}
		if _, err := r.Discard(n); err != nil {
			return err
		}
	}
}
