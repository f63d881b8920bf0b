package lua

import (
	"encoding/base64"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// The filters of mime.core work on a text in pieces. They have two forms. f(state,
// piece) returns the filtered piece and the state for the next one. f(rest, piece)
// filters rest and piece, and also returns the bytes that must wait for the next
// piece: that call's rest. A piece of nil ends the text.

const mimeVersion = "MIME 1.0.3"

func loadMime(L *glua.LState) int {
	mod := L.SetFuncs(L.NewTable(), map[string]glua.LGFunction{
		"b64":   func(L *glua.LState) int { return filterRest(L, encodeBase64) },
		"unb64": func(L *glua.LState) int { return filterRest(L, decodeBase64) },
		"qp":    encodeQuoted,
		"unqp":  func(L *glua.LState) int { return filterRest(L, decodeQuoted) },
		"wrp":   wrap,
		"qpwrp": wrapQuoted,
		"eol":   convertEOL,
		"dot":   stuffDots,
	})
	mod.RawSetString("_VERSION", glua.LString(mimeVersion))
	L.Push(mod)
	return 1
}

// filterRest runs a filter of the second form. The filter gets the rest and the
// piece, and returns the filtered text and the bytes that must wait. At the end
// none may wait.
func filterRest(L *glua.LState, filter func(text string, end bool) (filtered, rest string)) int {
	if L.Get(1) == glua.LNil {
		L.Push(glua.LNil)
		L.Push(glua.LNil)
		return 2
	}
	text := L.CheckString(1)
	end := L.Get(2) == glua.LNil
	if !end {
		text += L.CheckString(2)
	}
	filtered, rest := filter(text, end)
	if !end {
		L.Push(glua.LString(filtered))
		L.Push(glua.LString(rest))
		return 2
	}
	if filtered == "" {
		L.Push(glua.LNil)
	} else {
		L.Push(glua.LString(filtered))
	}
	L.Push(glua.LNil)
	return 2
}

func encodeBase64(text string, end bool) (string, string) {
	whole := len(text)
	if !end {
		whole -= whole % 3
	}
	return base64.StdEncoding.EncodeToString(bytesOf(text[:whole])), text[whole:]
}

// decodeBase64 skips bytes that are not in the alphabet.
func decodeBase64(text string, _ bool) (string, string) {
	var out strings.Builder
	var atom [4]byte
	n := 0
	for i := range len(text) {
		c := text[i]
		if value(c) < 0 && c != '=' {
			continue
		}
		atom[n] = c
		if n++; n < len(atom) {
			continue
		}
		n = 0
		bits := 0
		for _, c := range atom {
			bits = bits<<6 | max(value(c), 0)
		}
		decoded := [3]byte{byte(bits >> 16), byte(bits >> 8), byte(bits)}
		valid := 3
		switch {
		case atom[2] == '=':
			valid = 1
		case atom[3] == '=':
			valid = 2
		}
		out.Write(decoded[:valid])
	}
	return out.String(), string(atom[:n])
}

// value returns the value of a character of base64, or -1.
func value(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}

// Quoted-printable: RFC 2045, section 6.7.

const (
	crlf      = "\r\n"
	softBreak = "=\r\n"
)

func encodeQuoted(L *glua.LState) int {
	marker := optString(L, 3, crlf)
	return filterRest(L, func(text string, end bool) (string, string) {
		var out strings.Builder
		for text != "" {
			c := text[0]
			switch {
			case c == '\r' && len(text) < 2, isBlank(c) && len(text) < 3: // only the next byte decides
				if !end {
					return out.String(), text
				}
				return out.String() + quotedEnd(text), ""
			case strings.HasPrefix(text, crlf):
				out.WriteString(marker)
				text = text[2:]
				continue
			case isBlank(c) && text[1:3] == crlf: // a blank at the end of its line
				quote(&out, c)
				out.WriteString(marker)
				text = text[3:]
				continue
			case isPlain(c) || isBlank(c):
				out.WriteByte(c)
			default:
				quote(&out, c)
			}
			text = text[1:]
		}
		return out.String(), ""
	})
}

// quotedEnd encodes the bytes that waited until the end. It adds a soft line break,
// because a line must not end with a blank.
func quotedEnd(text string) string {
	var out strings.Builder
	for i := range len(text) {
		if isPlain(text[i]) {
			out.WriteByte(text[i])
		} else {
			quote(&out, text[i])
		}
	}
	return out.String() + softBreak
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isPlain(c byte) bool { return '!' <= c && c <= '~' && c != '=' }

const hexDigits = "0123456789ABCDEF"

func quote(out *strings.Builder, c byte) {
	out.Write([]byte{'=', hexDigits[c>>4], hexDigits[c&15]})
}

// decodeQuoted decodes quoted-printable text. It drops control characters, bytes
// beyond ASCII, and a carriage return without a newline, with the byte behind it.
func decodeQuoted(text string, _ bool) (string, string) {
	var out strings.Builder
	for text != "" {
		n := 1
		switch c := text[0]; {
		case c == '=':
			if n = 3; len(text) < n {
				return out.String(), text
			}
			if text[:n] != softBreak {
				decodePair(&out, text[:n])
			}
		case c == '\r':
			if n = 2; len(text) < n {
				return out.String(), text
			}
			if text[:n] == crlf {
				out.WriteString(crlf)
			}
		case c == '\t' || ' ' <= c && c <= '~':
			out.WriteByte(c)
		}
		text = text[n:]
	}
	return out.String(), ""
}

// decodePair decodes "=XX". It leaves any other text as it is.
func decodePair(out *strings.Builder, code string) {
	high := strings.IndexByte(hexDigits, upper(code[1]))
	low := strings.IndexByte(hexDigits, upper(code[2]))
	if high < 0 || low < 0 {
		out.WriteString(code)
		return
	}
	out.WriteByte(byte(high<<4 | low))
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'f' {
		c -= 'a' - 'A'
	}
	return c
}

// Lines.

// wrap is wrp(left, text, length). It breaks lines that are longer than length. left
// is the number of bytes that the current line has room for.
func wrap(L *glua.LState) int {
	return wrapLines(L, crlf, func(byte) int { return 0 })
}

// wrapQuoted breaks lines with soft line breaks, and never within an escape. It
// reserves room for the soft line break.
func wrapQuoted(L *glua.LState) int {
	return wrapLines(L, softBreak, func(c byte) int {
		if c == '=' {
			return 3
		}
		return 1
	})
}

// wrapLines breaks a line before a character if the room that is left is at most
// full(c).
func wrapLines(L *glua.LState, mark string, full func(c byte) int) int {
	left, length := int(checkNumber(L, 1)), int(optNumber(L, 3, 76))
	if L.Get(2) == glua.LNil {
		if left < length {
			L.Push(glua.LString(mark))
		} else {
			L.Push(glua.LNil)
		}
		L.Push(glua.LNumber(length))
		return 2
	}
	text := L.CheckString(2)
	var out strings.Builder
	for i := range len(text) {
		switch c := text[i]; c {
		case '\r':
		case '\n':
			out.WriteString(crlf)
			left = length
		default:
			if left <= full(c) {
				out.WriteString(mark)
				left = length
			}
			out.WriteByte(c)
			left--
		}
	}
	L.Push(glua.LString(out.String()))
	L.Push(glua.LNumber(left))
	return 2
}

// convertEOL is eol(last, text, marker): each of CR, LF, CRLF and LFCR becomes
// the marker. last is the first half of such a pair, if the text before ended
// with one, or 0.
func convertEOL(L *glua.LState) int {
	last := byte(checkNumber(L, 1))
	marker := optString(L, 3, crlf)
	if L.Get(2) == glua.LNil {
		L.Push(glua.LNil)
		L.Push(glua.LNumber(0))
		return 2
	}
	text := L.CheckString(2)
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case c != '\r' && c != '\n':
			out.WriteByte(c)
			last = 0
		case last == 0:
			out.WriteString(marker)
			last = c
		default:
			if c == last {
				out.WriteString(marker)
			}
			last = 0
		}
	}
	L.Push(glua.LString(out.String()))
	L.Push(glua.LNumber(last))
	return 2
}

// stuffDots is dot(state, text). It doubles a dot at the beginning of a line, for
// SMTP. The state is the number of bytes of CRLF that the text before ended with.
func stuffDots(L *glua.LState) int {
	state := int(checkNumber(L, 1))
	if L.Get(2) == glua.LNil {
		L.Push(glua.LNil)
		L.Push(glua.LNumber(2))
		return 2
	}
	text := L.CheckString(2)
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		out.WriteByte(c)
		switch {
		case c == '\r':
			state = 1
		case c == '\n' && state == 1:
			state = 2
		default:
			if c == '.' && state == 2 {
				out.WriteByte('.')
			}
			state = 0
		}
	}
	L.Push(glua.LString(out.String()))
	L.Push(glua.LNumber(state))
	return 2
}
