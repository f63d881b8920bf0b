package lisp

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Print returns a value's text. The reader can read the text again if values of
// that kind have a notation, as numbers, strings and lists have. Print replaces the
// parts that are nested deeper than 10000 lists, or that are behind 2^28 bytes, by
// an ellipsis.
func Print(v Value) string { return textOf(v, true) }

// textOf returns a value's text. If readable is false, strings have no quotation marks
// or escapes.
func textOf(v Value, readable bool) string {
	if s, ok := v.(string); ok && !readable {
		return s
	}
	p := printer{readable: readable, most: maxBytes}
	p.print(v, 0)
	return p.String()
}

// brief returns a short text of a value, for an error message.
func brief(v Value) string {
	const most = 80
	if s, ok := v.(string); ok && len(s) > most {
		return "a string of " + strconv.Itoa(len(s)) + " bytes"
	}
	p := printer{readable: true, most: most}
	p.print(v, 0)
	return p.String()
}

type printer struct {
	strings.Builder
	readable bool
	most     int // bytes after which the printer cuts lists short
}

func (p *printer) print(v Value, depth int) {
	switch v := v.(type) {
	case nil:
		p.WriteString("nil")
	case int64:
		p.WriteString(strconv.FormatInt(v, 10))
	case float64:
		p.WriteString(formatFloat(v))
	case string:
		if p.readable {
			p.quote(v)
		} else {
			p.WriteString(v)
		}
	case *Symbol:
		p.WriteString(v.name)
	case *List:
		p.list(v, depth)
	default:
		fmt.Fprint(p, v) // all other types have a method String
	}
}

// prefixes are the short forms of lists of two elements.
var prefixes = map[string]string{"quote": "'", "quasiquote": "`", "unquote": ",", "unquote-splicing": ",@"}

func (p *printer) list(l *List, depth int) {
	if depth == maxNesting {
		p.WriteString("...")
		return
	}
	if s, ok := l.head.(*Symbol); ok && prefixes[s.name] != "" && l.len(3) == 2 {
		p.WriteString(prefixes[s.name])
		if inner, ok := l.tail.head.(*Symbol); ok && s.name == "unquote" && inner.name[0] == '@' {
			p.WriteByte(' ') // the reader would take ",@" for a prefix
		}
		p.print(l.tail.head, depth+1)
		return
	}
	p.WriteByte('(')
	for first := l; l != nil; l = l.tail {
		if l != first {
			p.WriteByte(' ')
		}
		if p.Len() > p.most {
			p.WriteString("...")
			break
		}
		p.print(l.head, depth+1)
	}
	p.WriteByte(')')
}

// formatFloat formats a float so that the reader does not take it for an integer.
func formatFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") && !math.IsInf(f, 0) && !math.IsNaN(f) {
		s += ".0"
	}
	return s
}

// quote writes a string so that the reader can read it again.
func (p *printer) quote(s string) {
	p.WriteByte('"')
	for len(s) > 0 {
		c, size := utf8.DecodeRuneInString(s)
		switch {
		case c == '"' || c == '\\':
			p.WriteByte('\\')
			p.WriteRune(c)
		case c == '\n':
			p.WriteString(`\n`)
		case c == '\t':
			p.WriteString(`\t`)
		case c == '\r':
			p.WriteString(`\r`)
		case c == utf8.RuneError && size == 1, c < utf8.RuneSelf && !unicode.IsPrint(c):
			fmt.Fprintf(p, `\x%02x`, s[0])
		default:
			p.WriteString(s[:size])
		}
		s = s[size:]
	}
	p.WriteByte('"')
}
