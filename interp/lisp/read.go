package lisp

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxNesting bounds the nesting of lists that are read, printed or compared.
const maxNesting = 10000

// A reader reads the forms of a text.
type reader struct {
	in    *Interp // has the symbols
	file  string
	text  string
	pos   int
	line  int
	depth int
}

func newReader(in *Interp, file, text string) *reader {
	text = strings.TrimPrefix(text, "\uFEFF") // some editors write a byte order mark
	r := &reader{in: in, file: file, text: text, line: 1}
	if strings.HasPrefix(text, "#!") { // the first line of an executable script
		r.skipLine()
	}
	return r
}

// Incomplete reports whether a text ends within a list or string, so that its rest is
// missing.
func Incomplete(text string) bool {
	r := newReader(&Interp{}, "", text)
	for {
		_, more, err := r.next()
		if err != nil {
			return err.(*Error).Err == ErrIncomplete
		}
		if !more {
			return false
		}
	}
}

// next reads a form. At the end of the text it returns false for more.
func (r *reader) next() (form Value, more bool, err error) {
	if err := r.space(); err != nil || r.pos == len(r.text) {
		return nil, false, err
	}
	form, err = r.form()
	return form, err == nil, err
}

func (r *reader) fail(line int, format string, args ...any) error {
	err := raise(format, args...).(*Error)
	err.File, err.Line = r.file, line
	return err
}

func (r *reader) incomplete(line int, what string) error {
	err := r.fail(line, "%s has no end", what)
	err.(*Error).Err = ErrIncomplete
	return err
}

// space skips white space, comments to the end of the line, and #| ... |#.
func (r *reader) space() error {
	for r.pos < len(r.text) {
		switch c := r.text[r.pos]; {
		case c == '\n':
			r.line++
			r.pos++
		case c == ' ' || c == '\t' || c == '\r' || c == '\f':
			r.pos++
		case c == ';':
			r.skipLine()
		case strings.HasPrefix(r.text[r.pos:], "#|"):
			end := strings.Index(r.text[r.pos:], "|#")
			if end < 0 {
				return r.incomplete(r.line, "a comment")
			}
			r.line += strings.Count(r.text[r.pos:r.pos+end], "\n")
			r.pos += end + len("|#")
		default:
			return nil
		}
	}
	return nil
}

func (r *reader) skipLine() {
	if end := strings.IndexByte(r.text[r.pos:], '\n'); end >= 0 {
		r.pos += end
	} else {
		r.pos = len(r.text)
	}
}

func (r *reader) form() (Value, error) {
	if r.depth++; r.depth > maxNesting {
		return nil, r.fail(r.line, "lists nested more than %d deep", maxNesting)
	}
	defer func() { r.depth-- }()
	switch c := r.text[r.pos]; c {
	case '(':
		return r.list()
	case ')':
		return nil, r.fail(r.line, "a ) without its (")
	case '\'':
		return r.prefixed(1, r.in.quote)
	case '`':
		return r.prefixed(1, r.in.quasiquote)
	case ',':
		if strings.HasPrefix(r.text[r.pos:], ",@") {
			return r.prefixed(2, r.in.splice)
		}
		return r.prefixed(1, r.in.unquote)
	case '"':
		return r.string()
	case '?':
		return r.character()
	case '#':
		return nil, r.foreign()
	case '[', ']', '{', '}':
		return nil, r.fail(r.line, "%c is not of this dialect: lists are in ( and )", c)
	}
	return r.atom()
}

func (r *reader) list() (Value, error) {
	at := &place{r.file, r.line}
	r.pos++
	var items []Value
	for {
		if err := r.space(); err != nil {
			return nil, err
		}
		if r.pos == len(r.text) {
			return nil, r.incomplete(at.line, "a list")
		}
		if r.text[r.pos] == ')' {
			r.pos++
			break
		}
		item, err := r.form()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	list := listOf(items, nil)
	if list != nil {
		list.at = at
	}
	return list.value(), nil
}

// prefixed reads a form with a prefix: 'x means (quote x), and `, "," and ",@" work in
// the same way.
func (r *reader) prefixed(size int, name *Symbol) (Value, error) {
	line := r.line
	r.pos += size
	form, more, err := r.next()
	if err == nil && !more {
		err = r.incomplete(line, "a quotation")
	}
	if err != nil {
		return nil, err
	}
	list := listOf([]Value{name, form}, nil)
	list.at = &place{r.file, line}
	return list, nil
}

var escapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'e': 0x1b, '0': 0, '"': '"', '\\': '\\'}

func (r *reader) string() (Value, error) {
	line := r.line
	r.pos++
	var b strings.Builder
	for r.pos < len(r.text) {
		c := r.text[r.pos]
		r.pos++
		switch c {
		case '"':
			return b.String(), nil
		case '\n':
			r.line++
		case '\\':
			if err := r.escape(&b); err != nil {
				return nil, err
			}
			continue
		}
		b.WriteByte(c)
	}
	return nil, r.incomplete(line, "a string")
}

// escape reads the characters that follow a backslash in a string. It reads nothing at
// the end of the text: the string is incomplete, which its caller reports.
func (r *reader) escape(b *strings.Builder) error {
	if r.pos == len(r.text) {
		return nil
	}
	c := r.text[r.pos]
	r.pos++
	if plain, ok := escapes[c]; ok {
		b.WriteByte(plain)
		return nil
	}
	switch c {
	case '\n': // the string continues on the next line
		r.line++
		return nil
	case 'x', 'u':
		digits := map[byte]int{'x': 2, 'u': 4}[c]
		if len(r.text)-r.pos < digits {
			r.pos = len(r.text)
			return nil
		}
		n, err := strconv.ParseUint(r.text[r.pos:r.pos+digits], 16, 16)
		if err == nil && c == 'x' {
			b.WriteByte(byte(n))
			r.pos += digits
			return nil
		}
		if err == nil && utf8.ValidRune(rune(n)) {
			b.WriteRune(rune(n))
			r.pos += digits
			return nil
		}
		return r.fail(r.line, `\%c wants %d hexadecimal digits of a character, got %q`, c, digits, r.text[r.pos:r.pos+digits])
	}
	return r.fail(r.line, `unknown escape \%c in a string`, c)
}

// token takes the characters up to a space, parenthesis, quotation or comment.
func (r *reader) token() string {
	start := r.pos
	for r.pos < len(r.text) && !strings.ContainsRune(" \t\r\n\f()[]{}\"'`,;", rune(r.text[r.pos])) {
		r.pos++
	}
	return r.text[start:r.pos]
}
