//go:build linux

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A test is one top-level test, example or fuzz target of a package.
type test struct {
	name string
	file string          // name of its file, without directory
	uses map[string]bool // identifiers in its body
	took time.Duration   // without a change
}

// testsOf returns the tests of a package.
func testsOf(directory string) (tests []*test, err error) {
	files, err := filepath.Glob(filepath.Join(directory, "*_test.go"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !isTest(f.Name.Name) {
				continue
			}
			t := &test{name: f.Name.Name, file: filepath.Base(file), uses: map[string]bool{}}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if x, ok := n.(*ast.Ident); ok {
					t.uses[x.Name] = true
				}
				return true
			})
			tests = append(tests, t)
		}
	}
	return tests, nil
}

func isTest(name string) bool {
	for _, prefix := range []string{"Test", "Example", "Fuzz"} {
		if strings.HasPrefix(name, prefix) && name != "TestMain" {
			return true
		}
	}
	return false
}

// slow is how long a test takes that runs last.
const slow = 500 * time.Millisecond

// batches returns the tests in the order in which they probably notice the change:
// those that use the changed function or have noticed a change of the same file (hot),
// those whose file has a similar name, the others, and last the slow ones. A batch has
// no order of its own.
func batches(tests []*test, c change, hot map[string]bool) [][]*test {
	_, function, ok := strings.Cut(c.function, ".")
	if !ok {
		function = c.function
	}
	all := make([][]*test, 4)
	for _, t := range tests {
		at := 2
		switch {
		case t.took >= slow:
			at = 3
		case t.uses[function] || hot[t.name]:
			at = 0
		case related(filepath.Base(c.file), t.file):
			at = 1
		}
		all[at] = append(all[at], t)
	}
	return slices.DeleteFunc(all, func(b []*test) bool { return len(b) == 0 })
}

// related reports whether the name of a file begins with the first word of a test
// file's name, or the reverse: tlsinput.go and tls_idle_test.go.
func related(file, testFile string) bool {
	a, b := firstWord(file), firstWord(testFile)
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

func firstWord(name string) string {
	if at := strings.IndexFunc(name, func(r rune) bool { return !unicode.IsLetter(r) }); at > 0 {
		return name[:at]
	}
	return name
}
