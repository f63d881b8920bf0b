package socket

import (
	"fmt"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Fwrite sends all of buf, as Write does. It leaves the input buffer alone.
func (s *Socket) Fwrite(buf []byte) (int, error) { return s.sendAs("fwrite", buf, 0) }

// WriteRune sends one character in UTF-8, and returns how many bytes it sent. A
// number that is not a character, such as a surrogate, is EILSEQ, and nothing
// is sent. If the time is up, a part may have been sent: the count says how
// much.
func (s *Socket) WriteRune(r rune) (int, error) {
	const op = "write-char"
	if !utf8.ValidRune(r) {
		return 0, invalid(op, fmt.Sprintf("%#x", r), unix.EILSEQ, "no Unicode character")
	}
	var buf [utf8.UTFMax]byte
	return s.sendAs(op, buf[:utf8.EncodeRune(buf[:], r)], 0)
}

// WriteString sends all of str, as Write does.
func (s *Socket) WriteString(str string) (int, error) {
	buf := []byte{} // not nil, because an empty message may be sent
	if str != "" {
		buf = unsafe.Slice(unsafe.StringData(str), len(str))
	}
	return s.sendAs("write-string", buf, 0)
}

// WriteLine sends line and a newline together: in one segment if they fit, and
// in one datagram. The count includes the newline.
func (s *Socket) WriteLine(line string) (int, error) {
	// Except for huge lines, a copy costs less than gathering the two in the
	// kernel.
	size := len(line) + 1
	class := classOf(size)
	block := getBlock(class)
	defer putBlock(block, class)
	buf := unsafe.Slice(block, size)
	copy(buf, line)
	buf[size-1] = '\n'
	return s.sendAs("write-line", buf, 0)
}
