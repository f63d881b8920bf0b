// Package tlsheld knows what a tls.Conn holds in memory, and lends it memory only while it
// reads.
//
// A tls.Conn holds three buffers: ciphertext that arrived (rawInput), bytes of handshake
// messages (hand), and decrypted bytes that Read has not returned yet (input). crypto/tls
// keeps the memory of the first two for the life of the connection: 2 to 18 KiB. It also
// has no method that says whether input is empty, and without that nobody knows whether
// the connection may be left to a loop.
//
// So this package looks into the tls.Conn. Go 1.26 and 1.27 have these fields. If a later
// Go renames one of them or changes its type, Known returns false, and the other functions
// do nothing: a connection keeps its memory.
//
// The functions are for the goroutine that reads from the tls.Conn, between two calls of
// Read.
package tlsheld

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"sync"
	"unsafe"
)

// fields has the offsets of the buffers in a tls.Conn.
type fields struct {
	known                 bool
	rawInput, hand, input uintptr
}

var held = find(reflect.TypeFor[tls.Conn]())

func find(conn reflect.Type) (h fields) {
	for _, f := range []struct {
		name   string
		typ    reflect.Type
		offset *uintptr
	}{
		{"rawInput", reflect.TypeFor[bytes.Buffer](), &h.rawInput},
		{"hand", reflect.TypeFor[bytes.Buffer](), &h.hand},
		{"input", reflect.TypeFor[bytes.Reader](), &h.input},
	} {
		field, ok := conn.FieldByName(f.name)
		if !ok || field.Type != f.typ {
			return fields{}
		}
		*f.offset = field.Offset
	}
	h.known = true
	return h
}

func field[T any](c *tls.Conn, offset uintptr) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(c), offset))
}

// Known reports whether this release of Go has the fields.
func Known() bool { return held.known }

// Forget makes the package behave as with a release of Go that has other fields, until
// restore is called. It is for tests.
func Forget() (restore func()) {
	before := held
	held = fields{}
	return func() { held = before }
}

// Capacities returns the memory of the buffers for ciphertext and for handshake messages.
// It is for tests.
func Capacities(c *tls.Conn) (rawInput, hand int) {
	return field[bytes.Buffer](c, held.rawInput).Cap(), field[bytes.Buffer](c, held.hand).Cap()
}

// Kept returns how many bytes the buffers for ciphertext and for handshake messages
// occupy. Without the fields it returns 0.
func Kept(c *tls.Conn) int {
	if !held.known {
		return 0
	}
	rawInput, hand := Capacities(c)
	return rawInput + hand
}

// Plain returns how many decrypted bytes the next Read returns without more
// ciphertext.
func Plain(c *tls.Conn) int {
	if !held.known {
		return 0
	}
	return field[bytes.Reader](c, held.input).Len()
}

// Cipher returns how many bytes of ciphertext the tls.Conn holds. After a Read that
// has used up all ciphertext they are a part of a record.
func Cipher(c *tls.Conn) int {
	if !held.known {
		return 0
	}
	return field[bytes.Buffer](c, held.rawInput).Len()
}

// Unread makes b, which Read has just returned alone, the next byte of Read.
func Unread(c *tls.Conn, b byte) {
	in := field[bytes.Reader](c, held.input)
	if in.UnreadByte() != nil { // Read has looked at the next record, and so has forgotten this one
		in.Reset([]byte{b})
	}
}

// rawBuffers has the memory that the tls.Conns borrow while they read.
var rawBuffers = sync.Pool{New: func() any { return new([RawSize]byte) }}

// RawSize has room for the largest record, with 16 KiB and 261 bytes, and for the 512
// bytes more that crypto/tls asks for.
const RawSize = 18 << 10

// Lend gives memory for ciphertext to a tls.Conn that has none. Reclaim takes it back.
func Lend(c *tls.Conn) {
	if !held.known {
		return
	}
	if raw := field[bytes.Buffer](c, held.rawInput); raw.Cap() == 0 {
		*raw = *bytes.NewBuffer(rawBuffers.Get().(*[RawSize]byte)[:0])
	}
}

// Reclaim takes the memory of the buffers from a tls.Conn, unless it holds plain bytes. A
// part of a record stays, in memory that is not lent.
func Reclaim(c *tls.Conn) {
	if !held.known || Plain(c) > 0 {
		return
	}
	*field[bytes.Reader](c, held.input) = bytes.Reader{} // it may point into the memory of rawInput
	if hand := field[bytes.Buffer](c, held.hand); hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
	raw := field[bytes.Buffer](c, held.rawInput)
	lent := raw.Cap() == RawSize
	if raw.Len() > 0 && !lent {
		return // it has grown for this record
	}
	part := bytes.Clone(raw.Bytes())
	raw.Reset()
	memory := raw.AvailableBuffer()
	*raw = *bytes.NewBuffer(part)
	if lent {
		rawBuffers.Put((*[RawSize]byte)(memory[:RawSize]))
	}
}
