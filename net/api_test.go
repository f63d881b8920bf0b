package net_test

import (
	"bytes"
	"encoding/json"
	"go/constant"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const ownPath = "github.com/seed-2334f180/weir/net"

// This package exports every name that Go's net exports, with the same kind. Each method
// and field has the same type, apart from the package's own types. A Go release that adds
// a name makes this test fail.
func TestEveryNameOfNetIsHere(t *testing.T) {
	std, own := load(t)
	count := 0
	for _, name := range std.Scope().Names() {
		want := std.Scope().Lookup(name)
		if !want.Exported() {
			continue
		}
		got := own.Scope().Lookup(name)
		if got == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		count++
		compare(t, want, got)
	}
	require.Greater(t, count, 100)
	t.Logf("%d names of net", count)
}

// compare compares an exported name of net with ours.
func compare(t *testing.T, want, got types.Object) {
	switch want := want.(type) {
	case *types.TypeName:
		ours, ok := got.(*types.TypeName)
		if !ok {
			t.Errorf("%s is no type", want.Name())
			return
		}
		if !types.Identical(want.Type(), ours.Type()) {
			compareType(t, want, ours)
		}
	case *types.Const:
		ours, ok := got.(*types.Const)
		if !ok || !constant.Compare(want.Val(), token.EQL, ours.Val()) || shape(want.Type()) != shape(got.Type()) {
			t.Errorf("%s: net has %v, and this package %v", want.Name(), want, got)
		}
	case *types.Var:
		if _, ok := got.(*types.Var); !ok || shape(want.Type()) != shape(got.Type()) {
			t.Errorf("%s: net has %v, and this package %v", want.Name(), want, got)
		}
	case *types.Func:
		if _, ok := got.(*types.Func); !ok || shape(want.Type()) != shape(got.Type()) {
			t.Errorf("%s: net has %v, and this package %v", want.Name(), want, got)
		}
	default:
		t.Errorf("%v is of a kind that the test does not know", want)
	}
}

// compareType compares the methods and fields of a type that is our own.
func compareType(t *testing.T, want, got *types.TypeName) {
	if w, g := kind(want.Type()), kind(got.Type()); w != g {
		t.Errorf("%s is a %s in net, and a %s here", want.Name(), w, g)
	}
	theirs := types.NewMethodSet(types.NewPointer(want.Type()))
	ours := types.NewMethodSet(types.NewPointer(got.Type()))
	for i := range theirs.Len() {
		m := theirs.At(i)
		if !m.Obj().Exported() {
			continue
		}
		mine := ours.Lookup(nil, m.Obj().Name())
		switch {
		case mine == nil:
			t.Errorf("%s.%s is missing", want.Name(), m.Obj().Name())
		case shape(m.Type()) != shape(mine.Type()):
			t.Errorf("%s.%s: net has %v, and this package %v", want.Name(), m.Obj().Name(), m.Type(), mine.Type())
		}
	}
	fields, ok := want.Type().Underlying().(*types.Struct)
	if !ok {
		return
	}
	for i := range fields.NumFields() {
		f := fields.Field(i)
		if !f.Exported() {
			continue
		}
		mine, _, _ := types.LookupFieldOrMethod(got.Type(), true, got.Pkg(), f.Name())
		if v, ok := mine.(*types.Var); !ok || shape(f.Type()) != shape(v.Type()) {
			t.Errorf("%s.%s: net has %v, and this package %v", want.Name(), f.Name(), f, mine)
		}
	}
}

func kind(t types.Type) string {
	switch u := t.Underlying().(type) {
	case *types.Struct:
		return "struct"
	case *types.Interface:
		return "interface"
	default:
		return u.String()
	}
}

// shape returns a type as text, without the names of parameters. The text has the same
// name for both net packages.
func shape(t types.Type) string {
	either := func(p *types.Package) string { return strings.TrimPrefix(p.Path(), "github.com/seed-2334f180/weir/") }
	signature, ok := t.(*types.Signature)
	if !ok {
		return types.TypeString(t, either)
	}
	var b bytes.Buffer
	for _, tuple := range []*types.Tuple{signature.Params(), signature.Results()} {
		b.WriteByte('(')
		for i := range tuple.Len() {
			b.WriteString(shape(tuple.At(i).Type()) + ",")
		}
		b.WriteByte(')')
	}
	if signature.Variadic() {
		b.WriteString("...")
	}
	return b.String()
}

// load loads both packages from the compiler's export data.
func load(t *testing.T) (std, own *types.Package) {
	list := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export", "net", ownPath)
	list.Stderr = os.Stderr
	out, err := list.Output()
	require.NoError(t, err)
	exports := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); err == io.EOF {
			break
		} else {
			require.NoError(t, err)
		}
		exports[p.ImportPath] = p.Export
	}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	std, err = imports.Import("net")
	require.NoError(t, err)
	own, err = imports.Import(ownPath)
	require.NoError(t, err)
	return std, own
}
