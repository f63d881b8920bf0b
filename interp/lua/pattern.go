package lua

import (
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// A matcher matches Lua's patterns. gopher-lua's own matcher lacks %f, fails on long
// texts and recurses for each byte.
type matcher struct {
	L        *glua.LState
	src, pat string
	depth    int
	level    int // number of captures
	captures [maxCaptures]capture
}

// A capture is a part of the text, or a position in it.
type capture struct{ start, length int }

const (
	maxCaptures = 32
	maxDepth    = 1 << 16 // bounds the recursion of match, which takes stack

	unfinished = -1 // the length of a capture whose end is not found yet
	position   = -2

	noMatch = -1
)

// match matches the pattern from p at s, and returns the end of the match.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxDepth {
		m.L.RaiseError("pattern too complex")
	}
	end := m.matchHere(s, p)
	m.depth--
	return end
}

func (m *matcher) matchHere(s, p int) int {
	for p < len(m.pat) {
		switch c := m.pat[p]; {
		case c == '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.open(s, p+2, position)
			}
			return m.open(s, p+1, unfinished)
		case c == ')':
			return m.close(s, p+1)
		case c == '$' && p+1 == len(m.pat):
			if s == len(m.src) {
				return s
			}
			return noMatch
		case c == '%' && p+1 < len(m.pat) && strings.IndexByte("bf0123456789", m.pat[p+1]) >= 0:
			if s, p = m.special(s, p); s == noMatch {
				return noMatch
			}
			continue
		}
		end := m.classEnd(p)
		var suffix byte
		if end < len(m.pat) {
			suffix = m.pat[end]
		}
		switch suffix {
		case '*':
			return m.longest(s, s, p, end)
		case '+':
			return m.longest(s, s+1, p, end)
		case '-':
			return m.shortest(s, p, end)
		case '?':
			if m.single(s, p, end) {
				if e := m.match(s+1, end+1); e != noMatch {
					return e
				}
			}
			p = end + 1
		default:
			if !m.single(s, p, end) {
				return noMatch
			}
			s, p = s+1, end
		}
	}
	return s
}

// special matches %b, %f and a back reference. It returns the next places in the text
// and in the pattern.
func (m *matcher) special(s, p int) (int, int) {
	switch c := m.pat[p+1]; c {
	case 'b':
		return m.balanced(s, p+2), p + 4
	case 'f':
		p += 2
		if p >= len(m.pat) || m.pat[p] != '[' {
			m.L.RaiseError("%s", "missing '[' after '%f' in pattern")
		}
		end := m.classEnd(p)
		var before, here byte
		if s > 0 {
			before = m.src[s-1]
		}
		if s < len(m.src) {
			here = m.src[s]
		}
		if m.inSet(before, p, end-1) || !m.inSet(here, p, end-1) {
			return noMatch, p
		}
		return s, end
	default:
		i := int(c - '1')
		if i < 0 || i >= m.level || m.captures[i].length == unfinished {
			m.L.RaiseError("invalid capture index")
		}
		text := m.src[m.captures[i].start:][:max(m.captures[i].length, 0)]
		if !strings.HasPrefix(m.src[s:], text) {
			return noMatch, p
		}
		return s + len(text), p + 2
	}
}

