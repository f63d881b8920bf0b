package lisp

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// maxBytes bounds the length of a string or binary.
const maxBytes = 1 << 28

var errTooLong = fmt.Errorf("the result is longer than %d bytes", maxBytes)

var stringChapter = chapter{
	title: "Strings and symbols",
	intro: "A string is bytes, in UTF-8 where it is text. Positions and lengths count characters.",
	definitions: []definition{
		{"(concat STRING ...)", "joins the strings. A program that appends to the same string again and again takes time in proportion to its final length.", entry{0, -1, concat}},
		{"(format TEXT VALUE ...)", "returns TEXT with the values in place of its directives. %s is a value as princ prints it, %S as print prints it, %d and %x an integer, %c a character by its number, %f %e %g a number, and %% a percent sign. Flags, width and precision are those of C.", entry{1, -1, func(_ *Thread, args []Value) (Value, error) { return format(args) }}},
		{"(substring S FROM [TO])", "returns the characters from FROM up to, and not including, TO. A negative position counts from the end.", f3(substring).with(1)},
		{"(char S I)", "returns the number of the character at I. A negative position counts from the end.", f2(charAt)},
		{"(string-to-chars S)", "returns the list of the characters' numbers.", f1(stringToChars)},
		{"(chars-to-string LIST)", "returns the string of a list of characters' numbers.", f1(charsToString)},
		{"(char-to-string N)", "returns a character as a string.", f1(charToString)},
		{"(upcase S)", "returns S in capital letters.", f1(func(_ *Thread, s string) (Value, error) { return strings.ToUpper(s), nil })},
		{"(downcase S)", "returns S in small letters.", f1(func(_ *Thread, s string) (Value, error) { return strings.ToLower(s), nil })},
		{"(string= A B)", "returns t if two strings are equal.", f2(func(_ *Thread, a, b string) (Value, error) { return truth(a == b), nil })},
		{"(string< A B)", "returns t if A comes before B, when their bytes are compared.", f2(func(_ *Thread, a, b string) (Value, error) { return truth(a < b), nil })},
		{"(string-prefix-p PREFIX S)", "returns t if S begins with PREFIX.", f2(func(_ *Thread, prefix, s string) (Value, error) { return truth(strings.HasPrefix(s, prefix)), nil })},
		{"(string-suffix-p SUFFIX S)", "returns t if S ends with SUFFIX.", f2(func(_ *Thread, suffix, s string) (Value, error) { return truth(strings.HasSuffix(s, suffix)), nil })},
		{"(string-search NEEDLE S)", "returns the position of NEEDLE in S, or nil.", f2(search)},
		{"(string-replace FROM TO S)", "returns S with each FROM replaced.", f3(replaceAll)},
		{"(string-repeat S N)", "returns S, N times.", f2(repeatString)},
		{"(split-string S [SEPARATOR])", "returns the list of the parts of S between separators. Without SEPARATOR, white space of any length separates parts.", f2(split).with(1)},
		{"(string-join LIST SEPARATOR)", "joins the strings of a list, with SEPARATOR between them.", f2(func(_ *Thread, l *List, separator string) (Value, error) { return joined(l.Values(), separator) })},
		{"(string-trim S)", "returns S without white space at both ends.", f1(func(_ *Thread, s string) (Value, error) { return strings.TrimSpace(s), nil })},
		{"(stringp VALUE)", "returns t if VALUE is a string.", is[string]()},
		{"(symbolp VALUE)", "returns t if VALUE is a symbol.", f1(func(_ *Thread, v Value) (Value, error) { _, ok := v.(*Symbol); return truth(ok || v == nil), nil })},
		{"(symbol-name SYMBOL)", "returns the name as a string.", f1(func(_ *Thread, s *Symbol) (Value, error) { return s.name, nil })},
		{"(intern NAME)", "returns the symbol of a name.", f1(intern)},
		{"(gensym)", "returns a new symbol that differs from all others. Macros use it.", entry{0, 0, func(t *Thread, _ []Value) (Value, error) {
			return &Symbol{name: "g" + strconv.FormatInt(t.in.generated.Add(1), 10)}, nil
		}}},
	},
}

