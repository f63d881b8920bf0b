package lisp

import (
	"errors"
	"fmt"
	"regexp"
	"sync"
	"unicode/utf8"
)

var regexpChapter = chapter{
	title: "Regular expressions",
	intro: "The syntax is RE2's, which Go has: ^ $ . * + ? [a-z] (group) (?:no group) \\d \\w \\s \\b a|b {2,3} (?i). In a string each backslash is written twice. The time is in proportion to the text's length.",
	definitions: []definition{
		{"(regexp-match RE S)", "returns a list of the first match and its groups, or nil if there is no match. A group that has matched nothing is nil.", f2(regexpMatch)},
		{"(regexp-match-all RE S)", "returns the list of all matches.", f2(regexpMatchAll)},
		{"(regexp-search RE S)", "returns the position of the first match, or nil.", f2(regexpSearch)},
		{"(regexp-replace RE S NEW)", "returns S with all matches replaced. In NEW, ${1} stands for the first group.", f3(regexpReplace)},
		{"(regexp-split RE S)", "returns the parts of S between the matches.", f2(regexpSplit)},
		{"(regexp-quote S)", "returns a regular expression that matches exactly the text S.", f1(func(_ *Thread, s string) (Value, error) { return regexp.QuoteMeta(s), nil })},
	},
}

// A regexpCache keeps a bounded number of compiled expressions.
type regexpCache struct {
	mu    sync.Mutex
	known map[string]*regexp.Regexp
}

const maxRegexps = 100

func (c *regexpCache) compile(text string) (*regexp.Regexp, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if re := c.known[text]; re != nil {
		return re, nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", brief(text), err)
	}
	if c.known == nil || len(c.known) >= maxRegexps {
		c.known = map[string]*regexp.Regexp{}
	}
	c.known[text] = re
	return re, nil
}

func regexpMatch(t *Thread, text, s string) (Value, error) {
	re, err := t.in.regexps.compile(text)
	if err != nil {
		return nil, err
	}
	at := re.FindStringSubmatchIndex(s)
	if at == nil {
		return nil, nil
	}
	groups := make([]Value, len(at)/2)
	for i := range groups {
		if at[2*i] >= 0 {
			groups[i] = s[at[2*i]:at[2*i+1]]
		}
	}
	return ListOf(groups...), nil
}

func regexpMatchAll(t *Thread, text, s string) (Value, error) {
	re, err := t.in.regexps.compile(text)
	if err != nil {
		return nil, err
	}
	return FromGo(re.FindAllString(s, -1))
}

func regexpSearch(t *Thread, text, s string) (Value, error) {
	re, err := t.in.regexps.compile(text)
	if err != nil {
		return nil, err
	}
	at := re.FindStringIndex(s)
	if at == nil {
		return nil, nil
	}
	return int64(utf8.RuneCountInString(s[:at[0]])), nil
}

func regexpReplace(t *Thread, text, s, by string) (Value, error) {
	re, err := t.in.regexps.compile(text)
	if err != nil {
		return nil, err
	}
	var out []byte
	last := 0
	for _, at := range re.FindAllStringSubmatchIndex(s, -1) {
		out = append(out, s[last:at[0]]...)
		out = re.ExpandString(out, by, s, at)
		last = at[1]
		if len(out) > maxBytes {
			return nil, errTooLong
		}
	}
	if len(out)+len(s)-last > maxBytes {
		return nil, errTooLong
	}
	return string(append(out, s[last:]...)), nil
}

func regexpSplit(t *Thread, text, s string) (Value, error) {
	re, err := t.in.regexps.compile(text)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errors.New("the expression is empty")
	}
	return FromGo(re.Split(s, -1))
}
