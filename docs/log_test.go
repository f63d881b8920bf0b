package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table of package server has every key with which a package logs. A program under
// examples may have further ones, but an error has the same key everywhere.
func TestLogKeysAreInTheTable(t *testing.T) {
	_, table, found := strings.Cut(document(t, "server/doc.go"), "//	key       value\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "//\n")
	var keys []string
	for _, m := range regexp.MustCompile(`(?m)^//\t(\w+) `).FindAllStringSubmatch(table, -1) {
		keys = append(keys, m[1])
	}
	require.Contains(t, keys, "error")

	used := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != root && (d.Name() == "bench" || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		example := strings.HasPrefix(path, filepath.Join(root, "examples"))
		for _, key := range logKeys(file) {
			used[key] = true
			require.True(t, example || slices.Contains(keys, key), "%s logs with the key %q", path, key)
			require.NotEqual(t, "err", key, path)
		}
		return nil
	})
	require.NoError(t, err)
	for _, key := range keys {
		require.True(t, used[key], "nothing logs with the key %q", key)
	}
}

// logKeys returns the keys of the calls of slog's functions and of Log's methods.
func logKeys(file *ast.File) (keys []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error", "With", "Int"}, method.Sel.Name) {
			return true
		}
		if name := lastName(method.X); name != "slog" && name != "Log" {
			return true
		}
		first := 1 // after the message
		if method.Sel.Name == "With" || method.Sel.Name == "Int" {
			first = 0
		}
		for i := first; i < len(call.Args); i += 2 {
			if key, ok := call.Args[i].(*ast.BasicLit); ok {
				text, _ := strconv.Unquote(key.Value)
				keys = append(keys, text)
			}
		}
		return true
	})
	return keys
}

// lastName returns the last name of an expression: Log of s.eng.srv.Log.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
