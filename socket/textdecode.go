package socket

import "unicode/utf8"

// A sequence says what the bytes at the front of a buffer are.
type sequence int

const (
	complete   sequence = iota // a character
	incomplete                 // the beginning of one, with nothing after it
	malformed                  // not UTF-8
)

// decodeRune decodes the character at the front of p, which is not empty. size
// is how many bytes the result is about. For a malformed sequence these are its
// maximal subpart: the longest beginning of a character, or one byte. Unlike
// utf8.DecodeRune, it distinguishes bytes that may still become a character.
func decodeRune(p []byte) (r rune, size int, is sequence) {
	// The range of the second byte excludes overlong forms, surrogates, and
	// numbers beyond U+10FFFF (table 3-7 of the Unicode Standard).
	b, lo, hi := p[0], byte(0x80), byte(0xBF)
	switch {
	case b < utf8.RuneSelf:
		return rune(b), 1, complete
	case b < 0xC2:
		return 0, 1, malformed
	case b < 0xE0:
		r, size = rune(b&0x1F), 2
	case b < 0xF0:
		r, size = rune(b&0x0F), 3
		if b == 0xE0 {
			lo = 0xA0
		} else if b == 0xED {
			hi = 0x9F
		}
	case b < 0xF5:
		r, size = rune(b&0x07), 4
		if b == 0xF0 {
			lo = 0x90
		} else if b == 0xF4 {
			hi = 0x8F
		}
	default:
		return 0, 1, malformed
	}
	for i := 1; i < size; i++ {
		if i == len(p) {
			return 0, i, incomplete
		}
		if p[i] < lo || p[i] > hi {
			return 0, i, malformed
		}
		r = r<<6 | rune(p[i]&0x3F)
		lo, hi = 0x80, 0xBF
	}
	return r, size, complete
}
