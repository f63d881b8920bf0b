package server

import (
	"bytes"
	"sync"
	"time"
)

// An output queues what a connection has written and the kernel has not taken, first
// in, first out: copies of the bytes of Write, in chunks, and the pieces of WriteAsync.
// The connection's lock guards it. Every operation takes constant time for each piece.
// An output occupies at most twice the queued bytes and 64 bytes for each piece, plus
// a chunk.
type output struct {
	size      int   // queued bytes, in chunks and pieces
	fileBytes int64 // queued bytes of files
	copied    int   // queued bytes in chunks
	after     int   // queued bytes in chunks behind the last piece
	room      int   // capacity of the chunks
	whole     int   // bytes of the pieces, including those that have left of the first piece
	counted   int   // how much of the output Server.MaxMemory counts
	chunks    *chunk
	last      *chunk
	pieces    fifo[piece]
	finished  fifo[func(error)] // completions of pieces that the kernel has taken
	sealed    *sealing          // ciphertext of the first queued bytes, and alerts; nil if there is none

	conn      *Conn
	scheduled bool          // the engine flushes it at the end of the turn
	blocked   bool          // the kernel takes no more until it reports room
	watched   bool          // the kernel reports room
	moved     time.Duration // when the kernel last took something, on the loop's clock; 0 if not known
	rate      window        // what the peer has taken, for Timeouts.MinRate
	why       error         // why the connection has ended
}

// A piece is a slice of WriteAsync, another slice that is not copied to a chunk, or a part
// of a file. Neither of its numbers is above Server.MaxOutput, which is below 1<<31.
type piece struct {
	p      []byte
	done   func(error) // the completion of WriteAsync; nil for other slices
	file   *fileSpan   // the piece is a part of a file, and p is nil
	before uint32      // how many bytes of the chunks leave after the previous piece and before this one
	size   uint32      // len(p) in the beginning
}

// A chunk holds copied bytes. buf[sent:] is still queued. append fills the capacity of
// buf.
type chunk struct {
	next *chunk
	buf  []byte
	sent int
}

const (
	// bigWrite is the number of bytes from which a system call costs less than a copy
	// into the queue.
	bigWrite = 16 << 10
	// bigChunk is the size of the pooled chunks, which are the largest.
	bigChunk   = 16 << 10
	smallChunk = 256
	// pieceCost is how many bytes of MaxOutput stand for one piece of WriteAsync in the
	// bound on the number of pieces.
	pieceCost = 64
)

var (
	chunks  = sync.Pool{New: func() any { return &chunk{buf: make([]byte, 0, bigChunk)} }}
	outputs = sync.Pool{New: func() any { return new(output) }}
)

// empty reports whether the kernel has taken everything.
func (o *output) empty() bool {
	return o == nil || o.size == 0 && o.pieces.n == 0 && o.sealed == nil
}

// append queues a copy of p.
func (o *output) append(p []byte) {
	o.size += len(p)
	o.after += len(p)
	for len(p) > 0 {
		if o.last == nil || len(o.last.buf) == cap(o.last.buf) {
			// A new chunk is no larger than all chunks before it together, or than p.
			c := newChunk(max(len(p), o.copied))
			o.room += cap(c.buf)
			if o.last == nil {
				o.chunks = c
			} else {
				o.last.next = c
			}
			o.last = c
		}
		b := o.last.buf
		n := copy(b[len(b):cap(b)], p)
		o.last.buf = b[:len(b)+n]
		o.copied += n
		p = p[n:]
	}
}

func newChunk(size int) *chunk {
	if size >= bigChunk {
		return chunks.Get().(*chunk)
	}
	return &chunk{buf: make([]byte, 0, max(size, smallChunk))}
}

// appendPiece queues p itself.
func (o *output) appendPiece(p []byte, done func(error)) {
	o.pieces.push(piece{p: p, done: done, before: uint32(o.after), size: uint32(len(p))})
	o.size += len(p)
	o.whole += len(p)
	o.after = 0
}

// prepend queues a copy of p before everything else.
func (o *output) prepend(p []byte) {
	o.pieces.pushFront(piece{p: bytes.Clone(p), size: uint32(len(p))})
	o.size += len(p)
	o.whole += len(p)
}

// own replaces slices that Writev has lent by copies. Of the n slices that lend has put
// at the front of the queue, those that the kernel has taken are gone already.
func (o *output) own(n int) {
	for b := o.pieces.head; b != nil; b = b.next {
		for i := b.first; i < len(b.items); i++ {
			if n--; n < 0 || b.items[i].done != nil {
				return
			}
			b.items[i].p = bytes.Clone(b.items[i].p)
		}
	}
}

