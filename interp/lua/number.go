package lua

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// checkNumber returns an argument that is a number or the text of one.
func checkNumber(L *glua.LState, arg int) glua.LNumber {
	n, ok := toNumber(L.Get(arg))
	if !ok {
		L.TypeError(arg, glua.LTNumber)
	}
	return n
}

// optNumber does what checkNumber does, but returns a default for a missing argument.
func optNumber(L *glua.LState, arg int, otherwise glua.LNumber) glua.LNumber {
	if L.Get(arg) == glua.LNil {
		return otherwise
	}
	return checkNumber(L, arg)
}

// toNumber converts a number or the text of a number, as lua_tonumber does. The text
// is decimal or hexadecimal, and white space may surround it. gopher-lua's own
// conversion accepts Go's literals, such as 0b1, 017 and 1_0.
func toNumber(v glua.LValue) (n glua.LNumber, ok bool) {
	switch v := v.(type) {
	case glua.LNumber:
		return v, true
	case glua.LString:
		return parseNumber(string(v))
	}
	return 0, false
}

const whiteSpace = " \t\n\v\f\r"

func parseNumber(text string) (glua.LNumber, bool) {
	text = strings.Trim(text, whiteSpace)
	digits := strings.TrimLeft(text, "+-")
	if digits == "" || strings.Contains(text, "_") {
		return 0, false
	}
	if len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x' && !strings.ContainsAny(digits, "pP") {
		text += "p0" // Go requires an exponent
	}
	f, err := strconv.ParseFloat(text, 64)
	return glua.LNumber(f), err == nil || errors.Is(err, strconv.ErrRange) // a number beyond the range becomes infinite
}

// tonumber is tonumber(value [, base]).
func tonumber(L *glua.LState) int {
	var n glua.LNumber
	ok := false
	if base := int(optNumber(L, 2, 10)); base == 10 {
		n, ok = toNumber(L.CheckAny(1))
	} else {
		text := strings.Trim(L.CheckString(1), whiteSpace)
		if base < 2 || base > 36 {
			L.ArgError(2, "base out of range")
		}
		if base == 16 {
			text = strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X")
		}
		u, err := strconv.ParseUint(strings.TrimPrefix(text, "-"), base, 64)
		if ok = err == nil && !strings.HasPrefix(text, "+"); ok {
			n = glua.LNumber(u)
			if strings.HasPrefix(text, "-") {
				n = -n
			}
		}
	}
	if !ok {
		L.Push(glua.LNil)
		return 1
	}
	L.Push(n)
	return 1
}

// numberText returns the text of a number that print shows. Infinite numbers and NaN
// have C's words. Other numbers have the text that gopher-lua's operator ".." makes.
func numberText(n glua.LNumber) string {
	switch f := float64(n); {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return n.String()
}

// textOf returns the text of a value, for tostring and print.
func textOf(L *glua.LState, v glua.LValue) glua.LValue {
	if n, ok := v.(glua.LNumber); ok {
		return glua.LString(numberText(n))
	}
	return L.ToStringMeta(v)
}

func tostring(L *glua.LState) int {
	L.Push(textOf(L, L.CheckAny(1)))
	return 1
}

// printValues is print.
func printValues(L *glua.LState) int {
	var line strings.Builder
	for i := range L.GetTop() {
		if i > 0 {
			line.WriteByte('\t')
		}
		line.WriteString(textOf(L, L.Get(i+1)).String())
	}
	line.WriteByte('\n')
	_, _ = os.Stdout.WriteString(line.String())
	return 0
}