// intern returns the symbol of a name.
func intern(t *Thread, name string) (Value, error) {
	if name == "" {
		return nil, errors.New("a symbol needs a name")
	}
	return t.in.symbol(name), nil
}

// concat joins strings. If its first argument is the string that this thread's last
// concat made, it appends in the room behind that string. A program can then build a
// long string piece by piece in time proportional to the length.
func concat(t *Thread, args []Value) (Value, error) {
	size := 0
	for _, v := range args {
		s, err := arg[string](v)
		if err != nil {
			return nil, err
		}
		if size += len(s); size > maxBytes {
			return nil, errTooLong
		}
	}
	if size < growing {
		return joined(args, "")
	}
	first, rest := args[0].(string), args[1:]
	buf := t.built
	if len(first) < growing/2 || len(buf) != len(first) || unsafe.StringData(first) != unsafe.SliceData(buf) {
		buf = make([]byte, 0, size+size/4)
		rest = args
	}
	for _, v := range rest {
		buf = append(buf, v.(string)...)
	}
	// An append changes only bytes behind the end of each older string, so it changes
	// no string.
	t.built = buf
	return unsafe.String(unsafe.SliceData(buf), len(buf)), nil
}

// growing is the size in bytes from which concat reserves room for further appends.
const growing = 256

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

// split splits at each separator. Without a separator it splits at white space, and
// several spaces count as one.
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

// directive matches a directive of a format, which begins with %.
var directive = regexp.MustCompile(`^%([-+ 0]*[0-9]{0,3}(?:\.[0-9]{0,3})?)([sSdxcfeg%])`)

// format inserts arguments into a text. %s inserts an argument as princ prints it, and
// %S as prin1-to-string does. %d, %x and %c take integers, and %e, %f and %g numbers.
// %% is a percent sign. Flags, width and precision are those of C.
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
		_, err = charToString(nil, v) // an error if there is no such character
	default:
		v, err = toFloat(v)
	}
	if err == nil {
		fmt.Fprintf(b, flags+verb, v)
	}
	return err
}

func charAt(_ *Thread, s string, at Value) (Value, error) {
	size := utf8.RuneCountInString(s)
	if size == 0 {
		return nil, errors.New("the string is empty")
	}
	n, err := within(at, -size, size-1)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		n += size
	}
	for _, c := range s {
		if n--; n < 0 {
			return int64(c), nil
		}
	}
	return nil, nil
}

func stringToChars(_ *Thread, s string) (Value, error) {
	var chars []Value
	for _, c := range s {
		chars = append(chars, int64(c))
	}
	return ListOf(chars...), nil
}

func charsToString(_ *Thread, l *List) (Value, error) {
	var b strings.Builder
	for ; l != nil; l = l.tail {
		c, err := charToString(nil, l.head)
		if err != nil {
			return nil, err
		}
		if b.WriteString(c.(string)); b.Len() > maxBytes {
			return nil, errTooLong
		}
	}
	return b.String(), nil
}

func replaceAll(_ *Thread, from, to, s string) (Value, error) {
	if from == "" {
		return nil, errors.New("the text to replace is empty")
	}
	if n := strings.Count(s, from); len(to) > len(from) && n > (maxBytes-len(s))/(len(to)-len(from)) {
		return nil, errTooLong
	}
	return strings.ReplaceAll(s, from, to), nil
}

func repeatString(_ *Thread, s string, count Value) (Value, error) {
	n, err := within(count, 0, maxBytes)
	if err != nil {
		return nil, err
	}
	if len(s) > 0 && n > maxBytes/len(s) {
		return nil, errTooLong
	}
	return strings.Repeat(s, n), nil
}
