package docs

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every exported name of the packages that a program imports has a doc comment: types,
// functions, methods, fields and values. A group of values or fields may share one.
func TestExportedNamesAreDocumented(t *testing.T) {
	for _, dir := range []string{".", "loop", "socket", "server", "net", "poller", "timers", "simnet"} {
		p, lines := packageDoc(t, dir)
		require.NotEmpty(t, p.Doc, "package %s", p.Name)
		values := func(list []*doc.Value) {
			for _, v := range list {
				if v.Doc != "" {
					continue
				}
				for _, s := range v.Decl.Specs {
					s := s.(*ast.ValueSpec)
					if s.Names[0].IsExported() && s.Doc == nil && s.Comment == nil {
						t.Errorf("%s.%s has no comment", p.Name, s.Names[0].Name)
					}
				}
			}
		}
		functions := func(list []*doc.Func, of string) {
			for _, f := range list {
				if f.Doc == "" {
					t.Errorf("%s.%s%s has no comment", p.Name, of, f.Name)
				}
			}
		}
		values(p.Consts)
		values(p.Vars)
		functions(p.Funcs, "")
		for _, typ := range p.Types {
			if typ.Doc == "" {
				t.Errorf("%s.%s has no comment", p.Name, typ.Name)
			}
			values(typ.Consts)
			values(typ.Vars)
			functions(typ.Funcs, "")
			functions(typ.Methods, typ.Name+".")
			for _, s := range typ.Decl.Specs {
				fields(t, p.Name+"."+typ.Name, s.(*ast.TypeSpec), lines)
			}
		}
	}
}

// fields checks the fields of a struct. A comment stands above a field, behind it, or above
// the lines before it.
func fields(t *testing.T, name string, s *ast.TypeSpec, lines *token.FileSet) {
	st, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	documented, last := false, 0 // last is the line on which the field before ends
	for _, f := range st.Fields.List {
		follows := lines.Position(f.Pos()).Line == last+1
		documented = f.Doc != nil || f.Comment != nil || documented && follows
		last = lines.Position(f.End()).Line
		for _, n := range f.Names {
			if n.IsExported() && !documented {
				t.Errorf("%s.%s has no comment", name, n.Name)
			}
		}
	}
}

// Each exported type of package server has an example, and so has each package that a
// program imports.
func TestExamplesExist(t *testing.T) {
	for _, dir := range []string{
		".", "debug", "interp/builtins", "interp/js", "interp/lisp", "interp/lua", "loop", "metrics", "metrics/expvar", "net", "net/httpd",
		"poller", "server", "socket", "timers",
	} {
		paths, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
		require.NoError(t, err)
		var files []*ast.File
		for _, path := range paths {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, file)
		}
		of := make(map[string]bool) // what the examples are of
		for _, e := range doc.Examples(files...) {
			if e.Output != "" || e.EmptyOutput {
				of[strings.Split(e.Name, "_")[0]] = true
			}
		}
		require.NotEmpty(t, of, "package %s has no example that runs", dir)
		if dir != "server" {
			continue
		}
		p, _ := packageDoc(t, dir)
		for _, typ := range p.Types {
			require.True(t, of[typ.Name], "%s.%s has no example that runs", p.Name, typ.Name)
		}
	}
}
