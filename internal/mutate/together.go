//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// To build the tests of a package for each change takes longer than most tests. So one
// binary has many changes, and an environment variable says which of them has effect.

// choice names the environment variable. Its value is the number of a change.
const choice = "MUTATE_CHANGE"

// support is the file that is added to a package with many changes. It has the package's
// name before it.
const support = `
import (
	"os"
	"strconv"
)

var mutateChange, _ = strconv.Atoi(os.Getenv("` + choice + `"))

type mutateNumber interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64
}

func mutateMore[T mutateNumber](n int, v T) T {
	if mutateChange == n {
		v++
	}
	return v
}

func mutateSum[T mutateNumber](n int, a, b T) T {
	if mutateChange == n {
		return a - b
	}
	return a + b
}

func mutateDifference[T mutateNumber](n int, a, b T) T {
	if mutateChange == n {
		return a + b
	}
	return a - b
}
`

// together returns the text in which the change has effect only if its number n is
// chosen. It returns false if there is no such text without more lines, or if the text
// would mean something else: a shift by a variable is not one by a constant.
func (c change) together(n int) (text string, ok bool) {
	switch {
	case c.shifts:
		return "", false
	case c.kind == "without":
		return fmt.Sprintf("if mutateChange != %d { %s }", n, c.from), true
	case strings.HasPrefix(c.kind, "one more"):
		return fmt.Sprintf("mutateMore(%d, %s)", n, c.from), true
	case strings.HasPrefix(c.kind, "swap + "), strings.HasPrefix(c.kind, "swap - "):
		at := 0
		for c.from[at] == c.with[at] {
			at++
		}
		function := map[byte]string{'+': "mutateSum", '-': "mutateDifference"}[c.from[at]]
		return fmt.Sprintf("%s(%d, %s, %s)", function, n, c.from[:at], strings.TrimLeft(c.from[at+1:], " \t")), true
	}
	return fmt.Sprintf("(mutateChange == %d && (%s) || mutateChange != %d && (%s))", n, c.with, n, c.from), !strings.Contains(c.from, "\n")
}

// A binary has the tests of a package and some changes.
type binary struct {
	name   string
	number map[place]int // of each change

	mu    sync.Mutex
	sound map[string]bool // whether a test passes when no change is chosen
}

// A place tells changes apart.
type place struct {
	file       string
	start, end int
	kind       string
}

func (c change) place() place { return place{c.file, c.start, c.end, c.kind} }

// buildTogether builds binaries that have the changes, except those that do not build so.
// Their trials build them alone.
func (l *lab) buildTogether(ctx context.Context, directory string, all []change) (err error) {
	all = slices.DeleteFunc(slices.Clone(all), func(c change) bool {
		_, ok := c.together(1)
		return c.directory != directory || !ok
	})
	for len(all) > 0 && ctx.Err() == nil {
		var group []change
		group, all = apart(all)
		b, err := l.buildGroup(ctx, directory, group)
		if err != nil {
			return err
		}
		if b != nil {
			l.binaries[directory] = append(l.binaries[directory], b)
		}
	}
	return nil
}

// apart returns changes of which none overlaps another, and the others.
func apart(all []change) (group, rest []change) {
	for _, c := range all {
		if slices.ContainsFunc(group, func(o change) bool { return o.file == c.file && o.start < c.end && c.start < o.end }) {
			rest = append(rest, c)
		} else {
			group = append(group, c)
		}
	}
	return group, rest
}

// buildGroup builds the changes into one binary. It leaves out those that the compiler
// refuses. If it cannot find out which these are, it returns nil.
func (l *lab) buildGroup(ctx context.Context, directory string, group []change) (*binary, error) {
	for len(group) > 0 && ctx.Err() == nil {
		files, number, err := merge(group)
		if err != nil {
			return nil, err
		}
		name, err := l.build(ctx, directory, files)
		if err == nil {
			return &binary{name: name, number: number, sound: map[string]bool{}}, nil
		}
		before := len(group)
		for _, m := range refused.FindAllStringSubmatch(err.Error(), -1) {
			line, _ := strconv.Atoi(m[2])
			group = slices.DeleteFunc(group, func(c change) bool {
				last := c.line + strings.Count(c.from, "\n")
				return filepath.Base(c.file) == m[1] && c.line <= line && line <= last
			})
		}
		if len(group) == before {
			break
		}
	}
	return nil, nil
}

// refused finds the lines that the compiler refuses.
var refused = regexp.MustCompile(`(?m)([^/\s:]+\.go):(\d+):\d+: `)

// merge returns the files with the changes, and the file that supports them, and the
// number of each change.
func merge(group []change) (files map[string][]byte, number map[place]int, err error) {
	files, number = map[string][]byte{}, map[place]int{}
	group = slices.Clone(group)
	slices.SortFunc(group, func(a, b change) int { return b.start - a.start }) // an edit moves what is behind it
	for i, c := range group {
		if files[c.file] == nil {
			if files[c.file], err = os.ReadFile(c.file); err != nil {
				return nil, nil, err
			}
		}
		text, _ := c.together(i + 1)
		files[c.file] = slices.Replace(files[c.file], c.start, c.end, []byte(text)...)
		number[c.place()] = i + 1
	}
	clause := packageClause.Find(files[group[0].file])
	files[filepath.Join(group[0].directory, "mutate_support.go")] = append(slices.Clip(clause), support...)
	return files, number, nil
}

var packageClause = regexp.MustCompile(`(?m)^package \w+\n`)

// subjectOf returns what has the change and was built already.
func (l *lab) subjectOf(c change) (s subject, b *binary) {
	for _, b := range l.binaries[c.directory] {
		if n := b.number[c.place()]; n > 0 {
			return subject{c.directory, b.name, n}, b
		}
	}
	return s, nil
}

// passes reports whether the test passes in a binary with many changes of which none is
// chosen.
func (l *lab) passes(ctx context.Context, directory string, b *binary, t *test) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok, known := b.sound[t.name]
	if !known {
		_, _, err := l.run(ctx, subject{directory, b.name, 0}, []*test{t}, grace)
		ok = err == nil
		b.sound[t.name] = ok
	}
	return ok
}
