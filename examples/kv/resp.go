package main

import (
	"bytes"
	"fmt"
)

// The bounds of a request that do not depend on the options. A client that
// exceeds one gets an error that says so, and is disconnected, because the parser
// cannot find the next request.
const (
	maxArgs   = 1 << 20  // of a request
	maxInline = 64 << 10 // bytes of a request that is a line
	maxDigits = 20       // of a number in a header: an int64 with its sign
	keptSpans = 64       // a parser keeps the memory for so many arguments
)

// A protocolError ends a connection.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

// A parser splits requests into arguments. They arrive in pieces of any size. The
// parser remembers how far it got as offsets from the request's start, so it
// looks at no byte twice, and the input may move in memory between two calls.
type parser struct {
	limit  int // the most bytes of a request
	pos    int // everything before it was parsed
	want   int // arguments that are missing; 0 before the header
	bulk   int // length of the argument at pos, when inBulk
	inBulk bool
	spans  []span // the arguments that are complete
}

type span struct{ from, to int }

// next appends the arguments of the first request of the input to args, and
// returns how many bytes the request has. The arguments are slices of the input.
// If the request is not complete, next returns 0 bytes; call it again with the
// same input and more. An empty request has no arguments.
func (p *parser) next(in []byte, args [][]byte) (_ [][]byte, n int, err error) {
	if p.want == 0 {
		if len(in) == 0 {
			return args, 0, nil
		}
		if in[0] != '*' {
			return p.inline(in, args)
		}
		count, end, err := header(in, 0, "mbulk", "multibulk")
		if err != nil || end == 0 {
			return args, 0, err
		}
		if count > maxArgs {
			return args, 0, protocolError("invalid multibulk length")
		}
		if count <= 0 {
			return args, end, nil
		}
		p.want, p.pos = int(count), end
	}
	for ; p.want > 0; p.want-- {
		complete, err := p.argument(in)
		if err != nil || !complete {
			return args, 0, err
		}
	}
	for _, s := range p.spans {
		args = append(args, in[s.from:s.to:s.to])
	}
	n = p.pos
	p.reset()
	return args, n, nil
}

// argument reads the argument at pos, and reports whether it is complete.
func (p *parser) argument(in []byte) (complete bool, err error) {
	if !p.inBulk {
		if p.pos == len(in) {
			return false, nil
		}
		if b := in[p.pos]; b != '$' {
			return false, protocolError(fmt.Sprintf("expected '$', got '%s'", printable([]byte{b})))
		}
		length, end, err := header(in, p.pos, "bulk", "bulk")
		if err != nil || end == 0 {
			return false, err
		}
		if length < 0 || length > int64(p.limit) {
			return false, protocolError("invalid bulk length")
		}
		if end+int(length)+2 > p.limit {
			return false, protocolError(fmt.Sprintf("the request is longer than %d bytes", p.limit))
		}
		p.pos, p.bulk, p.inBulk = end, int(length), true
	}
	end := p.pos + p.bulk
	if len(in) < end+2 {
		return false, nil
	}
	if in[end] != '\r' || in[end+1] != '\n' {
		return false, protocolError("no CRLF after a bulk string")
	}
	p.spans = append(p.spans, span{p.pos, end})
	p.pos, p.inBulk = end+2, false
	return true, nil
}

func (p *parser) reset() {
	p.pos = 0
	if p.spans = p.spans[:0]; cap(p.spans) > keptSpans {
		p.spans = nil
	}
}

// header reads the number of a line such as "$3". It returns the offset behind the
// line, or 0 while the line is not complete. The names are Redis's names for the
// line and the number in its errors.
func header(in []byte, at int, line, number string) (n int64, end int, err error) {
	digits := in[at+1:]
	i := bytes.IndexByte(digits[:min(len(digits), maxDigits+1)], '\r')
	if i < 0 && len(digits) > maxDigits {
		return 0, 0, protocolError("too big " + line + " count string")
	}
	if i < 0 || i+1 == len(digits) {
		return 0, 0, nil
	}
	n, ok := parseInt(digits[:i])
	if !ok || digits[i+1] != '\n' {
		return 0, 0, protocolError("invalid " + number + " length")
	}
	return n, at + 1 + i + 2, nil
}

