package lisp_test

import (
	"os"
	"strings"
	"testing"

	"github.com/seed-2334f180/weir/interp/lisp"
	"github.com/stretchr/testify/require"
)

// docs/lisp.md is equal to the output of WriteReference. This command updates it:
//
//	go run ./cmd/weir-lisp -reference > docs/lisp.md
func TestReferenceIsCurrent(t *testing.T) {
	var b strings.Builder
	require.NoError(t, lisp.WriteReference(&b))
	file, err := os.ReadFile("../../docs/lisp.md")
	require.NoError(t, err)
	require.Equal(t, b.String(), string(file), "go run ./cmd/weir-lisp -reference > docs/lisp.md")
}

// The reference and the function describe have every name of an interpreter.
func TestEverythingIsDescribed(t *testing.T) {
	var b strings.Builder
	require.NoError(t, lisp.WriteReference(&b))
	reference := b.String()
	in := start(t)
	names := in.Names()
	require.Greater(t, len(names), 250)
	for _, name := range names {
		method := name
		for _, class := range []string{"class-", "file-", "socket-"} {
			if short := strings.TrimPrefix(name, class); strings.Contains(reference, "`("+short+" ") {
				method = short
			}
		}
		found := false
		for _, form := range []string{"`(" + method + " ", "`(" + method + ")", "`" + name + "`", "The class " + name} {
			found = found || strings.Contains(reference, form)
		}
		require.True(t, found, "%s is not in the reference", name)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "MSG_") {
			continue
		}
		before := in.out.String()
		in.value("(describe '" + name + ")")
		text := in.out.String()[len(before):]
		require.Contains(t, text, "\n  ", name)
		require.NotContains(t, text, "is a variable", name)
	}
}

func TestHelp(t *testing.T) {
	in := start(t)
	in.is("nil", "(help)")
	require.Contains(t, in.out.String(), "(describe 'car)")
	in.value("(describe 'car)")
	require.Contains(t, in.out.String(), "(car LIST)\n  returns the first element, or nil.\n")
	in.value(`(defun f (a &optional b &rest c) "adds nothing." a) (describe 'f)`)
	require.Contains(t, in.out.String(), "(f a &optional b &rest c)\n  adds nothing.\n")
	in.value("(defmacro m (a) a) (describe m)")
	require.Contains(t, in.out.String(), "(m a)\n  is a macro without documentation.\n")
	in.value("(describe 'socket)")
	require.Contains(t, in.out.String(), "a child of file")
	require.Contains(t, in.out.String(), "methods of class: constructor destructor show")
	in.value("(setq x 5) (describe 'x)")
	require.Contains(t, in.out.String(), "x\n  is a variable: 5\n")
	in.value("(describe 'nothing-at-all)")
	require.Contains(t, in.out.String(), "nothing-at-all has no value.\n")
	require.NoError(t, in.Define("greet", 0, 0, nil))
	in.value("(describe 'greet)")
	require.Contains(t, in.out.String(), "(greet ...)\n  is a function of the program that has this interpreter.\n")
	in.fails("describe: want a symbol", `(describe 5)`)
	in.is("(base64-decode base64-encode)", `(apropos "base64")`)
	in.is("nil", `(apropos "no such words")`)
}
