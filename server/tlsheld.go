package server

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"sync"
	"unsafe"
)

// A tls.Conn holds three buffers: ciphertext that arrived (rawInput), bytes of handshake
// messages (hand), and decrypted bytes that Read has not returned yet (input). crypto/tls
// keeps the memory of the first two for the life of the connection: 2 to 18 KiB. It also
// has no method that says whether input is empty, and without that nobody knows whether
// the connection may be left to the loop.
//
// So this file looks into the tls.Conn. Go 1.26 and 1.27 have these fields. If a later Go
// renames one of them or changes its type, held is zero, and the server does without: a
// connection keeps its buffers, and a session of a Handler keeps its goroutine.
var held = findHeld(reflect.TypeFor[tls.Conn]())

// heldFields has the offsets of the buffers in a tls.Conn.
type heldFields struct {
	known                 bool
	rawInput, hand, input uintptr
}

func findHeld(conn reflect.Type) (h heldFields) {
	h.known = true
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
			return heldFields{}
		}
		*f.offset = field.Offset
	}
	return h
}

func heldField[T any](c *tls.Conn, offset uintptr) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(c), offset))
}

// The functions below are for the goroutine that reads from the tls.Conn, between two
// calls of Read.

// plainHeld returns how many decrypted bytes the next Read returns without more
// ciphertext.
func plainHeld(c *tls.Conn) int {
	if !held.known {
		return 0
	}
	return heldField[bytes.Reader](c, held.input).Len()
}

// cipherHeld returns how many bytes of ciphertext the tls.Conn holds. After a Read that
// has used up all ciphertext they are a part of a record.
func cipherHeld(c *tls.Conn) int {
	if !held.known {
		return 0
	}
	return heldField[bytes.Buffer](c, held.rawInput).Len()
}

// unreadByte makes b, which Read has just returned alone, the next byte of Read.
func unreadByte(c *tls.Conn, b byte) {
	in := heldField[bytes.Reader](c, held.input)
	if in.UnreadByte() != nil { // Read has looked at the next record, and so has forgotten this one
		in.Reset([]byte{b})
	}
}

// rawBuffers has the memory that the tls.Conns borrow while they read.
var rawBuffers = sync.Pool{New: func() any { return new([rawSize]byte) }}

// rawSize has room for the largest record, with 16 KiB and 261 bytes, and for the 512
// bytes more that crypto/tls asks for.
const rawSize = 18 << 10

// lend gives memory for ciphertext to a tls.Conn that has none. reclaim takes it back.
func lend(c *tls.Conn) {
	if !held.known {
		return
	}
	if raw := heldField[bytes.Buffer](c, held.rawInput); raw.Cap() == 0 {
		*raw = *bytes.NewBuffer(rawBuffers.Get().(*[rawSize]byte)[:0])
	}
}

// reclaim takes the memory of the buffers from a tls.Conn, unless it holds plain bytes. A
// part of a record stays, in memory that is not lent.
func reclaim(c *tls.Conn) {
	if !held.known || plainHeld(c) > 0 {
		return
	}
	*heldField[bytes.Reader](c, held.input) = bytes.Reader{} // it may point into the memory of rawInput
	if hand := heldField[bytes.Buffer](c, held.hand); hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
	raw := heldField[bytes.Buffer](c, held.rawInput)
	lent := raw.Cap() == rawSize
	if raw.Len() > 0 && !lent {
		return // it has grown for this record
	}
	part := bytes.Clone(raw.Bytes())
	raw.Reset()
	memory := raw.AvailableBuffer()
	*raw = *bytes.NewBuffer(part)
	if lent {
		rawBuffers.Put((*[rawSize]byte)(memory[:rawSize]))
	}
}
