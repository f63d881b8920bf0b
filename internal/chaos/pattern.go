package chaos

import (
	"encoding/binary"
	"fmt"
)

// HeaderSize is the length in bytes of the header of a stream, which is its seed.
const HeaderSize = 8

// AppendHeader appends the header of a stream.
func AppendHeader(p []byte, seed uint64) []byte { return binary.BigEndian.AppendUint64(p, seed) }

// word returns 8 bytes of a stream (splitmix64). They tell the place in the stream, so that
// bytes which are lost, doubled, exchanged or changed are noticed.
func word(seed, place uint64) uint64 {
	x := seed + (place+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Fill stores in p the bytes of the stream behind the first offset ones. The header does
// not count.
func Fill(p []byte, seed, offset uint64) {
	for i := range p {
		at := offset + uint64(i)
		p[i] = byte(word(seed, at/8) >> (at % 8 * 8))
	}
}

// A Checker checks what it gets of a stream, header included. The zero Checker expects the
// header.
type Checker struct {
	Seed   uint64
	got    uint64 // bytes, header included
	header [HeaderSize]byte
}

// Got returns how many bytes the Checker has got, without the header.
func (c *Checker) Got() uint64 { return c.got - min(c.got, HeaderSize) }

// Check takes the next bytes, and returns an error that says which of them is wrong. All
// checks after an error fail, too.
func (c *Checker) Check(p []byte) error {
	for c.got < HeaderSize && len(p) > 0 {
		c.header[c.got] = p[0]
		c.got, p = c.got+1, p[1:]
		c.Seed = binary.BigEndian.Uint64(c.header[:])
	}
	for i, b := range p {
		at := c.got - HeaderSize
		if want := byte(word(c.Seed, at/8) >> (at % 8 * 8)); b != want {
			return fmt.Errorf("stream %d: byte %d of %d is %#02x, and should be %#02x", c.Seed, at, at+uint64(len(p)-i), b, want)
		}
		c.got++
	}
	return nil
}