// next appends slices of the first queued bytes to bufs: about so many bytes, and no
// more slices than bufs has capacity for.
func (o *output) next(bufs [][]byte, bytes int) [][]byte {
	c, offset := o.chunks, 0
	if c != nil {
		offset = c.sent
	}
	copied := func(n int) {
		for n > 0 && bytes > 0 && len(bufs) < cap(bufs) {
			if offset == len(c.buf) {
				c, offset = c.next, 0
				continue
			}
			p := c.buf[offset:min(len(c.buf), offset+n)]
			bufs = append(bufs, p)
			offset, n, bytes = offset+len(p), n-len(p), bytes-len(p)
		}
	}
	for b, i := o.pieces.head, 0; b != nil; b = b.next {
		for i = b.first; i < len(b.items); i++ {
			x := &b.items[i]
			copied(int(x.before))
			if bytes <= 0 || len(bufs) == cap(bufs) {
				return bufs
			}
			if x.file != nil {
				return bufs // a system call of its own sends it
			}
			if len(x.p) > 0 {
				bufs = append(bufs, x.p)
				bytes -= len(x.p)
			}
		}
	}
	copied(o.after)
	return bufs
}

// take removes the first n bytes, because the kernel has taken them, and the empty
// pieces behind them. It moves the completions of the removed pieces to finished.
func (o *output) take(n int) {
	o.size -= n
	for o.pieces.n > 0 {
		x := o.pieces.front()
		k := min(n, int(x.before))
		o.drop(k)
		x.before -= uint32(k)
		n -= k
		if x.before > 0 {
			return
		}
		k = min(n, len(x.p))
		x.p = x.p[k:]
		n -= k
		if len(x.p) > 0 || x.file != nil && x.file.left > 0 {
			return
		}
		if done := o.popPiece(); done != nil {
			o.finished.push(done)
		}
	}
	o.drop(n)
	o.after -= n
}

// popPiece removes the first piece and returns its completion.
func (o *output) popPiece() (done func(error)) {
	x := o.pieces.pop()
	o.whole -= int(x.size)
	return x.done
}

// drop removes the first n bytes of the chunks.
func (o *output) drop(n int) {
	o.copied -= n
	for n > 0 {
		c := o.chunks
		k := min(n, len(c.buf)-c.sent)
		c.sent += k
		n -= k
		if c.sent == len(c.buf) {
			o.removeChunk()
		}
	}
}

func (o *output) removeChunk() {
	c := o.chunks
	if o.chunks = c.next; c.next == nil {
		o.last = nil
	}
	o.room -= cap(c.buf)
	if cap(c.buf) == bigChunk {
		c.next, c.buf, c.sent = nil, c.buf[:0], 0
		chunks.Put(c)
	}
}

// clear drops the queued bytes. There must be no pieces.
func (o *output) clear() {
	for o.chunks != nil {
		o.removeChunk()
	}
	o.size, o.copied, o.after, o.fileBytes = 0, 0, 0, 0
}

// completed calls a completion function.
func completed(s *Server, done func(error), err error) {
	_ = guard(s, err, func(err error) error { done(err); return nil })
}

// A fifo is a queue in blocks. It never moves its elements.
type fifo[T any] struct {
	head, tail *fifoBlock[T]
	n          int
}

type fifoBlock[T any] struct {
	next  *fifoBlock[T]
	items []T
	first int
}

const mostInBlock = 64

func (q *fifo[T]) push(v T) {
	if q.tail == nil || len(q.tail.items) == cap(q.tail.items) {
		// A new block has room for a quarter of the queue at most.
		b := &fifoBlock[T]{items: make([]T, 0, min(max(q.n/4, 1), mostInBlock))}
		if q.tail == nil {
			q.head = b
		} else {
			q.tail.next = b
		}
		q.tail = b
	}
	q.tail.items = append(q.tail.items, v)
	q.n++
}

func (q *fifo[T]) pushFront(v T) {
	q.n++
	if q.head != nil && q.head.first > 0 {
		q.head.first--
		q.head.items[q.head.first] = v
		return
	}
	q.head = &fifoBlock[T]{next: q.head, items: []T{v}}
	if q.tail == nil {
		q.tail = q.head
	}
}

func (q *fifo[T]) front() *T { return &q.head.items[q.head.first] }

func (q *fifo[T]) pop() (v T) {
	b := q.head
	v, b.items[b.first] = b.items[b.first], v
	b.first++
	q.n--
	if b.first == len(b.items) {
		if q.head = b.next; q.head == nil {
			q.tail = nil
		}
	}
	return v
}
