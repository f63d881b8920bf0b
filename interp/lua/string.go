package lua

import (
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// This file has the functions of the string library that work differently in
// gopher-lua and in PUC Lua.

var stringFunctions = map[string]glua.LGFunction{
	"find":   find,
	"format": format,
	"gfind":  gmatch,
	"gmatch": gmatch,
	"gsub":   gsub,
	"lower":  func(L *glua.LState) int { return mapBytes(L, 'A', 'Z') },
	"match":  matchText,
	"upper":  func(L *glua.LState) int { return mapBytes(L, 'a', 'z') },
}

// mapBytes changes the case of the letters in a range, and no other byte.
func mapBytes(L *glua.LState, first, last byte) int {
	s := L.CheckString(1)
	for i := range len(s) {
		if first <= s[i] && s[i] <= last {
			changed := []byte(s)
			for ; i < len(s); i++ {
				if first <= s[i] && s[i] <= last {
					changed[i] = s[i] ^ 0x20
				}
			}
			s = string(changed)
			break
		}
	}
	L.Push(glua.LString(s))
	return 1
}

func find(L *glua.LState) int { return search(L, true) }

func matchText(L *glua.LState) int { return search(L, false) }

// search is find and match (text, pattern [, from [, plain]]).
func search(L *glua.LState, finds bool) int {
	src, pat := L.CheckString(1), L.CheckString(2)
	from := int(optNumber(L, 3, 1))
	if from < 0 {
		from += len(src) + 1
	}
	from = min(max(from-1, 0), len(src))
	if finds && (!strings.ContainsAny(pat, "^$*+?.([%-") || L.ToBool(4)) {
		at := strings.Index(src[from:], pat)
		if at < 0 {
			L.Push(glua.LNil)
			return 1
		}
		L.Push(glua.LNumber(from + at + 1))
		L.Push(glua.LNumber(from + at + len(pat)))
		return 2
	}
	m := matcher{L: L, src: src}
	var anchored bool
	m.pat, anchored = strings.CutPrefix(pat, "^")
	for s := from; s <= len(src); s++ {
		m.level = 0
		end := m.match(s, 0)
		switch {
		case end == noMatch && anchored:
			L.Push(glua.LNil)
			return 1
		case end == noMatch:
		case !finds:
			return m.push(s, end)
		default:
			L.Push(glua.LNumber(s + 1))
			L.Push(glua.LNumber(end))
			if m.level == 0 {
				return 2
			}
			return 2 + m.push(s, end)
		}
	}
	L.Push(glua.LNil)
	return 1
}

func gmatch(L *glua.LState) int {
	src, pat := L.CheckString(1), L.CheckString(2)
	at := 0
	L.Push(L.NewFunction(func(L *glua.LState) int {
		m := matcher{L: L, src: src, pat: pat}
		for s := at; s <= len(src); s++ {
			m.level = 0
			if end := m.match(s, 0); end != noMatch {
				if at = end; end == s {
					at++
				}
				return m.push(s, end)
			}
		}
		L.Push(glua.LNil)
		return 1
	}))
	return 1
}

// gsub is gsub(text, pattern, replacement [, most]).
func gsub(L *glua.LState) int {
	src, pat := L.CheckString(1), L.CheckString(2)
	replacement := L.Get(3)
	switch replacement.Type() {
	case glua.LTString, glua.LTNumber, glua.LTTable, glua.LTFunction:
	default:
		L.ArgError(3, "string/function/table expected")
	}
	most := int(optNumber(L, 4, glua.LNumber(len(src)+1)))
	m := matcher{L: L, src: src}
	var anchored bool
	m.pat, anchored = strings.CutPrefix(pat, "^")
	var out []byte
	s, n := 0, 0
	for n < most {
		m.level = 0
		end := m.match(s, 0)
		if end != noMatch {
			n++
			out = m.replace(out, replacement, s, end)
		}
		switch {
		case end > s:
			s = end
		case s < len(src):
			out = append(out, src[s])
			s++
		default:
			anchored = true // the text ends here: leave the loop
		}
		if anchored {
			break
		}
	}
	if n == 0 {
		L.Push(glua.LString(src))
	} else {
		L.Push(glua.LString(append(out, src[s:]...)))
	}
	L.Push(glua.LNumber(n))
	return 2
}

// replace appends the replacement of the match from s to end.
func (m *matcher) replace(out []byte, replacement glua.LValue, s, end int) []byte {
	var value glua.LValue
	switch r := replacement.(type) {
	case *glua.LTable:
		value = m.L.GetTable(r, m.value(0, s, end))
	case *glua.LFunction:
		m.L.Push(r)
		m.L.Call(m.push(s, end), 1)
		value = m.L.Get(-1)
		m.L.Pop(1)
	default:
		return m.expand(out, r.String(), s, end)
	}
	switch {
	case glua.LVIsFalse(value):
		return append(out, m.src[s:end]...)
	case !glua.LVCanConvToString(value):
		m.L.RaiseError("invalid replacement value (a %s)", value.Type().String())
	}
	return append(out, value.String()...)
}

// expand appends a text. It replaces a percent sign and a digit by that capture.
func (m *matcher) expand(out []byte, text string, s, end int) []byte {
	for {
		before, rest, found := strings.Cut(text, "%")
		out = append(out, before...)
		switch {
		case !found:
			return out
		case rest == "":
			return append(out, 0) // as PUC Lua, which reads C's zero byte at the end
		case rest[0] == '0':
			out = append(out, m.src[s:end]...)
		case isDigit(rest[0]):
			out = append(out, m.value(int(rest[0]-'1'), s, end).String()...)
		default:
			out = append(out, rest[0])
		}
		text = rest[1:]
	}
}
