// Package tlsheld takes unused memory from a tls.Conn.
//
// A tls.Conn holds three buffers: ciphertext that arrived (rawInput), bytes of handshake
// messages (hand), and decrypted bytes that Read has not returned yet (input). crypto/tls
// keeps the memory of the first two for the life of the connection. So this package looks
// into the tls.Conn. Go 1.26 and 1.27 have these fields. If a later Go renames one of them
// or changes its type, a connection keeps its memory.
package tlsheld

import (
	"bytes"
	"crypto/tls"
	"reflect"
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

// Drop drops the memory that c does not need until more arrives. No call of Read may be in
// progress. A part of a record stays. If c has decrypted bytes, Drop does nothing.
func Drop(c *tls.Conn) {
	if !held.known {
		return
	}
	input := field[bytes.Reader](c, held.input)
	if input.Len() > 0 {
		return
	}
	*input = bytes.Reader{} // it may point into the memory of rawInput
	for _, offset := range []uintptr{held.rawInput, held.hand} {
		b := field[bytes.Buffer](c, offset)
		*b = *bytes.NewBuffer(bytes.Clone(b.Bytes()))
	}
}
