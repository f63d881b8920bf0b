package lisp

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// foreign returns the error for a form that begins with "#". Other dialects have such
// forms.
func (r *reader) foreign() error {
	line := r.line
	word := r.token()
	if word == "#" && r.pos < len(r.text) {
		switch r.text[r.pos] {
		case '\'':
			return r.fail(line, "#' is not of this dialect: a function is the value of its name")
		case '(':
			return r.fail(line, "#( is not of this dialect: there are lists, and no vectors")
		}
	}
	switch {
	case strings.HasPrefix(word, "#\\"):
		return r.fail(line, "%s is not of this dialect: a character is written as ?a", word)
	case word == "#t" || word == "#f" || word == "#true" || word == "#false":
		return r.fail(line, "%s is not of this dialect: true is t, and false is nil", word)
	case strings.HasPrefix(word, "#x"):
		return r.fail(line, "%s is not of this dialect: a hexadecimal number begins with 0x", word)
	}
	return r.fail(line, "%q cannot be read", word)
}

// character reads a character such as ?a or ?\n, whose value is its number.
func (r *reader) character() (Value, error) {
	line := r.line
	rest := r.text[r.pos+1:]
	c, size := utf8.DecodeRuneInString(rest)
	switch {
	case rest == "":
		return nil, r.incomplete(line, "a character")
	case c == utf8.RuneError && size == 1, c < ' ', c == 0x7f:
		r.pos++
		return nil, r.fail(line, "?%s: there is no such character; a space is ?\\s", strconv.QuoteToASCII(rest[:size]))
	case c == ' ':
		return nil, r.fail(line, "a ? needs a character; a space is ?\\s")
	case c != '\\':
		r.pos += 1 + size
		return int64(c), r.delimited(line)
	}
	r.pos += 2
	if strings.HasPrefix(r.text[r.pos:], "s") {
		r.pos++
		return int64(' '), r.delimited(line)
	}
	if strings.HasPrefix(r.text[r.pos:], "\n") {
		return nil, r.fail(line, "a ? needs a character; a newline is ?\\n")
	}
	if r.pos < len(r.text) && strings.IndexByte("()[]{};',`?. #", r.text[r.pos]) >= 0 {
		r.pos++
		return int64(r.text[r.pos-1]), r.delimited(line)
	}
	var b strings.Builder
	if err := r.escape(&b); err != nil {
		return nil, err
	}
	switch text := b.String(); {
	case text == "":
		return nil, r.incomplete(line, "a character")
	case len(text) == 1: // \xFF is the number of a byte
		return int64(text[0]), r.delimited(line)
	default:
		c, _ = utf8.DecodeRuneInString(text)
		return int64(c), r.delimited(line)
	}
}

// delimited returns an error unless a delimiter follows the character.
func (r *reader) delimited(line int) error {
	if rest := r.token(); rest != "" {
		return r.fail(line, "%q follows a character", rest)
	}
	return nil
}

func (r *reader) atom() (Value, error) {
	word := r.token()
	for _, c := range word {
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			return nil, r.fail(r.line, "%q cannot be read", word)
		}
	}
	if word == "." {
		return nil, r.fail(r.line, "a . alone: there are no pairs here, and a list ends with nil")
	}
	if number, ok, err := parseNumber(word); err != nil {
		return nil, r.fail(r.line, "%s: %s", word, err)
	} else if ok {
		return number, nil
	}
	return r.in.symbol(word), nil
}

// parseNumber reads an integer, decimal or after 0x hexadecimal, or a float.
// It reports false for a word that does not begin as a number does.
func parseNumber(word string) (Value, bool, error) {
	digits := strings.TrimLeft(word, "+-")
	if len(word)-len(digits) > 1 || digits == "" || strings.Contains(word, "_") {
		return nil, false, nil
	}
	if c := strings.TrimPrefix(digits, "."); c == "" || c[0] < '0' || c[0] > '9' {
		return nil, false, nil
	}
	base := 10
	if hex := strings.ToLower(digits); strings.HasPrefix(hex, "0x") {
		base = 0
	}
	if n, err := strconv.ParseInt(word, base, 64); err == nil {
		return n, true, nil
	} else if err.(*strconv.NumError).Err == strconv.ErrRange {
		return nil, false, errors.New("beyond the range of an integer")
	}
	if base == 0 || strings.ContainsAny(digits, "xXpP") {
		return nil, false, nil
	}
	f, err := strconv.ParseFloat(word, 64)
	if err == nil {
		return f, true, nil
	}
	if err.(*strconv.NumError).Err == strconv.ErrRange {
		return nil, false, errors.New("beyond the range of a float")
	}
	return nil, false, nil // 1+ is a symbol
}