// balanced matches a text that begins with the byte at p of the pattern, ends with
// the byte after it, and has as many of one as of the other.
func (m *matcher) balanced(s, p int) int {
	if p+1 >= len(m.pat) {
		m.L.RaiseError("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return noMatch
	}
	depth := 1
	for i := s + 1; i < len(m.src); i++ {
		switch m.src[i] {
		case m.pat[p+1]:
			if depth--; depth == 0 {
				return i + 1
			}
		case m.pat[p]:
			depth++
		}
	}
	return noMatch
}

func (m *matcher) open(s, p, length int) int {
	if m.level == maxCaptures {
		m.L.RaiseError("too many captures")
	}
	m.captures[m.level] = capture{s, length}
	m.level++
	end := m.match(s, p)
	if end == noMatch {
		m.level--
	}
	return end
}

func (m *matcher) close(s, p int) int {
	i := m.level - 1
	for i >= 0 && m.captures[i].length != unfinished {
		i--
	}
	if i < 0 {
		m.L.RaiseError("invalid pattern capture")
	}
	m.captures[i].length = s - m.captures[i].start
	end := m.match(s, p)
	if end == noMatch {
		m.captures[i].length = unfinished
	}
	return end
}

// longest repeats a class as often as it can. The repetitions end at least or later.
func (m *matcher) longest(s, least, p, end int) int {
	e := s
	for m.single(e, p, end) {
		e++
	}
	if end+1 == len(m.pat) && e >= least {
		return e
	}
	for ; e >= least; e-- {
		if to := m.match(e, end+1); to != noMatch {
			return to
		}
	}
	return noMatch
}

// shortest repeats a class only as often as the rest of the pattern needs.
func (m *matcher) shortest(s, p, end int) int {
	for {
		if to := m.match(s, end+1); to != noMatch {
			return to
		}
		if !m.single(s, p, end) {
			return noMatch
		}
		s++
	}
}

// classEnd returns the end of the class at p.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	switch c {
	case '%':
		if p == len(m.pat) {
			m.L.RaiseError("%s", "malformed pattern (ends with '%')")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; first || p >= len(m.pat) || m.pat[p] != ']'; first = false {
			if p >= len(m.pat) {
				m.L.RaiseError("malformed pattern (missing ']')")
			}
			if p++; m.pat[p-1] == '%' {
				p++
			}
		}
		return p + 1
	}
	return p
}

// single reports whether the class between p and end contains the byte at s.
func (m *matcher) single(s, p, end int) bool {
	if s >= len(m.src) {
		return false
	}
	switch c := m.pat[p]; c {
	case '.':
		return true
	case '%':
		return inClass(m.src[s], m.pat[p+1])
	case '[':
		return m.inSet(m.src[s], p, end-1)
	default:
		return m.src[s] == c
	}
}

// inSet reports whether the set from "[" at p to "]" at end contains a byte.
func (m *matcher) inSet(c byte, p, end int) bool {
	has := true
	if p++; m.pat[p] == '^' {
		has = false
		p++
	}
	for ; p < end; p++ {
		switch {
		case m.pat[p] == '%':
			if p++; inClass(c, m.pat[p]) {
				return has
			}
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return has
			}
			p += 2
		case m.pat[p] == c:
			return has
		}
	}
	return !has
}

// inClass reports whether a class contains a byte. A small letter names a class, and
// its capital names the complement. Any other character stands for itself.
func inClass(c, class byte) bool {
	var has bool
	switch class | 0x20 {
	case 'a':
		has = isLetter(c)
	case 'c':
		has = c < ' ' || c == 0x7f
	case 'd':
		has = isDigit(c)
	case 'l':
		has = 'a' <= c && c <= 'z'
	case 'p':
		has = c > ' ' && c < 0x7f && !isLetter(c) && !isDigit(c)
	case 's':
		has = strings.IndexByte(whiteSpace, c) >= 0
	case 'u':
		has = 'A' <= c && c <= 'Z'
	case 'w':
		has = isLetter(c) || isDigit(c)
	case 'x':
		has = isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
	case 'z':
		has = c == 0
	default:
		return class == c
	}
	if !isLetter(class) {
		return class == c
	}
	return has == (class >= 'a')
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// count returns the number of values of a match: the number of its captures, or 1 for
// the whole match if the pattern has no captures.
func (m *matcher) count() int { return max(m.level, 1) }

// value returns the capture i of the match from s to end.
func (m *matcher) value(i, s, end int) glua.LValue {
	if i >= m.level {
		if i != 0 {
			m.L.RaiseError("invalid capture index")
		}
		return glua.LString(m.src[s:end])
	}
	switch c := m.captures[i]; c.length {
	case position:
		return glua.LNumber(c.start + 1)
	case unfinished:
		m.L.RaiseError("unfinished capture")
		return nil
	default:
		return glua.LString(m.src[c.start:][:c.length])
	}
}

// push pushes the values of the match.
func (m *matcher) push(s, end int) int {
	for i := range m.count() {
		m.L.Push(m.value(i, s, end))
	}
	return m.count()
}
