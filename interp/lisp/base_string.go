package lisp

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxBytes bounds the length of a string or binary.
const maxBytes = 1 << 28

var errTooLong = fmt.Errorf("the result is longer than %d bytes", maxBytes)

var stringBase = table{
	"concat": {0, -1, func(_ *Thread, args []Value) (Value, error) { return joined(args, "") }},
	"format": {1, -1, func(_ *Thread, args []Value) (Value, error) { return format(args) }},

	"stringp":     is[string](),
	"symbolp":     f1(func(_ *Thread, v Value) (Value, error) { _, ok := v.(*Symbol); return truth(ok || v == nil), nil }),
	"symbol-name": f1(func(_ *Thread, s *Symbol) (Value, error) { return s.name, nil }),
	"intern":      f1(intern),

	"string-join":     f2(func(_ *Thread, l *List, separator string) (Value, error) { return joined(l.Values(), separator) }),
	"split-string":    f2(split).with(1),
	"substring":       f3(substring).with(1),
	"string-search":   f2(search),
	"string-prefix-p": f2(func(_ *Thread, prefix, s string) (Value, error) { return truth(strings.HasPrefix(s, prefix)), nil }),
	"string=":         f2(func(_ *Thread, a, b string) (Value, error) { return truth(a == b), nil }),
	"string<":         f2(func(_ *Thread, a, b string) (Value, error) { return truth(a < b), nil }),
	"string-trim":     f1(func(_ *Thread, s string) (Value, error) { return strings.TrimSpace(s), nil }),
	"upcase":          f1(func(_ *Thread, s string) (Value, error) { return strings.ToUpper(s), nil }),
	"downcase":        f1(func(_ *Thread, s string) (Value, error) { return strings.ToLower(s), nil }),
	"char-to-string":  f1(charToString),
}

// intern is the symbol of a name.
func intern(t *Thread, name string) (Value, error) {
	if name == "" {
		return nil, errors.New("a symbol needs a name")
	}
	return t.in.symbol(name), nil
}

func charToString(_ *Thread, v Value) (Value, error) {
	c, err := within(v, 0, utf8.MaxRune)
	if err == nil && !utf8.ValidRune(rune(c)) {
		err = wanted("a character", v)
	}
	return string(rune(c)), err
}

func joined(parts []Value, separator string) (Value, error) {
	texts := make([]string, len(parts))
	size := 0
	for i, v := range parts {
		var err error
		if texts[i], err = arg[string](v); err != nil {
			return nil, err
		}
		if size += len(texts[i]) + len(separator); size > maxBytes {
			return nil, errTooLong
		}
	}
	return strings.Join(texts, separator), nil
}

// split is at white space, of which any amount is one separator, unless there is
// a separator.
func split(_ *Thread, s string, separator Value) (Value, error) {
	if separator == nil {
		return FromGo(strings.Fields(s))
	}
	by, err := arg[string](separator)
	if err == nil && by == "" {
		err = errors.New("the separator is empty")
	}
	if err != nil {
		return nil, err
	}
	return FromGo(strings.Split(s, by))
}

func search(_ *Thread, needle, s string) (Value, error) {
	if i := strings.Index(s, needle); i >= 0 {
		return int64(utf8.RuneCountInString(s[:i])), nil
	}
	return nil, nil
}

// substring counts characters. A negative place counts from the end.
func substring(_ *Thread, s string, first, last Value) (Value, error) {
	size := utf8.RuneCountInString(s)
	bound := func(v Value) (int, error) {
		n, err := within(v, -size, size)
		if n < 0 {
			n += size
		}
		return n, err
	}
	from, err := bound(first)
	if err != nil {
		return nil, err
	}
	to := size
	if last != nil {
		if to, err = bound(last); err != nil {
			return nil, err
		}
	}
	if from > to {
		return nil, fmt.Errorf("%d is behind %d", from, to)
	}
	start, end := len(s), len(s)
	n := 0
	for i := range s {
		if n == from {
			start = i
		}
		if n == to {
			end = i
		}
		n++
	}
	return s[start:end], nil
}

// directive is what begins with % in a format.
var directive = regexp.MustCompile(`^%([-+ 0]*[0-9]{0,3}(?:\.[0-9]{0,3})?)([sSdxcfeg%])`)

// format puts arguments into a text: %s as they are, %S as they are read, %d %x %c
// for integers, %f %e %g for numbers, %% for itself; with flags, width and
// precision as in C.
func format(args []Value) (Value, error) {
	text, err := arg[string](args[0])
	if err != nil {
		return nil, err
	}
	args = args[1:]
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			b.WriteString(text)
			break
		}
		b.WriteString(text[:i])
		text = text[i:]
		found := directive.FindStringSubmatch(text)
		if found == nil {
			return nil, wanted("a directive such as %s, %d or %5.2f", text)
		}
		text = text[len(found[0]):]
		if found[2] == "%" {
			b.WriteByte('%')
			continue
		}
		if len(args) == 0 {
			return nil, errors.New("no argument for " + found[0])
		}
		if err := formatOne(&b, "%"+found[1], found[2], args[0]); err != nil {
			return nil, err
		}
		args = args[1:]
		if b.Len() > maxBytes {
			return nil, errTooLong
		}
	}
	if len(args) > 0 {
		return nil, fmt.Errorf("%d arguments are left over", len(args))
	}
	return b.String(), nil
}

func formatOne(b *strings.Builder, flags, verb string, v Value) (err error) {
	switch verb {
	case "s", "S":
		v, verb = textOf(v, verb == "S"), "s"
	case "d", "x":
		v, err = arg[int64](v)
	case "c":
		_, err = charToString(nil, v) // is there such a character?
	default:
		v, err = toFloat(v)
	}
	if err == nil {
		fmt.Fprintf(b, flags+verb, v)
	}
	return err
}
