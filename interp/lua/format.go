package lua

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// format is string.format with C's directives. gopher-lua's own passes the text to
// Go's fmt.
func format(L *glua.LState) int {
	text := L.CheckString(1)
	var out strings.Builder
	arg := 1
	for {
		before, rest, found := strings.Cut(text, "%")
		out.WriteString(before)
		if !found {
			break
		}
		if strings.HasPrefix(rest, "%") {
			out.WriteByte('%')
			text = rest[1:]
			continue
		}
		arg++
		if arg > L.GetTop() {
			L.ArgError(arg, "no value")
		}
		d, rest := directiveOf(L, rest)
		out.WriteString(d.format(L, arg))
		text = rest
	}
	L.Push(glua.LString(out.String()))
	return 1
}

// A directive is the part of a format that follows a percent sign.
type directive struct {
	flags            string // of "-+ #0", each once
	width, precision int    // unset: not given
	verb             byte
}

const unset = -1

// directiveOf reads a directive, and returns the text behind it. It raises an error
// for a directive that C lacks, and for a number of more than two digits.
func directiveOf(L *glua.LState, text string) (d directive, rest string) {
	flags := len(text) - len(strings.TrimLeft(text, "-+ #0"))
	for _, flag := range []byte("-+ #0") {
		if strings.IndexByte(text[:flags], flag) >= 0 {
			d.flags += string(flag)
		}
	}
	text = text[flags:]
	number := func() int {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		n, _ := strconv.Atoi(text[:digits])
		if digits > 2 {
			L.RaiseError("invalid format (width or precision too long)")
		}
		if text = text[digits:]; digits == 0 {
			return unset
		}
		return n
	}
	d.width, d.precision = number(), unset
	if strings.HasPrefix(text, ".") {
		text = text[1:]
		d.precision = max(number(), 0)
	}
	if text == "" || !strings.Contains("cdiouxXaAeEfFgGqs", text[:1]) {
		L.RaiseError("invalid option '%%%s' to 'format'", text[:min(1, len(text))])
	}
	d.verb = text[0]
	return d, text[1:]
}

func (d directive) has(flag byte) bool { return strings.IndexByte(d.flags, flag) >= 0 }

func (d directive) without(flags string) directive {
	d.flags = strings.Map(func(r rune) rune {
		if strings.ContainsRune(flags, r) {
			return -1
		}
		return r
	}, d.flags)
	return d
}

// format formats an argument by the directive.
func (d directive) format(L *glua.LState, arg int) string {
	switch d.verb {
	case 'c':
		return d.pad(string([]byte{byte(int64(checkNumber(L, arg)))}))
	case 'd', 'i':
		d.verb = 'd'
		return d.number(toInteger(checkNumber(L, arg)))
	case 'u', 'o', 'x', 'X':
		n := uint64(toInteger(checkNumber(L, arg)))
		if d.verb == 'u' {
			d.verb = 'd'
		}
		d = d.without("+ ")
		if n == 0 {
			d = d.without("#")
		}
		return d.number(n)
	case 'a', 'A':
		d.verb += 'x' - 'a' // Go's name for it
		text := d.float(float64(checkNumber(L, arg)))
		for _, sign := range []string{"p+", "p-", "P+", "P-"} { // C's exponents have no leading zero
			text = strings.Replace(text, sign+"0", sign, 1)
		}
		return text
	case 'q':
		return quoted(L.CheckString(arg))
	case 's':
		text := string(L.ToStringMeta(L.Get(arg)).(glua.LString))
		if n, ok := L.Get(arg).(glua.LNumber); ok {
			text = numberText(n)
		}
		if d.precision != unset {
			text = text[:min(d.precision, len(text))]
		}
		return d.pad(text)
	}
	if d.precision == unset {
		d.precision = 6
	}
	return d.float(float64(checkNumber(L, arg)))
}

// float formats a number that may be infinite or NaN.
func (d directive) float(f float64) string {
	if !math.IsInf(f, 0) && !math.IsNaN(f) {
		return d.number(f)
	}
	text := numberText(glua.LNumber(f))
	switch {
	case f < 0:
	case d.has('+'):
		text = "+" + text
	case d.has(' '):
		text = " " + text
	}
	if strings.IndexByte("EFGX", d.verb) >= 0 {
		text = strings.ToUpper(text)
	}
	return d.pad(text)
}

// number formats a value with Go's fmt. The caller makes sure that C prints the same.
func (d directive) number(v any) string {
	verb := []byte("%" + d.flags)
	if d.width != unset {
		verb = strconv.AppendInt(verb, int64(d.width), 10)
	}
	if d.precision != unset {
		verb = append(verb, '.')
		verb = strconv.AppendInt(verb, int64(d.precision), 10)
	}
	return fmt.Sprintf(string(append(verb, d.verb)), v)
}

// pad pads a text to the width, in bytes. fmt would count characters.
func (d directive) pad(text string) string {
	fill := strings.Repeat(" ", max(d.width-len(text), 0))
	if d.has('-') {
		return text + fill
	}
	return fill + text
}

// quoted returns the string as a literal that Lua can read.
func quoted(s string) string {
	out := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			out = append(out, '\\', c)
		case '\r':
			out = append(out, `\r`...)
		case 0:
			out = append(out, `\000`...)
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}

// toInteger converts a number to an integer as C does on 64-bit machines. Beyond the
// range of integers its result is defined, unlike C's.
func toInteger(n glua.LNumber) int64 {
	switch f := float64(n); {
	case f >= math.MaxInt64 && f < math.MaxUint64:
		return int64(uint64(f))
	case f >= -math.MaxInt64 && f < math.MaxInt64:
		return int64(f)
	}
	return math.MinInt64
}