// inline reads a request that is a line of words, as a person types them.
func (p *parser) inline(in []byte, args [][]byte) (_ [][]byte, n int, err error) {
	i := bytes.IndexByte(in[p.pos:], '\n')
	if i < 0 && len(in) > maxInline || p.pos+i > maxInline {
		return args, 0, protocolError("too big inline request")
	}
	if i < 0 {
		p.pos = len(in)
		return args, 0, nil
	}
	line, n := in[:p.pos+i], p.pos+i+1
	p.pos = 0
	args, ok := splitWords(line, args)
	if !ok {
		return args, 0, protocolError("unbalanced quotes in request")
	}
	return args, n, nil
}

// splitWords splits a line at white space. Words may be in quotes: in double
// quotes with the escapes of C, in single quotes with \' alone.
func splitWords(line []byte, args [][]byte) (_ [][]byte, ok bool) {
	for {
		line = bytes.TrimLeft(line, blanks)
		if len(line) == 0 {
			return args, true
		}
		end := bytes.IndexAny(line, blanks+`"'`)
		if end < 0 {
			end = len(line)
		}
		if end == len(line) || isBlank(line[end]) {
			args, line = append(args, line[:end:end]), line[end:]
			continue
		}
		word, rest, ok := quotedWord(line)
		if !ok {
			return args, false
		}
		args, line = append(args, word), rest
	}
}

const blanks = " \t\r\n\v\f\x00"

func isBlank(b byte) bool { return bytes.IndexByte([]byte(blanks), b) >= 0 }

// quotedWord reads a word that ends with a quoted part.
func quotedWord(line []byte) (word, rest []byte, ok bool) {
	i := 0
	for line[i] != '"' && line[i] != '\'' {
		word = append(word, line[i])
		i++
	}
	quote := line[i]
	for i++; i < len(line); i++ {
		switch b := line[i]; {
		case b == quote:
			rest = line[i+1:]
			return word, rest, len(rest) == 0 || isBlank(rest[0])
		case b == '\\' && i+1 < len(line) && (quote == '"' || line[i+1] == '\''):
			if v, ok := hexEscape(line[i:]); quote == '"' && ok {
				word = append(word, v)
				i += 3
				continue
			}
			i++
			word = append(word, unescape(line[i]))
		default:
			word = append(word, b)
		}
	}
	return nil, nil, false
}

// unescape returns what a letter after a backslash means. Most mean themselves.
func unescape(b byte) byte {
	switch b {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return b
}

// hexEscape reads an escape such as \x1f.
func hexEscape(p []byte) (v byte, ok bool) {
	if len(p) < 4 || p[1] != 'x' {
		return 0, false
	}
	for _, b := range p[2:4] {
		i := bytes.IndexByte([]byte("0123456789abcdef"), lower(b))
		if i < 0 {
			return 0, false
		}
		v = v<<4 | byte(i)
	}
	return v, true
}

// parseInt reads an integer in the form that Redis accepts: without a plus sign,
// leading zeros or blanks.
func parseInt(p []byte) (n int64, ok bool) {
	digits := p
	negative := len(p) > 0 && p[0] == '-'
	if negative {
		digits = p[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(p) > 1 {
		return 0, false
	}
	var u uint64
	for _, b := range digits {
		if b < '0' || b > '9' {
			return 0, false
		}
		u = u*10 + uint64(b-'0')
	}
	if negative {
		return -int64(u), u <= 1<<63
	}
	return int64(u), u < 1<<63
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// printable returns p in a form that fits in an error, which is one line.
func printable(p []byte) []byte {
	p = bytes.ReplaceAll(p, []byte{'\r'}, []byte{' '})
	return bytes.ReplaceAll(p, []byte{'\n'}, []byte{' '})
}
